//! Write the data of an image: the whole line, from the gate to the outbox.
//!
//! The upload runs as a task of its own, so that it ends in order (published, or undone to the last byte) when the
//! client goes away and its request is dropped. What a kill leaves is undone by the reaper (`jobs`), led by the lease
//! row that is written before the first byte.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::{Image, Status, show::load};
use crate::{
    app::App,
    authz::{self, Action, Permit},
    context::Context,
    db::{BeginUpload, Published, Upload},
    digest::Digester,
    error::{Error, Kind, Result},
    format::Inspector,
    notify, placement, quota,
    store::{Entry, Writer},
};

/// What the client said about the data beside the data.
#[derive(Debug, Clone, Default)]
pub struct UploadRequest {
    /// Size by `X-OpenStack-Image-Size`, or the Content-Length: all of it is reserved before the first byte.
    pub declared: Option<u64>,
    /// The store asked for.
    pub store: Option<String>,
}

/// Stores `body` as the data of image `id`. Nothing is visible before size, format and hashes are known and the row
/// says `active`; after any failure the image is `queued` again and no byte is left.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Conflict` in a wrong state, `Invalid` for an unknown store or a wrong size, `TooLarge`
/// over cap, quota or room, `UnsupportedMedia` for data that is not what it was declared to be, `Gone` when the image
/// was deleted meanwhile, `Unavailable` when no store can be written.
pub async fn upload<S, E>(app: &Arc<App>, ctx: &Context, id: &str, request: UploadRequest, body: S) -> Result<()>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let image = load(app, id).await?;

    // authorize
    let permit = authz::check_image(ctx, Action::UploadImage, &image)?;

    // protect: an upload sets no custom property
    check_state(&image)?;

    // quota
    quota::check_size(&app.config.quota, request.declared.unwrap_or(0))?;
    let limits = quota::limits(&app.config.quota, image.owner.as_deref());

    // placement
    let candidates: Vec<_> = app.stores.iter().map(|s| placement::Candidate::of(s)).collect();
    let wish = placement::Request { image: &image, size: request.declared, explicit: request.store.as_deref() };
    let plan = placement::plan(ctx, &wish, &candidates)?;
    let first = plan.ranked.first().ok_or_else(|| no_store(None))?.clone();

    // queued → saving, reservation and lease in one transaction
    let begin = BeginUpload {
        store: first,
        declared: request.declared,
        limits,
        node: app.node.clone(),
        boot: app.boot.clone(),
        lease: Duration::from_secs(app.config.images.upload_lease_s),
    };
    let ticket = app.db.begin_upload(&permit, &image, begin).await?;
    let run = Run { app: app.clone(), permit, image, ticket, ranked: plan.ranked, declared: request.declared };
    tokio::spawn(run.finish(body)).await.map_err(Error::internal)?
}

fn check_state(image: &Image) -> Result<()> {
    if image.status != Status::Queued {
        let text = format!("Image status transition from {} to saving is not allowed", image.status.as_str());
        return Err(Error::conflict(text));
    }
    check_formats(image)
}

/// An image says what its data is before it gets any.
pub(super) fn check_formats(image: &Image) -> Result<()> {
    if image.disk_format.is_none() || image.container_format.is_none() {
        return Err(Error::invalid("Properties disk_format, container_format must be set prior to saving data."));
    }
    Ok(())
}

/// An upload whose lease is held.
struct Run {
    app: Arc<App>,
    permit: Permit,
    image: Image,
    ticket: Upload,
    ranked: Vec<String>,
    declared: Option<u64>,
}

/// What has been learned about the data when all of it has arrived.
struct Received {
    size: u64,
    virtual_size: Option<u64>,
    digests: crate::digest::Digests,
}

