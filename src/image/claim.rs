//! Give a queued image data that is in a store already: what Nova does with a snapshot that it has written there.
//!
//! Before it is published the object is the caller's: whatever fails leaves it as it was, and the image queued. An object
//! can be claimed only by the image of its own name, so nobody takes another image's data, nor has it deleted.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Image, Lease, Status, Validation,
    show::{check_version, load},
    stores::known_stores,
    update::again,
    upload::check_formats,
    verify::read_all,
};
use crate::{
    app::App,
    authz::{self, Action, Permit, Resource},
    config::StoreState,
    context::Context,
    db::{BeginUpload, Published, Upload},
    error::{Error, Kind, Result},
    notify, protect, quota,
    store::{Entry, Reader, StoreErrorKind},
};

/// Objects that are read at a time, and that wait for their turn.
const LIMITS: (usize, usize) = (4, 256);
/// Seconds after which a client may try again when all turns are taken.
const RETRY: std::time::Duration = std::time::Duration::from_secs(30);
/// Schemes that name files of this machine or credentials; never a client's to say.
const REFUSED: [&str; 3] = ["file", "filesystem", "swift+config"];

/// Where data is, in the words of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLocation {
    /// URL of one of the stores.
    pub url: String,
    /// What the data must be.
    pub validation: Validation,
}

/// How many objects are being read before an image gets them.
#[derive(Debug)]
pub struct Claims {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Default for Claims {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(LIMITS.0)), places: Arc::new(Semaphore::new(LIMITS.0 + LIMITS.1)) }
    }
}

impl Claims {
    /// A place in the queue.
    ///
    /// # Errors
    /// `Unavailable` when the queue is full.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit> {
        let full = || Error::unavailable("Too many locations are being added now.", RETRY);
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| full())
    }

    /// Waits for a turn to read.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.turns).acquire_owned().await.map_err(Error::internal)
    }
}

/// Begins to give a queued image the object at a URL. The image is `importing` until all of the object has been read,
/// then it is active; it is queued again if the object is not what was said.
///
/// # Errors
/// `NotFound`, `Forbidden` by policy or for another image's object, `Conflict` when the image is not queued or the object
/// is not free, `Invalid` for a URL of no store or without data, `TooLarge` over cap or quota, `Unavailable`.
pub async fn add_location(app: &Arc<App>, ctx: &Context, id: &str, new: NewLocation) -> Result<()> {
    // It runs on its own: the client is told by the status of the image.
    tokio::spawn(begin(app, ctx, id, new, Action::AddImageLocation, None).await?.finish());
    Ok(())
}

/// As [`add_location`], by the old API: ends when the image is active.
pub(super) async fn claim(
    app: &Arc<App>,
    ctx: &Context,
    id: &str,
    new: NewLocation,
    expected: Option<i64>,
) -> Result<Image> {
    let claim = begin(app, ctx, id, new, Action::SetImageLocation, expected).await?;
    tokio::spawn(claim.finish()).await.map_err(Error::internal)?
}

async fn begin(
    app: &Arc<App>,
    ctx: &Context,
    id: &str,
    new: NewLocation,
    action: Action,
    expected: Option<i64>,
) -> Result<Claim> {
    let mut tries = 0;
    loop {
        let image = load(app, id).await?;

        // authorize
        let permit = authz::check_image(ctx, action, &image)?;
        check_service(ctx, &image)?;
        check_version(&image, expected)?;
        if image.status != Status::Queued {
            let status = image.status.as_str();
            return Err(Error::conflict(format!("It's not allowed to add locations if image status is {status}.")));
        }
        check_formats(&image)?;

        // placement, store, quota
        let found = find(app, ctx, &image, &new.url).await?;
        let place = app.claims.enter()?;
        let begin = BeginUpload {
            store: found.entry.id().to_owned(),
            declared: Some(found.size),
            limits: quota::limits(&app.config.quota, image.owner.as_deref()),
            node: app.node.clone(),
            boot: app.boot.clone(),
            lease: std::time::Duration::from_secs(app.config.images.upload_lease_s),
        };

        // queued → importing, reservation and lease in one transaction; what was decided holds for the row as it was read
        match app.db.begin_claim(&permit, &image, begin, &new.url).await {
            Err(e) if e.kind() == Kind::Conflict && changed(app, &image).await? && again(&mut tries).await => {}
            ticket => {
                let (app, ctx, ticket) = (app.clone(), ctx.clone(), ticket?);
                return Ok(Claim { app, ctx, permit, image, ticket, new, found, _place: place });
            }
        }
    }
}

/// Whether a conflict may be due to a race, and not to the object.
pub(super) async fn changed(app: &App, image: &Image) -> Result<bool> {
    Ok(load(app, &image.id).await?.version != image.version)
}

