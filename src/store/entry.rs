//! One configured store: its back end, its state and health as last seen, and how busy it is.
//!
//! What is seen of a back end outlives a change of the options around it (weight, labels …): the entry that comes in
//! place of this one shares it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{Room, Store, StoreError, StoreErrorKind};
use crate::{
    authz::StoreFacts,
    config::{self, StoreState},
};

/// A probe that takes longer makes its store unhealthy.
pub(super) const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// One store.
pub struct Entry {
    id: String,
    config: config::Store,
    kind: &'static str,
    live: Arc<Live>,
}

/// The back end, and what is seen of it.
struct Live {
    store: Arc<dyn Store>,
    seen: Mutex<Seen>,
    /// Held by the probe that runs, so that a store that hangs is asked once, not again and again.
    probing: Arc<tokio::sync::Mutex<()>>,
    in_flight: AtomicU32,
}

#[derive(Debug)]
struct Seen {
    /// The operator's word at run time; `None` is the configured state.
    state: Option<StoreState>,
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
pub struct InFlight(Arc<Live>);

impl Entry {
    /// An entry whose back end is `store`, of the type `kind`. Unhealthy until it was probed.
    pub fn new(id: &str, config: config::Store, kind: &'static str, store: Arc<dyn Store>) -> Self {
        let reason = Some("not asked yet".to_owned());
        let health = Health { healthy: false, reason, room: None, latency: Duration::ZERO };
        let seen = Mutex::new(Seen { state: None, health });
        let live = Live { store, seen, probing: Arc::default(), in_flight: AtomicU32::new(0) };
        Self { id: id.to_owned(), config, kind, live: Arc::new(live) }
    }

    /// The same back end, and all that is known of it, under changed options.
    #[must_use]
    pub fn with(&self, config: config::Store) -> Self {
        Self { id: self.id.clone(), config, kind: self.kind, live: Arc::clone(&self.live) }
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
        &self.live.store
    }

    /// What policies may know.
    pub fn facts(&self) -> StoreFacts {
        StoreFacts { id: self.id.clone(), kind: self.kind.to_owned(), labels: self.config.labels.clone() }
    }

    /// Whether it takes part, now.
    pub fn state(&self) -> StoreState {
        self.seen().state.unwrap_or(self.config.state)
    }

    /// Changes whether it takes part; `None` is what the configuration says.
    pub fn set_state(&self, state: Option<StoreState>) {
        let before = std::mem::replace(&mut self.seen().state, state).unwrap_or(self.config.state);
        let after = state.unwrap_or(self.config.state);
        if before != after {
            let (before, after) = (before.as_str(), after.as_str());
            tracing::info!(store.id = %self.id, before, after, "store changed its state");
        }
    }

    /// What the last probe saw.
    pub fn health(&self) -> Health {
        self.seen().health.clone()
    }

    /// The numbers by which stores are ranked.
    pub fn figures(&self) -> Figures {
        let seen = self.seen();
        let room = seen.health.room.unwrap_or(Room { total: 0, free: 0 });
        Figures {
            state: seen.state.unwrap_or(self.config.state),
            healthy: seen.health.healthy,
            total: room.total,
            free: room.free,
            in_flight: self.live.in_flight.load(Ordering::Relaxed),
            latency_us: u32::try_from(seen.health.latency.as_micros()).unwrap_or(u32::MAX),
        }
    }

    /// Counts an upload until the guard is dropped.
    #[must_use]
    pub fn enter(&self) -> InFlight {
        self.live.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.live))
    }

    /// A call failed: if that may be the store's own fault, it takes no more uploads until it answers a probe, which
    /// begins at once. Returns the error.
    pub fn failed(self: &Arc<Self>, error: StoreError) -> StoreError {
        let suspect = match error.kind {
            StoreErrorKind::Unavailable | StoreErrorKind::Denied | StoreErrorKind::Unexpected => true,
            // The store is well; its room is asked anew.
            StoreErrorKind::NoSpace => false,
            _ => return error,
        };
        if suspect {
            let latency = self.seen().health.latency;
            self.note(None, Some(format!("a call failed: {error}")), latency);
        }
        let entry = Arc::clone(self);
        tokio::spawn(async move { entry.probe(PROBE_DEADLINE).await });
        error
    }

    /// Asks the back end, and waits for its answer so long. A probe that still runs is not asked a second time.
    pub(super) async fn probe(self: &Arc<Self>, deadline: Duration) {
        let Ok(turn) = Arc::clone(&self.live.probing).try_lock_owned() else { return };
        let entry = Arc::clone(self);
        let probe = tokio::spawn(async move {
            let _turn = turn;
            let begun = Instant::now();
            let answer = entry.live.store.probe().await;
            entry.answered(answer, begun.elapsed(), deadline);
        });
        if timeout(deadline, probe).await.is_err() {
            self.note(None, Some(format!("no answer in {} s", deadline.as_secs_f32())), deadline);
        }
    }

    fn answered(&self, answer: Result<Room, StoreError>, took: Duration, deadline: Duration) {
        match answer {
            Ok(room) if took <= deadline => self.note(Some(room), None, took),
            Ok(room) => self.note(Some(room), Some(format!("slow: {} s", took.as_secs())), took),
            Err(e) => self.note(None, Some(e.to_string()), took),
        }
    }

    /// Keeps what a probe saw, and logs when the health changed.
    fn note(&self, room: Option<Room>, reason: Option<String>, took: Duration) {
        let mut seen = self.seen();
        let before = &seen.health;
        let latency = if before.latency.is_zero() { took } else { (before.latency * 3 + took) / 4 };
        let after = Health { healthy: reason.is_none(), reason, room: room.or(before.room), latency };
        if (before.healthy, &before.reason) != (after.healthy, &after.reason) {
            match &after.reason {
                None => tracing::info!(store.id = %self.id, "store is healthy"),
                Some(reason) => tracing::warn!(store.id = %self.id, %reason, "store is unhealthy"),
            }
        }
        seen.health = after;
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.live.seen.lock().unwrap_or_else(PoisonError::into_inner)
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
