//! All configured stores: their state, their health as last seen, and how busy they are.
//!
//! A store that does not work is a fact to report, never a reason not to start or to wait: every question that
//! goes to a back end here has a deadline.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use super::{FileStore, Room, Store, StoreError};
use crate::{
    authz::StoreFacts,
    config::{self, Backend, StoreState},
    error::{Error, Result},
};

/// A probe that takes longer makes its store unhealthy.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);
/// The longest store id.
const ID_MAX: usize = 64;
/// Ids that begin so belong to the service.
const RESERVED: &str = "os_glance_";

/// Every configured store, in the order of their ids. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stores {
    entries: Arc<BTreeMap<String, Arc<Entry>>>,
    default: Arc<Entry>,
}

/// One store.
pub struct Entry {
    id: String,
    config: config::Store,
    kind: &'static str,
    store: Arc<dyn Store>,
    live: Mutex<Live>,
    /// Held by the probe that runs, so that a store that hangs is asked once, not again and again.
    probing: Arc<tokio::sync::Mutex<()>>,
    in_flight: AtomicU32,
}

#[derive(Debug)]
struct Live {
    state: StoreState,
    health: Health,
}

/// What the last probe saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The store answered in time.
    pub healthy: bool,
    /// Why not, for the operator.
    pub reason: Option<String>,
    /// Room, as last known.
    pub room: Option<Room>,
    /// How long the store takes to answer, smoothed.
    pub latency: Duration,
}

/// The numbers by which stores are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Takes part or not.
    pub state: StoreState,
    /// The last probe went well.
    pub healthy: bool,
    /// Bytes in all; 0 when not known.
    pub total: u64,
    /// Bytes free; 0 when not known.
    pub free: u64,
    /// Uploads that run through this gateway.
    pub in_flight: u32,
    /// Microseconds that the store takes to answer.
    pub latency_us: u32,
}

/// An upload that runs; it is counted until this is dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Entry>);

impl Stores {
    /// Opens what is configured. A store that does not work is kept, unhealthy, and asked again by [`Stores::refresh`].
    ///
    /// # Errors
    /// `Invalid` when the configuration cannot hold: a bad id, a bad path, two defaults, two stores in one folder, none.
    pub async fn open(stores: &BTreeMap<String, config::Store>) -> Result<Self> {
        let mut entries = Vec::new();
        let mut folders = Vec::new();
        for (id, config) in stores {
            match &config.backend {
                Backend::File { path } => {
                    let file = FileStore::new(path).map_err(|e| Error::invalid(format!("store `{id}`: {e}")))?;
                    let file = Arc::new(file);
                    folders.push((id, Arc::clone(&file)));
                    entries.push(Entry::new(id, config.clone(), "file", file));
                }
                Backend::Rbd(rbd) => entries.push(Entry::new(id, config.clone(), "rbd", pool(id, rbd)?)),
            }
        }
        let stores = Self::of(entries)?;
        stores.refresh().await;
        let mut seen = BTreeMap::new();
        for (id, folder) in folders {
            // A folder that cannot be looked at in time is an unhealthy store; what it is shows when it answers.
            let Ok(Ok(identity)) = timeout(PROBE_DEADLINE, folder.identity()).await else { continue };
            if let Some(other) = seen.insert(identity, id) {
                return Err(Error::invalid(format!("stores `{other}` and `{id}` are the same folder")));
            }
        }
        stores.check_identities()?;
        Ok(stores)
    }

    /// Refuses stores that are one and the same in spite of different options, as far as they know what they are.
    fn check_identities(&self) -> Result<()> {
        let mut seen = BTreeMap::new();
        for entry in self.iter() {
            let Some(identity) = entry.store.identity() else { continue };
            if let Some(other) = seen.insert(identity, &entry.id) {
                return Err(Error::invalid(format!("stores `{other}` and `{}` are the same pool", entry.id)));
            }
        }
        Ok(())
    }

    /// The stores that these entries are.
    ///
    /// # Errors
    /// `Invalid` for bad or repeated ids, for two defaults, and for no store at all.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Result<Self> {
        let mut all: BTreeMap<String, Arc<Entry>> = BTreeMap::new();
        let mut default: Option<Arc<Entry>> = None;
        for entry in entries {
            check_id(&entry.id)?;
            let entry = Arc::new(entry);
            if entry.config.default
                && let Some(other) = default.replace(Arc::clone(&entry))
            {
                let text = format!("stores `{}` and `{}` are both the default", other.id, entry.id);
                return Err(Error::invalid(text));
            }
            if let Some(twin) = all.insert(entry.id.clone(), entry) {
                return Err(Error::invalid(format!("store `{}` is there twice", twin.id)));
            }
        }
        match default.or_else(|| all.values().next().cloned()) {
            Some(default) => Ok(Self { entries: Arc::new(all), default }),
            None => Err(Error::invalid("no store is configured")),
        }
    }

    /// The store of this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Entry>> {
        self.entries.get(id)
    }

    /// All, in the order of their ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// The store that is named as default: the one that the configuration names, else the first.
    pub fn default_store(&self) -> &Arc<Entry> {
        &self.default
    }

    /// Asks every store for its room, all at the same time. Returns after the deadline of one probe at the latest.
    pub async fn refresh(&self) {
        join_all(self.iter().map(|entry| entry.probe(PROBE_DEADLINE))).await;
    }

    /// Goes on refreshing for ever.
    pub async fn watch(&self, every: Duration) {
        loop {
            sleep(every).await;
            self.refresh().await;
        }
    }
}

