//! Write the data of an image: the whole line, from the gate to the outbox.
//!
//! The upload runs as a task of its own, so that it ends in order (published, or undone to the last byte) when the
//! client goes away and its request is dropped. What a kill leaves is undone by the reaper (`jobs`), led by the lease
//! row that is written before the first byte.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::{Image, Lease, Status, show::load, update::again};
use crate::{
    app::App,
    authz::{self, Action, Permit},
    context::Context,
    db::{BeginUpload, Published, Upload},
    digest::Digester,
    error::{Error, Kind, Result},
    format::Inspector,
    notify, placement, protect, quota,
    store::{Entry, InFlight, StoreError, StoreErrorKind, Writer},
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
    let mut tries = 0;
    let run = loop {
        let image = load(app, id).await?;

        // authorize
        let permit = authz::check_image(ctx, Action::UploadImage, &image)?;

        // protect: an upload sets no custom property
        check_state(&image)?;

        // quota, placement
        let (begin, ranked) = prepare(app, ctx, &image, &request)?;
        // From now on, so that those who come at the same time see it.
        let busy = app.stores.get(&begin.store).map(|entry| entry.enter());

        // queued → saving, reservation and lease in one transaction; what was decided holds for the row as it was read
        match app.db.begin_upload(&permit, &image, begin).await {
            Err(e) if e.kind() == Kind::Conflict && again(&mut tries).await => {}
            ticket => {
                let (app, ctx, ticket, declared) = (app.clone(), ctx.clone(), ticket?, request.declared);
                break Run { app, ctx, permit, image, ticket, ranked, declared, _busy: busy };
            }
        }
    };
    tokio::spawn(run.finish(body)).await.map_err(Error::internal)?
}