impl Run {
    /// Publishes the data, or undoes everything.
    async fn finish<S, E>(mut self, body: S) -> Result<()>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: std::error::Error + Send + Sync + 'static,
    {
        let prepare = notify::image_prepare(&self.image, &self.ticket.store);
        self.app.record(&[prepare]).await;
        match self.store(body).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let text = format!("image {}: {}", self.image.id, error.message());
                let event = notify::image_upload_failed(text);
                // A failure to undo is the reaper's to repair: the lease row is still there.
                if let Err(undo) = self.app.db.fail_upload(&self.permit, &self.ticket, &[event]).await {
                    tracing::error!(image.id = self.image.id, error = ?undo, "upload could not be undone yet");
                }
                Err(error)
            }
        }
    }

    async fn store<S, E>(&mut self, body: S) -> Result<()>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: std::error::Error + Send + Sync + 'static,
    {
        let (entry, mut writer) = self.open_writer().await?;
        let _busy = entry.enter();
        let published = match self.receive(body, writer.as_mut()).await {
            Ok(received) => self.publish(writer, received).await,
            Err(error) => {
                if let Err(e) = writer.abort().await {
                    tracing::warn!(image.id = self.image.id, error = %e, "partial data could not be removed");
                }
                return Err(error);
            }
        };
        if published.is_err() {
            entry.store().discard(&self.permit, &self.image.id).await?;
        }
        published
    }

    /// The first store of the ranking that takes the object.
    async fn open_writer(&mut self) -> Result<(Arc<Entry>, Box<dyn Writer>)> {
        let mut last = None;
        for id in self.ranked.clone() {
            let Some(entry) = self.app.stores.get(&id).cloned() else { continue };
            if id != self.ticket.store {
                self.app.db.move_upload(&mut self.ticket, &id).await?;
            }
            match entry.store().create(&self.permit, &self.image.id, self.declared).await {
                Ok(writer) => return Ok((entry, writer)),
                Err(error) => {
                    tracing::warn!(image.id = self.image.id, store = id, %error, "store refused, next one");
                    last = Some(error.into());
                }
            }
        }
        Err(no_store(last))
    }

    /// Streams: each byte is granted before it is stored, and hashed and inspected while it is written.
    async fn receive<S, E>(&mut self, mut body: S, writer: &mut dyn Writer) -> Result<Received>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: std::error::Error + Send + Sync + 'static,
    {
        let images = &self.app.config.images;
        let mut digester = Digester::start(&images.hashing_algorithm)?;
        let mut inspector =
            Inspector::new(self.image.disk_format.as_deref(), self.image.container_format.as_deref(), images);
        let heartbeat = Duration::from_secs(images.upload_lease_s) / 4;
        let mut beaten = Instant::now();
        let mut size = 0_u64;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|e| Error::invalid("The upload was cut off.").with_source(e))?;
            size += chunk.len() as u64;
            self.check_size(size)?;
            if size > self.ticket.granted {
                self.app.db.grow_upload(&mut self.ticket, size).await?;
            }
            if beaten.elapsed() > heartbeat {
                self.app.db.touch_upload(&self.ticket).await?;
                beaten = Instant::now();
            }
            inspector.feed(&chunk);
            if let Some(refusal) = inspector.early() {
                return Err(refusal.into());
            }
            digester.update(chunk.clone()).await;
            writer.write(chunk).await?;
        }
        if let Some(declared) = self.declared
            && declared != size
        {
            return Err(Error::invalid(format!("Size mismatch: declared {declared} bytes, got {size}.")));
        }
        let verdict = inspector.finish(size)?;
        Ok(Received { size, virtual_size: verdict.virtual_size, digests: digester.finish().await? })
    }

    fn check_size(&self, size: u64) -> Result<()> {
        quota::check_size(&self.app.config.quota, size)?;
        match self.declared {
            Some(declared) if size > declared => {
                Err(Error::invalid(format!("Size mismatch: declared {declared} bytes, got more.")))
            }
            _ => Ok(()),
        }
    }

    /// Object first, row after. The lease is renewed in between, so that nobody else can have begun by then.
    async fn publish(&self, writer: Box<dyn Writer>, received: Received) -> Result<()> {
        self.app.db.touch_upload(&self.ticket).await?;
        let url = writer.finish().await?;
        let mut after = self.image.clone();
        after.status = Status::Active;
        after.size = Some(received.size);
        after.virtual_size = received.virtual_size;
        after.checksum = Some(received.digests.md5.clone());
        let events = [notify::image_uploaded(&after), notify::image_event("image.activate", &after)];
        let done = Published {
            url,
            size: received.size,
            virtual_size: received.virtual_size,
            checksum: received.digests.md5,
            os_hash_algo: received.digests.algo,
            os_hash_value: received.digests.value,
        };
        self.app.db.publish_upload(&self.permit, &self.ticket, done, &events).await.map(drop)
    }
}

fn no_store(last: Option<Error>) -> Error {
    match last {
        Some(e) if e.kind() == Kind::TooLarge => e,
        last => {
            let error = Error::unavailable("No image store takes the data now.", Duration::from_secs(30));
            match last {
                Some(e) => error.with_source(e),
                None => error,
            }
        }
    }
}
