//! One pass over the data: read, hash, write, with points from which an interrupted pass goes on.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::transfer::{Job, Trouble};
use crate::{
    digest::Digester,
    store::{AnyCopy, Place, Reader, StoreError, StoreErrorKind, Writer},
};

/// Bytes of one read: a stream holds few of them.
const CHUNK: usize = 1 << 20;
/// A point to go on from is made after so many bytes, or after so long.
const POINT: (u64, Duration) = (256 << 20, Duration::from_secs(2));

/// Writes the data of `places` to the store of `job`, from where an earlier pass was interrupted, and finishes the object
/// if its hash is the image's.
pub(super) async fn pass(job: &Job<'_>, places: Vec<Place>) -> Result<String, Trouble> {
    let size = job.image.size.unwrap_or_default();
    let source = |e: StoreError| Trouble::Source(format!("no copy of the image can be read: {e}"));
    let mut reader = AnyCopy::open(Some(size), places.clone()).await.map_err(source)?;
    let Begun { mut writer, mut digester, at, within } = begin(job, &places, size).await?;
    let _busy = job.entry.enter();
    let copied = flow(job, &mut reader, writer.as_mut(), &mut digester, at).await;
    if let Err(Trouble::Full(_)) = copied {
        // Room is given back at once; whatever is left is discarded by the caller.
        let _ = writer.abort().await;
        return copied.map(|()| String::new());
    }
    copied?;
    let digests = digester.finish().await.map_err(|e| Trouble::Target(e.to_string()))?;
    if !job.seal.holds(&digests) {
        writer.abort().await.map_err(|e| target(job, e))?;
        // Bytes that lay there before may have come from anywhere.
        let sole = (at == 0 && reader.used().len() == 1).then(|| reader.used().concat());
        return Err(Trouble::Mismatch(within.or(sole)));
    }
    writer.finish().await.map_err(|e| target(job, e))
}

/// What a failure of the store that is written means.
fn target(job: &Job<'_>, e: StoreError) -> Trouble {
    let e = job.entry.failed(e);
    match e.kind {
        StoreErrorKind::NoSpace => Trouble::Full(e.to_string()),
        _ => Trouble::Target(e.to_string()),
    }
}

/// A write to append to, with the hash of what it holds.
struct Begun {
    writer: Box<dyn Writer>,
    digester: Digester,
    /// Bytes that are there.
    at: u64,
    /// The store from which the back end itself copied them all.
    within: Option<String>,
}

async fn begin(job: &Job<'_>, places: &[Place], size: u64) -> Result<Begun, Trouble> {
    let at = job.progress.done();
    if at > 0 {
        match resume(job, size, at).await {
            Ok((writer, digester)) => {
                tracing::info!(image.id = job.image.id, store = job.entry.id(), at, "copy goes on where it was");
                return Ok(Begun { writer, digester, at, within: None });
            }
            Err(e) if e.temporary => return Err(target(job, e)),
            Err(error) => {
                tracing::warn!(image.id = job.image.id, store = job.entry.id(), at, %error, "copy begins anew");
            }
        }
        job.progress.set(0);
    }
    let first = job.fresh.load(Ordering::Relaxed);
    if !first {
        // What lies there is of an earlier try: the store is ours for this image, and nothing of it was published.
        job.discard().await.map_err(Trouble::Target)?;
    }
    if let Some(store) = within(job, places, size).await? {
        let (writer, digester) = resume(job, size, size).await.map_err(|e| target(job, e))?;
        return Ok(Begun { writer, digester, at: size, within: Some(store) });
    }
    let digester = start(job).map_err(|e| Trouble::Target(e.to_string()))?;
    let writer = match job.entry.store().create(job.permit, &job.image.id, Some(size)).await {
        Ok(writer) => writer,
        Err(e) if is_occupied(job, &e) => return Err(Trouble::Occupied),
        Err(e) => return Err(target(job, e)),
    };
    job.fresh.store(false, Ordering::Relaxed);
    Ok(Begun { writer, digester, at: 0, within: None })
}

