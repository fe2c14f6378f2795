//! The one long-lived connection of a store, opened when it is first needed and again when it is broken.
//!
//! A cluster that is not there costs one attempt at a time: who comes while an attempt runs gets its outcome, and who
//! comes soon after a failed one is told its reason at once. Only a probe tries sooner.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    errors::{self, at, failed, no_answer},
    ffi::{Cluster, Errno, IoCtx, Login, Shape, Transfer},
    threads::Threads,
};
use crate::{
    config::RbdConfig,
    store::{StoreError, StoreErrorKind},
};

/// Calls of one store that may block at the same time.
const THREADS: usize = 32;
/// So long after a failed attempt to connect nobody but a probe tries again.
const PAUSE: Duration = Duration::from_secs(5);
/// So many answers in a row that did not come in time end a connection. A cluster that comes back is found by the old
/// one too; this is for one that comes back elsewhere.
const PATIENCE: u32 = 3;
/// What a `ceph.conf` without one gives.
const NO_FSID: &str = "00000000-0000-0000-0000-000000000000";
const LAYERING: u64 = 1;
/// Longer than any copy takes, and not more than a clock can add.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

#[derive(Debug)]
pub(super) struct Connection {
    pub config: RbdConfig,
    threads: Threads,
    live: Mutex<Live>,
    /// Held by the one who connects.
    turn: tokio::sync::Mutex<()>,
    /// Held while a connection waits for a map, which may be for as long as the monitors are away.
    map: Arc<Semaphore>,
    /// Of the cluster, or what the configuration file says before it was reached.
    fsid: Mutex<Option<String>>,
    reached: OnceLock<()>,
}

#[derive(Debug, Default)]
struct Live {
    pool: Option<Arc<Pool>>,
    failure: Option<Failure>,
    unanswered: u32,
}

#[derive(Debug)]
struct Failure {
    when: Instant,
    kind: StoreErrorKind,
    message: String,
    temporary: bool,
}

/// A pool of a connected cluster.
#[derive(Debug)]
pub(super) struct Pool {
    pub io: Arc<IoCtx>,
    pub fsid: String,
    /// By which the cluster knows this connection.
    pub address: String,
    /// How new images are made.
    pub shape: Shape,
}

impl Connection {
    /// Reads `ceph.conf`, connects to nothing. A file that is not there is a store that does not work yet.
    pub fn new(config: RbdConfig) -> Self {
        let fsid = configure(&config, &[]).and_then(|c| c.option("fsid").map_err(at("fsid"))).ok();
        let fsid = Mutex::new(fsid.filter(|id| !id.is_empty() && id != NO_FSID));
        let (live, turn, reached) = (Mutex::default(), tokio::sync::Mutex::default(), OnceLock::new());
        let map = Arc::new(Semaphore::new(1));
        Self { config, threads: Threads::new(THREADS), live, turn, map, fsid, reached }
    }