impl Entry {
    /// An entry whose back end is `store`, of the type `kind`. Unhealthy until it was probed.
    pub fn new(id: &str, config: config::Store, kind: &'static str, store: Arc<dyn Store>) -> Self {
        let reason = Some("not asked yet".to_owned());
        let health = Health { healthy: false, reason, room: None, latency: Duration::ZERO };
        let live = Mutex::new(Live { state: config.state, health });
        let probing = Arc::default();
        Self { id: id.to_owned(), config, kind, store, live, probing, in_flight: AtomicU32::new(0) }
    }

    /// Id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// As configured. The state may have changed since: [`Entry::state`].
    pub fn config(&self) -> &config::Store {
        &self.config
    }

    /// `file` …
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The back end.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What policies may know.
    pub fn facts(&self) -> StoreFacts {
        StoreFacts { id: self.id.clone(), kind: self.kind.to_owned(), labels: self.config.labels.clone() }
    }

    /// Whether it takes part, now.
    pub fn state(&self) -> StoreState {
        self.live().state
    }

    /// Changes whether it takes part, until the next start.
    pub fn set_state(&self, state: StoreState) {
        let before = std::mem::replace(&mut self.live().state, state);
        if before != state {
            tracing::info!(store.id = %self.id, ?before, ?state, "store changed its state");
        }
    }

    /// What the last probe saw.
    pub fn health(&self) -> Health {
        self.live().health.clone()
    }

    /// The numbers by which stores are ranked.
    pub fn figures(&self) -> Figures {
        let live = self.live();
        let room = live.health.room.unwrap_or(Room { total: 0, free: 0 });
        Figures {
            state: live.state,
            healthy: live.health.healthy,
            total: room.total,
            free: room.free,
            in_flight: self.in_flight.load(Ordering::Relaxed),
            latency_us: u32::try_from(live.health.latency.as_micros()).unwrap_or(u32::MAX),
        }
    }

    /// Counts an upload until the guard is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Asks the back end, and waits for its answer so long. A probe that still runs is not asked a second time.
    async fn probe(self: &Arc<Self>, deadline: Duration) {
        let Ok(turn) = Arc::clone(&self.probing).try_lock_owned() else { return };
        let entry = Arc::clone(self);
        let probe = tokio::spawn(async move {
            let _turn = turn;
            let begun = Instant::now();
            let answer = entry.store.probe().await;
            entry.seen(answer, begun.elapsed(), deadline);
        });
        if timeout(deadline, probe).await.is_err() {
            self.note(None, Some(format!("no answer in {} s", deadline.as_secs_f32())), deadline);
        }
    }

    fn seen(&self, answer: std::result::Result<Room, StoreError>, took: Duration, deadline: Duration) {
        match answer {
            Ok(room) if took <= deadline => self.note(Some(room), None, took),
            Ok(room) => self.note(Some(room), Some(format!("slow: {} s", took.as_secs())), took),
            Err(e) => self.note(None, Some(e.to_string()), took),
        }
    }

    /// Keeps what a probe saw, and logs when the health changed.
    fn note(&self, room: Option<Room>, reason: Option<String>, took: Duration) {
        let mut live = self.live();
        let before = &live.health;
        let latency = if before.latency.is_zero() { took } else { (before.latency * 3 + took) / 4 };
        let after = Health { healthy: reason.is_none(), reason, room: room.or(before.room), latency };
        if (before.healthy, &before.reason) != (after.healthy, &after.reason) {
            match &after.reason {
                None => tracing::info!(store.id = %self.id, "store is healthy"),
                Some(reason) => tracing::warn!(store.id = %self.id, %reason, "store is unhealthy"),
            }
        }
        live.health = after;
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A store in a pool of a Ceph cluster. Asks nobody whether it works.
#[cfg(feature = "rbd")]
fn pool(_id: &str, config: &config::RbdConfig) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(super::RbdStore::new(config.clone())))
}

#[cfg(not(feature = "rbd"))]
fn pool(id: &str, _config: &config::RbdConfig) -> Result<Arc<dyn Store>> {
    Err(Error::invalid(format!("store `{id}`: this program was built without Ceph; build with `--features rbd`")))
}

fn check_id(id: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if id.is_empty() || id.len() > ID_MAX || !id.bytes().all(plain) {
        let text = format!("store id `{}` must be 1 to {ID_MAX} of A-Z a-z 0-9 _ . -", id.escape_debug());
        return Err(Error::invalid(text));
    }
    if id.starts_with(RESERVED) {
        return Err(Error::invalid(format!("store id `{id}`: names that begin with `{RESERVED}` are reserved")));
    }
    Ok(())
}