/// Has the back end copy by itself from a store that is in the same cluster; gives that store. Its copy cannot be made
/// slower, so a rate forbids it; and what goes wrong with it may go well in a stream.
async fn within(job: &Job<'_>, places: &[Place], size: u64) -> Result<Option<String>, Trouble> {
    if job.app.config.copies.rate_mib_s > 0 {
        return Ok(None);
    }
    for (source, url) in places {
        let told = |done| {
            job.progress.set(done);
            job.progress.read_from(source.id());
        };
        match job.entry.store().copy_within(job.permit, &job.image.id, url, size, &told).await {
            Ok(false) => {}
            Ok(true) => {
                job.fresh.store(false, Ordering::Relaxed);
                told(size);
                metrics::counter!("fanlight_copy_bytes_total", "store" => job.entry.id().to_owned()).increment(size);
                return Ok(Some(source.id().to_owned()));
            }
            Err(e) if is_occupied(job, &e) => return Err(Trouble::Occupied),
            Err(error) => {
                job.fresh.store(false, Ordering::Relaxed);
                job.progress.set(0);
                if error.kind == StoreErrorKind::NoSpace {
                    return Err(target(job, error));
                }
                tracing::warn!(image.id = job.image.id, store = job.entry.id(), source = source.id(), %error, "the cluster's own copy failed; the data are streamed");
                job.discard().await.map_err(Trouble::Target)?;
                return Ok(None);
            }
        }
    }
    Ok(None)
}

/// Something lies where nothing of ours does.
fn is_occupied(job: &Job<'_>, e: &StoreError) -> bool {
    job.fresh.load(Ordering::Relaxed) && matches!(e.kind, StoreErrorKind::AlreadyExists | StoreErrorKind::InUse)
}

fn start(job: &Job<'_>) -> Result<Digester, StoreError> {
    Digester::start(&job.seal.algo).map_err(|e| StoreError::permanent(StoreErrorKind::Unexpected, e.to_string()))
}

/// The interrupted write; its first `at` bytes are hashed as the store gives them back.
async fn resume(job: &Job<'_>, size: u64, at: u64) -> Result<(Box<dyn Writer>, Digester), StoreError> {
    let mut digester = start(job)?;
    let mut writer = job.entry.store().resume(job.permit, &job.image.id, size, at).await?;
    let mut offset = 0;
    while offset < at {
        let len = usize::try_from(at - offset).unwrap_or(usize::MAX).min(CHUNK);
        digester.update(writer.read_back(offset, len).await?).await;
        offset += len as u64;
    }
    Ok((writer, digester))
}

async fn flow(
    job: &Job<'_>,
    reader: &mut AnyCopy,
    writer: &mut dyn Writer,
    digester: &mut Digester,
    from: u64,
) -> Result<(), Trouble> {
    let mut at = from;
    let (mut point, mut made) = (from, Instant::now());
    let begun = Instant::now();
    let written = metrics::counter!("fanlight_copy_bytes_total", "store" => job.entry.id().to_owned());
    while at < reader.size() {
        let chunk = reader.read_at(at, CHUNK).await;
        let chunk = chunk.map_err(|e| Trouble::Source(format!("no copy of the image can be read on at {at}: {e}")))?;
        job.progress.read_from(reader.used().last().map(String::as_str).unwrap_or_default());
        let len = chunk.len() as u64;
        digester.update(chunk.clone()).await;
        writer.write(chunk).await.map_err(|e| target(job, e))?;
        at += len;
        written.increment(len);
        if at - point >= POINT.0 || made.elapsed() >= POINT.1 {
            job.progress.set(writer.sync().await.map_err(|e| target(job, e))?);
            (point, made) = (at, Instant::now());
        }
        pace(job.app.config.copies.rate_mib_s, at - from, begun).await;
    }
    Ok(())
}

/// Waits until `bytes` since `begun` are no more than the rate allows.
async fn pace(rate_mib_s: u64, bytes: u64, begun: Instant) {
    if rate_mib_s > 0 {
        let due = Duration::from_millis((bytes >> 10).saturating_mul(1000) / rate_mib_s.saturating_mul(1024));
        sleep(due.saturating_sub(begun.elapsed())).await;
    }
}