/// What the upload begins with, and the stores to try, best first.
fn prepare(app: &App, ctx: &Context, image: &Image, wish: &UploadRequest) -> Result<(BeginUpload, Vec<String>)> {
    quota::check_size(&app.config.quota, wish.declared.unwrap_or(0))?;
    let limits = quota::limits(&app.config.quota, image.owner.as_deref());

    let candidates: Vec<_> = app.stores.iter().map(|s| placement::Candidate::of(&s)).collect();
    let request = placement::Request { image, size: wish.declared, explicit: wish.store.as_deref() };
    let plan = placement::plan(ctx, &request, &candidates)?;
    let begin = BeginUpload {
        store: plan.ranked.first().ok_or_else(|| no_store(None))?.clone(),
        declared: wish.declared,
        limits,
        node: app.node.clone(),
        boot: app.boot.clone(),
        lease: Duration::from_secs(app.config.images.upload_lease_s),
    };
    Ok((begin, plan.ranked))
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
    ctx: Context,
    permit: Permit,
    image: Image,
    ticket: Upload,
    ranked: Vec<String>,
    declared: Option<u64>,
    /// Counts the upload at the store that it is for.
    _busy: Option<InFlight>,
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
        let lease = Lease::hold(&self.app.db, &self.ticket);
        let outcome = tokio::select! {
            outcome = self.store(body) => outcome,
            error = lease.lost() => Err(error),
        };
        match outcome {
            Err(error) => self.undo(error).await,
            done => done,
        }
    }

    async fn store<S, E>(&mut self, body: S) -> Result<()>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: std::error::Error + Send + Sync + 'static,
    {
        let prepare = notify::image_prepare(&protect::told(&self.ctx, &self.image)?, &self.ticket.store);
        self.app.record(&[prepare]).await;
        let (entry, mut writer) = self.open_writer().await?;
        match self.receive(body, &entry, writer.as_mut()).await {
            Ok(received) => self.publish(&entry, writer, received).await,
            Err(error) => {
                if let Err(e) = writer.abort().await {
                    tracing::warn!(image.id = self.image.id, error = %e, "partial data could not be removed");
                }
                Err(error)
            }
        }
    }

    /// Bytes first, then the row. Whatever cannot be undone now stays the reaper's: the lease row is still there.
    ///
    /// INVARIANT: nothing is removed without the lease. Without it the object may be another upload's, or be published by
    /// a commit whose answer was lost.
    async fn undo(&self, error: Error) -> Result<()> {
        match self.app.db.touch_upload(&self.ticket).await {
            Ok(()) => {}
            Err(lost) => {
                tracing::warn!(image.id = self.image.id, error = ?lost, "the upload is left to who holds its lease");
                return Err(error);
            }
        }
        let discarded = match self.app.stores.get(&self.ticket.store) {
            Some(entry) => entry.store().discard(&self.permit, &self.image.id).await,
            None => Ok(()),
        };
        if let Err(left) = discarded {
            tracing::warn!(image.id = self.image.id, error = %left, "data of a failed upload are left to the reaper");
            return Err(error);
        }
        let text = format!("image {}: {}", self.image.id, error.message());
        if let Err(undo) =
            self.app.db.fail_upload(&self.permit, &self.ticket, &[notify::image_upload_failed(text)]).await
        {
            tracing::error!(image.id = self.image.id, error = ?undo, "upload could not be undone yet");
        }
        Err(error)
    }

    /// The first store of the ranking that takes the object.
    async fn open_writer(&mut self) -> Result<(Arc<Entry>, Box<dyn Writer>)> {
        let mut last = None;
        for id in self.ranked.clone() {
            let Some(entry) = self.app.stores.get(&id) else { continue };
            if id != self.ticket.store {
                self.app.db.move_upload(&mut self.ticket, &id).await?;
                self._busy = Some(entry.enter());
            }
            match entry.store().create(&self.permit, &self.image.id, self.declared).await {
                Ok(writer) => return Ok((entry, writer)),
                Err(error) => {
                    tracing::warn!(image.id = self.image.id, store = id, %error, "store refused, next one");
                    last = Some(entry.failed(error).into());
                }
            }
        }
        Err(no_store(last))
    }

    /// Streams: each byte is granted before it is stored, and hashed and inspected while it is written.
    async fn receive<S, E>(&mut self, mut body: S, entry: &Arc<Entry>, writer: &mut dyn Writer) -> Result<Received>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: std::error::Error + Send + Sync + 'static,
    {
        let images = &self.app.config.images;
        let mut digester = Digester::start(&images.hashing_algorithm)?;
        let mut inspector =
            Inspector::new(self.image.disk_format.as_deref(), self.image.container_format.as_deref(), images);
        let mut size = 0_u64;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|e| Error::invalid("The upload was cut off.").with_source(e))?;
            size += chunk.len() as u64;
            self.check_size(size)?;
            if size > self.ticket.granted {
                self.app.db.grow_upload(&mut self.ticket, size).await?;
            }
            inspector.feed(&chunk);
            if let Some(refusal) = inspector.early() {
                return Err(refusal.into());
            }
            digester.update(chunk.clone()).await;
            writer.write(chunk).await.map_err(|e| failed(entry, e))?;
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

    /// Object first, row after, while the lease is held.
    async fn publish(&self, entry: &Arc<Entry>, writer: Box<dyn Writer>, received: Received) -> Result<()> {
        let mut after = self.image.clone();
        after.status = Status::Active;
        after.size = Some(received.size);
        after.virtual_size = received.virtual_size;
        after.checksum = Some(received.digests.md5.clone());
        let told = protect::told(&self.ctx, &after)?;
        let events = [notify::image_uploaded(&told), notify::image_event("image.activate", &told)];
        let url = writer.finish().await.map_err(|e| failed(entry, e))?;
        let done = Published {
            url,
            size: received.size,
            virtual_size: received.virtual_size,
            checksum: received.digests.md5,
            os_hash_algo: received.digests.algo,
            os_hash_value: received.digests.value,
        };
        match self.app.db.publish_upload(&self.permit, &self.ticket, &done, &events).await {
            // The answer to the commit may have been lost on its way, and not the commit.
            Err(_) if self.is_published(&done).await => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    async fn is_published(&self, done: &Published) -> bool {
        let Ok(Some(image)) = self.app.db.image(&self.image.id).await else { return false };
        image.status == Status::Active
            && image.os_hash_value.as_ref() == Some(&done.os_hash_value)
            && image.locations.iter().any(|l| l.store == self.ticket.store && l.url == done.url)
    }
}

/// A store that fails while data arrive: the client's data cannot be read again, so it has to send them again.
fn failed(entry: &Arc<Entry>, e: StoreError) -> Error {
    let e = entry.failed(e);
    if e.kind == StoreErrorKind::NoSpace {
        return e.into();
    }
    let text = "The image store failed while the data arrived. Nothing was kept; send the data again.";
    Error::unavailable(text, Duration::from_secs(10)).with_source(e)
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
