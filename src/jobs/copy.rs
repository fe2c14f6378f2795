//! Works on the queue of copies: a bounded number at a time, each under a lease that is renewed beside the work.
//!
//! However a copy ends, it leaves the store either with a published object or with nothing, and until then its row is
//! open; what a dead process leaves open is taken by the next one that comes by.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    app::App,
    authz::Permit,
    db::{CopyLease, CopyState},
    error::{Kind, Result},
    image, notify, protect,
};

mod stream;
mod transfer;

/// Pause between looks at the queue.
const ROUND: Duration = Duration::from_secs(1);
/// Pause between signs of life, which is also how fast a cancel is noticed.
const BEAT: Duration = Duration::from_secs(1);
/// First and longest pause before another try.
const PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));
/// Copies that ended are shown so long.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Pause between looks for those that were shown long enough.
const PRUNE: Duration = Duration::from_secs(3600);

/// Why a copy does not go on.
#[derive(Debug)]
enum Stop {
    /// It may work later, from where it is.
    Later(String),
    /// It never will.
    Failed(String),
    /// It never will, and no byte of it was written.
    Refused(String),
    /// Somebody gave it up: bytes are to be removed.
    GivenUp,
    /// It is not ours any more: nothing may be touched.
    Lost,
}

/// How far a copy is, shared by the work and the sign of life.
#[derive(Debug, Default)]
struct Progress {
    done: AtomicU64,
    source: Mutex<Option<String>>,
}

/// Takes copies from the queue for ever.
pub(super) async fn run(app: Arc<App>) {
    let mut running = JoinSet::new();
    let mut pruned: Option<Instant> = None;
    let lease = Duration::from_secs(app.config.images.upload_lease_s);
    loop {
        while running.len() < app.config.copies.parallel {
            match app.db.take_copy(&app.node, &app.boot, lease).await {
                Ok(Some(copy)) => {
                    running.spawn(work(app.clone(), copy));
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(?error, "the queue of copies cannot be read now");
                    break;
                }
            }
        }
        if pruned.is_none_or(|at| at.elapsed() > PRUNE) {
            prune(&app).await;
            pruned = Some(Instant::now());
        }
        tokio::select! {
            () = sleep(ROUND) => {}
            Some(ended) = running.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(?error, "the task of a copy was lost; it is taken up again when its lease is over");
                }
            }
        }
    }
}

async fn prune(app: &App) {
    let before = Timestamp::now().checked_sub(KEPT).unwrap_or(Timestamp::MIN);
    if let Err(error) = app.db.prune_copies(&Permit::system("copy"), before).await {
        tracing::warn!(?error, "old copies are not forgotten yet");
    }
}

/// Brings one copy to its end, or back into the queue.
async fn work(app: Arc<App>, mut copy: CopyLease) {
    let _counted = Counted::new();
    let permit = Permit::system("copy");
    let progress = Progress::default();
    progress.set(copy.done);
    tracing::info!(image.id = copy.image_id, copy = copy.id, store = copy.store, at = copy.done, state = %copy.state, "copy taken");
    let from = (copy.store.clone(), copy.done);
    let ended = match copy.state {
        CopyState::Running => carry(&app, &permit, &mut copy, &progress).await,
        _ => Err(Stop::GivenUp),
    };
    let ended = match ended {
        Err(Stop::Failed(why)) => give_up(&app, &permit, &copy, &why, false).await,
        Err(Stop::Refused(why)) => give_up(&app, &permit, &copy, &why, true).await,
        other => other,
    };
    let ended = match ended {
        Err(Stop::GivenUp) => clean(&app, &permit, &copy, &progress).await,
        other => other,
    };
    if let Err(Stop::Later(why)) = ended {
        // Only tries that brought nothing make the pause longer.
        let advanced = copy.store != from.0 || progress.done() > from.1;
        let attempts = if advanced { 1 } else { copy.attempts.saturating_add(1) };
        let wait = PAUSE.0.saturating_mul(1 << attempts.saturating_sub(1).min(8)).min(PAUSE.1);
        tracing::warn!(image.id = copy.image_id, copy = copy.id, store = copy.store, why, ?wait, "copy waits");
        count("retried", &copy);
        if let Err(error) = app.db.retry_copy(&copy, progress.done(), &why, attempts, wait).await {
            tracing::warn!(copy = copy.id, ?error, "the copy is taken up again when its lease is over");
        }
    }
}