/// Who may not know where data lies cannot say where it does.
pub(super) fn check_service(ctx: &Context, image: &Image) -> Result<()> {
    authz::check_image(ctx, Action::FetchImageLocation, image).map(drop)
}

/// An object that the caller may give to the image.
pub(super) struct Found {
    pub entry: Arc<Entry>,
    pub size: u64,
}

/// Looks for the object at `url` and whether it may be given to `image`; after [`check_service`].
pub(super) async fn find(app: &App, ctx: &Context, image: &Image, url: &str) -> Result<Found> {
    quota::check_location(&app.config.quota, image)?;
    let (entry, name) = store_of(app, ctx, url)?;
    authz::check(ctx, Action::PlaceImage, Resource::Store(&entry.facts(), Some(image)))?;
    if entry.state() != StoreState::Up {
        let text = format!("Store {} takes no images now.", entry.id());
        return Err(Error::unavailable(text, RETRY));
    }
    if name != image.id {
        return Err(Error::forbidden("The data at this location is not that of this image."));
    }
    let size = open(&entry, url).await?.size();
    if size == 0 {
        return Err(Error::invalid("Invalid location: there is no data."));
    }
    quota::check_size(&app.config.quota, size)?;
    Ok(Found { entry, size })
}

/// The store that a URL belongs to, and the name of the object. A store that the caller may not know of has no URLs.
fn store_of(app: &App, ctx: &Context, url: &str) -> Result<(Arc<Entry>, String)> {
    let invalid = |text: &str| Error::invalid(format!("Invalid location: {text}"));
    let (scheme, _) = url.split_once("://").ok_or_else(|| invalid("it is no URL."))?;
    if REFUSED.iter().any(|refused| scheme.eq_ignore_ascii_case(refused)) {
        return Err(invalid(&format!("the scheme {} is not accepted.", scheme.to_ascii_lowercase())));
    }
    let known = known_stores(app, ctx)?;
    let ours = app.stores.iter().filter(|entry| known.contains(entry.id()));
    let named = |entry: Arc<Entry>| {
        let name = entry.store().name_of(url).ok()?;
        Some((entry, name))
    };
    let mut found: Vec<_> = ours.filter_map(named).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(invalid("more than one store has this URL.")),
        (None, _) => Err(invalid("no store has this URL.")),
    }
}

/// Opens an object that a client names.
pub(super) async fn open(entry: &Arc<Entry>, url: &str) -> Result<Box<dyn Reader>> {
    entry.store().open(url).await.map_err(|error| match error.kind {
        StoreErrorKind::NotFound => Error::invalid("Invalid location: there is no data.").with_source(error),
        _ => entry.failed(error).into(),
    })
}

/// A claim whose lease is held.
struct Claim {
    app: Arc<App>,
    ctx: Context,
    permit: Permit,
    image: Image,
    ticket: Upload,
    new: NewLocation,
    found: Found,
    _place: OwnedSemaphorePermit,
}

impl Claim {
    /// Publishes the object, or gives it back.
    async fn finish(self) -> Result<Image> {
        let lease = Lease::hold(&self.app.db, &self.ticket);
        let ended = tokio::select! {
            ended = self.publish() => ended,
            error = lease.lost() => Err(error),
        };
        let outcome = if ended.is_ok() { "added" } else { "refused" };
        metrics::counter!("fanlight_locations_total", "outcome" => outcome).increment(1);
        if let Err(error) = &ended {
            tracing::warn!(image.id = self.image.id, store = self.ticket.store, ?error, "location not added");
            // A failure to give back is the reaper's to repair: the lease row is still there.
            if let Err(undo) = self.app.db.fail_upload(&self.permit, &self.ticket, &[]).await {
                tracing::error!(image.id = self.image.id, error = ?undo, "image stays importing for now");
            }
        }
        ended
    }

    async fn publish(&self) -> Result<Image> {
        let (app, validation) = (&self.app, &self.new.validation);
        let _turn = app.claims.turn().await?;
        let mut reader = open(&self.found.entry, &self.new.url).await?;
        if reader.size() != self.found.size {
            return Err(Error::new(Kind::Conflict, "The data changed while it was added."));
        }
        let algorithm = validation.hash.as_ref().map_or(app.config.images.hashing_algorithm.as_str(), |h| h.0.as_str());
        let read = read_all(reader.as_mut(), algorithm).await?;
        validation.compare(&read)?;

        let after = Image { status: Status::Active, size: Some(self.found.size), ..self.image.clone() };
        let done = Published {
            url: self.new.url.clone(),
            size: self.found.size,
            virtual_size: None,
            checksum: read.md5,
            os_hash_algo: read.algo,
            os_hash_value: read.value,
        };
        let events = [notify::image_event("image.update", &protect::told(&self.ctx, &after)?)];
        app.db.publish_upload(&self.permit, &self.ticket, &done, &events).await
    }
}
