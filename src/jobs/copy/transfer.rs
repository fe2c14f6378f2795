//! Which store is written and which copies are read, until one pass over the data gives what the image's hash says.

use std::sync::{Arc, atomic::AtomicBool};

use super::{Progress, Stop, look, stream};
use crate::{
    app::App,
    authz::Permit,
    config::StoreState,
    db::CopyLease,
    image::{Image, Seal, ranked},
    store::{Entry, Place},
};

/// Why one pass over the data ended without an object.
#[derive(Debug)]
pub(super) enum Trouble {
    /// No copy can be read to the end now.
    Source(String),
    /// The store that is written cannot go on now; what it has stays.
    Target(String),
    /// The store that is written has no room for it.
    Full(String),
    /// An object that nobody knows lies where the copy would.
    Occupied,
    /// All bytes came, and they are not the image's. The store that they all came from, if it was one.
    Mismatch(Option<String>),
}

/// One target, and all that a pass to it needs.
pub(super) struct Job<'a> {
    pub(super) app: &'a App,
    pub(super) permit: &'a Permit,
    pub(super) entry: Arc<Entry>,
    pub(super) image: Image,
    pub(super) seal: Seal,
    pub(super) progress: &'a Progress,
    /// Nothing was written yet, so nothing may be removed.
    pub(super) fresh: AtomicBool,
}

/// Copies to the store at hand, or to the next one when that is full. Gives the URL of the finished object, which
/// nobody knows of yet.
pub(super) async fn run(app: &App, permit: &Permit, copy: &mut CopyLease, progress: &Progress) -> Result<String, Stop> {
    loop {
        let image = look(app, &copy.image_id).await?;
        if image.size != Some(copy.total) {
            return Err(Stop::Failed("the image has another size than when the copy was asked for".into()));
        }
        let Some(seal) = Seal::of(&image) else {
            return Err(Stop::Failed("the image has no hash by which the copy could be verified".into()));
        };
        let entry = writable(app, &copy.store)?;
        let job = Job { app, permit, entry, image, seal, progress, fresh: AtomicBool::new(copy.fresh) };
        let full = match job.attempt().await {
            Ok(url) => return Ok(url),
            Err(Trouble::Full(why)) => format!("store {}: {why}", copy.store),
            Err(Trouble::Occupied) => {
                let text = format!("store {} holds data of this image's name that no image has: scrub it", copy.store);
                return Err(Stop::Refused(text));
            }
            Err(Trouble::Source(why)) => return Err(Stop::Later(why)),
            Err(Trouble::Target(why)) => return Err(Stop::Later(format!("store {}: {why}", copy.store))),
            Err(Trouble::Mismatch(_)) => {
                let text = format!("no copy of the image has the data that its hash ({}) says", job.seal.algo);
                return Err(Stop::Failed(text));
            }
        };
        // The row names one store at a time: the bytes in this one must be gone before it names the next.
        job.discard().await.map_err(|why| Stop::Later(format!("store {}: {why}", copy.store)))?;
        progress.set(0);
        match app.db.move_copy(copy, &full).await {
            Ok(true) => tracing::warn!(copy = copy.id, store = copy.store, full, "copy turns to the next store"),
            Ok(false) => return Err(Stop::Failed(full)),
            Err(e) => return Err(Stop::Later(e.to_string())),
        }
    }
}

/// The store, if it can be written now.
fn writable(app: &App, store: &str) -> Result<Arc<Entry>, Stop> {
    let Some(entry) = app.stores.get(store) else {
        return Err(Stop::Later(format!("store {store} is not configured")));
    };
    let health = entry.health();
    if entry.state() != StoreState::Up {
        return Err(Stop::Later(format!("store {store} takes no data now: it is not up")));
    }
    if !health.healthy {
        return Err(Stop::Later(format!("store {store} is down: {}", health.reason.unwrap_or_default())));
    }
    Ok(entry)
}

impl Job<'_> {
    /// One pass over whatever copies answer, going on where an earlier one was interrupted. If the result is not the
    /// image, each copy that may be good is tried alone, from the start.
    async fn attempt(&self) -> Result<String, Trouble> {
        let places = self.places();
        let sole = match stream::pass(self, places.clone()).await {
            Err(Trouble::Mismatch(sole)) => sole,
            other => return other,
        };
        let mut outcome = Trouble::Mismatch(None);
        self.report(sole.as_deref());
        for place in places {
            if sole.as_deref() == Some(place.0.id()) {
                continue;
            }
            self.progress.set(0);
            match stream::pass(self, vec![place]).await {
                Err(Trouble::Mismatch(sole)) => self.report(sole.as_deref()),
                Err(down @ Trouble::Source(_)) => outcome = down,
                other => return other,
            }
        }
        self.progress.set(0);
        Err(outcome)
    }

    /// The copies to read from, best first.
    fn places(&self) -> Vec<Place> {
        let copies: Vec<_> = self.image.locations.iter().filter(|l| l.store != self.entry.id()).collect();
        ranked(self.app, &copies, &[])
    }

    /// Removes whatever lies under the image's name in the store that is written.
    pub(super) async fn discard(&self) -> Result<(), String> {
        self.entry.store().discard(self.permit, &self.image.id).await.map_err(|e| e.to_string())
    }

    fn report(&self, source: Option<&str>) {
        let source = source.unwrap_or("several");
        metrics::counter!("fanlight_copy_mismatches_total", "source" => source.to_owned()).increment(1);
        tracing::error!(
            image.id = self.image.id,
            source,
            store = self.entry.id(),
            algo = self.seal.algo,
            "what was copied is not what the image's hash says; it was removed"
        );
    }
}