/// The copy itself, under signs of life, and its publication.
async fn carry(app: &App, permit: &Permit, copy: &mut CopyLease, progress: &Progress) -> Result<(), Stop> {
    let holder = copy.clone();
    let url = tokio::select! {
        url = transfer::run(app, permit, copy, progress) => url?,
        stop = beat(app, &holder, progress, CopyState::Running) => return Err(stop),
    };
    let image = look(app, &copy.image_id).await?;
    let told = protect::told(&image::for_owner(app, &image), &image);
    let told = told.map_err(|e| Stop::Later(format!("the event could not be written: {e}")))?;
    let events = [notify::image_event("image.update", &told)];
    match app.db.publish_copy(permit, copy, progress.source().as_deref(), &url, &events).await {
        Ok(_) => {
            tracing::info!(image.id = copy.image_id, copy = copy.id, store = copy.store, bytes = copy.total, "copied");
            count("done", copy);
            Ok(())
        }
        // The image or the lease went away while the object was finished; the row knows which.
        Err(e) if e.kind() == Kind::Gone => Err(standing(app, copy, progress).await),
        // It may have been committed nevertheless: then the row is no longer ours, and nothing more is done.
        Err(e) => Err(Stop::Later(format!("the copy could not be published: {e}"))),
    }
}

async fn look(app: &App, id: &str) -> Result<image::Image, Stop> {
    match app.db.image(id).await {
        Ok(Some(image)) => Ok(image),
        Ok(None) => Err(Stop::GivenUp),
        Err(e) => Err(Stop::Later(e.to_string())),
    }
}

/// What became of a copy that cannot go on.
async fn standing(app: &App, copy: &CopyLease, progress: &Progress) -> Stop {
    match app.db.touch_copy(copy, progress.done(), None).await {
        Ok(CopyState::Running) => Stop::Later("the image changed meanwhile".into()),
        Ok(_) => Stop::GivenUp,
        Err(e) if e.kind() == Kind::Gone => Stop::Lost,
        Err(e) => Stop::Later(e.to_string()),
    }
}

/// Signs of life until the copy is no longer what it was. Without an answer of the database for as long as the lease,
/// another gateway may have taken it.
async fn beat(app: &App, copy: &CopyLease, progress: &Progress, state: CopyState) -> Stop {
    let lease = Duration::from_secs(app.config.images.upload_lease_s);
    let mut heard = Instant::now();
    loop {
        sleep(BEAT).await;
        let asked = Instant::now();
        match app.db.touch_copy(copy, progress.done(), progress.source().as_deref()).await {
            Ok(now) if now == state => heard = asked,
            Ok(_) => return Stop::GivenUp,
            Err(e) if e.kind() == Kind::Gone => return Stop::Lost,
            Err(error) if heard.elapsed() + BEAT * 2 > lease => {
                tracing::error!(copy = copy.id, ?error, "the lease of a copy could not be renewed in time");
                return Stop::Lost;
            }
            Err(error) => tracing::warn!(copy = copy.id, ?error, "the lease of a copy is not renewed yet"),
        }
    }
}

/// Ends the reservation and says why, before bytes are removed.
async fn give_up(app: &App, permit: &Permit, copy: &CopyLease, why: &str, unwritten: bool) -> Result<(), Stop> {
    tracing::error!(image.id = copy.image_id, copy = copy.id, store = copy.store, why, "copy failed");
    match app.db.fail_copy(permit, copy, why, unwritten).await {
        Ok(()) if unwritten => {
            count("failed", copy);
            Ok(())
        }
        Ok(()) => Err(Stop::GivenUp),
        Err(e) if e.kind() == Kind::Gone => Err(standing(app, copy, &Progress::default()).await),
        Err(e) => Err(Stop::Later(e.to_string())),
    }
}

/// Removes what a copy that was given up wrote; then the row ends.
async fn clean(app: &App, permit: &Permit, copy: &CopyLease, progress: &Progress) -> Result<(), Stop> {
    progress.set(0);
    let state = match app.db.touch_copy(copy, 0, None).await {
        Ok(CopyState::Running) => return Err(Stop::Later("the image cannot be read now".into())),
        Ok(state) => state,
        Err(e) if e.kind() == Kind::Gone => return Err(Stop::Lost),
        Err(e) => return Err(Stop::Later(e.to_string())),
    };
    let Some(entry) = app.stores.get(&copy.store) else {
        return Err(Stop::Later(format!("store {} is not configured: its part of the copy waits there", copy.store)));
    };
    let removed = tokio::select! {
        removed = entry.store().discard(permit, &copy.image_id) => removed,
        stop = beat(app, copy, progress, state) => return Err(stop),
    };
    removed.map_err(|e| Stop::Later(format!("store {}: {e}", copy.store)))?;
    match app.db.end_copy(permit, copy).await {
        Ok(()) => {
            count(if state == CopyState::Failing { "failed" } else { "cancelled" }, copy);
            Ok(())
        }
        Err(e) => Err(Stop::Later(e.to_string())),
    }
}

fn count(outcome: &'static str, copy: &CopyLease) {
    metrics::counter!("fanlight_copies_total", "outcome" => outcome, "store" => copy.store.clone()).increment(1);
}

impl Progress {
    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    fn set(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }

    fn source(&self) -> Option<String> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn read_from(&self, store: &str) {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if source.as_deref() != Some(store) {
            *source = Some(store.to_owned());
        }
    }
}

/// A copy that runs, for the metric.
struct Counted;

impl Counted {
    fn new() -> Self {
        metrics::gauge!("fanlight_copies_running").increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("fanlight_copies_running").decrement(1.0);
    }
}