    /// The cluster's id, as far as it is known: a `ceph.conf` need not say it.
    pub fn fsid(&self) -> Option<String> {
        self.fsid.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `factor` times the time that the cluster has for one answer: a call asks for several.
    pub fn limit(&self, factor: u32) -> Duration {
        Duration::from_secs(u64::from(self.config.timeout_s)).saturating_mul(factor) + Duration::from_secs(1)
    }

    /// The pool, connected.
    pub async fn pool(&self) -> Result<Arc<Pool>, StoreError> {
        if let Some(pool) = &self.live().pool {
            return Ok(Arc::clone(pool));
        }
        self.connect(Some(PAUSE)).await
    }

    /// The same for a probe, which always tries, and gives up a connection that does not answer.
    pub async fn pool_for_probe(&self) -> Result<Arc<Pool>, StoreError> {
        {
            let mut live = self.live();
            if live.unanswered >= PATIENCE {
                live.unanswered = 0;
                live.pool = None;
            }
            if let Some(pool) = &live.pool {
                return Ok(Arc::clone(pool));
            }
        }
        self.connect(None).await
    }

    async fn connect(&self, pause: Option<Duration>) -> Result<Arc<Pool>, StoreError> {
        let begun = Instant::now();
        let Ok(_turn) = timeout(self.limit(2), self.turn.lock()).await else { return Err(no_answer("connect")) };
        {
            let live = self.live();
            if let Some(pool) = &live.pool {
                return Ok(Arc::clone(pool));
            }
            if let Some(failure) = &live.failure
                && (failure.when >= begun || pause.is_some_and(|pause| failure.when.elapsed() < pause))
            {
                return Err(failure.again());
            }
        }
        let config = self.config.clone();
        let result = self.threads.run("connect", self.limit(2), move || connect(&config, &[])).await;
        let mut live = self.live();
        match result {
            Ok(pool) => {
                *self.fsid.lock().unwrap_or_else(PoisonError::into_inner) = Some(pool.fsid.clone());
                if self.reached.set(()).is_err() {
                    tracing::info!(pool = self.config.pool, "connected to the cluster again");
                }
                *live = Live { pool: Some(Arc::clone(&pool)), failure: None, unanswered: 0 };
                Ok(pool)
            }
            Err(error) => {
                live.failure = Some(Failure::of(&error));
                Err(error)
            }
        }
    }

    /// The pool in a connection of its own, for work that nothing but [`Connection::shut_out`] can stop. librbd does so
    /// many things at a time in it as a stream has requests under way.
    pub async fn apart(&self) -> Result<Arc<Pool>, StoreError> {
        let config = self.config.clone();
        let options = [("rbd_concurrent_management_ops", config.in_flight.to_string())];
        self.threads.run("connect", self.limit(2), move || connect(&config, &options)).await
    }

    /// Runs a job for as long as it takes, in such a connection.
    pub async fn work<T, F>(&self, what: &'static str, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, StoreError> + Send + 'static,
    {
        self.threads.run(what, FOREVER, job).await
    }

    /// Runs a job that blocks, in the pool; gives up after `factor` times the time for one answer.
    pub async fn call<T, F>(&self, what: &'static str, factor: u32, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Pool) -> Result<T, StoreError> + Send + 'static,
    {
        let pool = self.pool().await?;
        self.call_in(pool, what, factor, job).await
    }

    /// The same in a pool that is at hand.
    pub async fn call_in<T, F>(&self, pool: Arc<Pool>, what: &'static str, factor: u32, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Pool) -> Result<T, StoreError> + Send + 'static,
    {
        let inside = Arc::clone(&pool);
        let result = self.threads.run(what, self.limit(factor), move || job(&inside)).await;
        self.note(&pool, result.as_ref().err().and_then(errors::errno));
        result
    }

    /// Waits for the answer to a request to an image of this pool.
    pub async fn answer<T>(
        &self,
        pool: &Arc<Pool>,
        what: &'static str,
        transfer: Transfer<T>,
    ) -> Result<T, StoreError> {
        let result = match timeout(self.limit(3), transfer).await {
            Ok(Ok(result)) => result.map_err(at(what)),
            Ok(Err(_)) => Err(failed(what, Errno::TIMEDOUT)),
            Err(_) => Err(no_answer(what)),
        };
        self.note(pool, result.as_ref().err().and_then(errors::errno));
        result
    }

    /// Has a connection, which may be an older one, hear which osds are gone. By itself it asks only while a request waits
    /// for ten seconds, and until it knows it keeps what was on its way to such an osd, and the write that this was for.
    pub async fn update_map(&self, cluster: Arc<Cluster>) -> Result<(), StoreError> {
        let Ok(turn) = Arc::clone(&self.map).try_acquire_owned() else { return Err(no_answer("map")) };
        let update = move || {
            let _turn = turn;
            cluster.update_map().map_err(at("map"))
        };
        self.threads.run("map", self.limit(1), update).await
    }

    /// Whether the store uses the connection of this address now.
    pub fn is_current(&self, address: &str) -> bool {
        self.live().pool.as_ref().is_some_and(|pool| pool.address == address)
    }

    /// Ends a connection for good: the cluster refuses it from now on, so that what runs in it fails and holds no image any
    /// more. The current one is left for a new one.
    pub async fn shut_out(&self, address: &str) -> Result<(), StoreError> {
        if self.is_current(address) {
            tracing::warn!(pool = self.config.pool, "an image never closes: the store's connection is given up");
            self.live().pool = None;
        }
        let address = address.to_owned();
        self.call("shut out", 3, move |pool| pool.io.cluster().shut_out(&address).map_err(at("shut out"))).await
    }

    /// Learns from how a call ended. What still runs in a pool that was given up says nothing of the one after it.
    fn note(&self, pool: &Arc<Pool>, errno: Option<Errno>) {
        let mut live = self.live();
        if !live.pool.as_ref().is_some_and(|current| Arc::ptr_eq(current, pool)) {
            return;
        }
        match errno {
            Some(Errno::TIMEDOUT | Errno::BADMSG) => live.unanswered = live.unanswered.saturating_add(1),
            // ENOTCONN, ESHUTDOWN: the cluster shut this client out.
            Some(Errno(107 | 108)) => live.pool = None,
            _ => live.unanswered = 0,
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failure {
    fn of(error: &StoreError) -> Self {
        Self { when: Instant::now(), kind: error.kind, message: error.message.clone(), temporary: error.temporary }
    }

    fn again(&self) -> StoreError {
        StoreError { kind: self.kind, message: self.message.clone(), temporary: self.temporary, source: None }
    }
}

fn configure(config: &RbdConfig, more: &[(&'static str, String)]) -> Result<Cluster, StoreError> {
    let limit = config.timeout_s.to_string();
    let mut options = vec![
        ("client_mount_timeout", limit.clone()),
        ("rados_mon_op_timeout", limit.clone()),
        ("rados_osd_op_timeout", limit),
    ];
    options.extend_from_slice(more);
    if let Some(keyring) = &config.keyring {
        options.push(("keyring", keyring.display().to_string()));
    }
    // Each stream bounds its own requests; the common bound would make a thread of the caller wait.
    let wishes = &[
        ("objecter_inflight_op_bytes", "0"),
        ("objecter_inflight_ops", "0"),
        ("rbd_cache", "false"),
        // A buffer is not changed while its write is under way, so librbd need not copy it. Such a write ends when the
        // connection to its osd lets go of the buffer: see `Connection::update_map`.
        ("rbd_disable_zero_copy_writes", "false"),
        // What matters is in the errors; `ceph.conf` may name a log file.
        ("err_to_stderr", "false"),
        ("log_to_stderr", "false"),
    ];
    let conf = config.conf.display().to_string();
    let login = Login { user: &config.user, conf: &conf, options: &options, wishes };
    Cluster::configure(&login).map_err(|e| {
        let text = format!("configuration `{conf}` of user `{}`: {e}", config.user);
        StoreError { source: Some(Box::new(e)), ..StoreError::temporary(StoreErrorKind::Unavailable, text) }
    })
}

fn connect(config: &RbdConfig, more: &[(&'static str, String)]) -> Result<Arc<Pool>, StoreError> {
    let cluster = configure(config, more)?;
    cluster.connect().map_err(|e| match e {
        // No keyring, or none that fits the user; a key that is none.
        Errno::NOENT | Errno::INVAL => StoreError {
            kind: StoreErrorKind::Denied,
            message: format!("connect: no usable key for user `{}`: {e}", config.user),
            ..failed("connect", e)
        },
        e => failed("connect", e),
    })?;
    let cluster = Arc::new(cluster);
    let pool = |name: &str| {
        IoCtx::open(&cluster, name).map_err(|e| match e {
            Errno::NOENT => StoreError::permanent(StoreErrorKind::Unavailable, format!("there is no pool `{name}`")),
            e => failed("pool", e),
        })
    };
    let io = pool(&config.pool)?;
    if let Some(name) = &config.data_pool {
        pool(name)?;
    }
    let features = cluster.option("rbd_default_features").map_err(at("features"))?;
    let shape = Shape {
        order: config.order(),
        features: features.trim().parse().ok().filter(|f| *f != 0).unwrap_or(LAYERING),
        data_pool: config.data_pool.clone(),
    };
    let fsid = cluster.fsid().map_err(at("fsid"))?;
    let address = cluster.address().map_err(at("address"))?;
    Ok(Arc::new(Pool { io, fsid, address, shape }))
}
