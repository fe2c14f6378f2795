//! A copy from another pool of the same cluster, made by librbd: what is empty in the image stays empty.
//!
//! Once it copies, nothing but the cluster stops librbd. So each copy has a connection of its own, which the cluster
//! shuts out when the copy is given up or does not go on.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use super::{
    connection::{Connection, Pool},
    errors::{at, failed, in_use, no_answer},
    ffi::{Errno, Image, IoCtx, Mode},
    header,
    url::SNAP,
    writer,
};
use crate::store::{StoreError, StoreErrorKind, Told};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_secs(1);
/// Times the time for one answer after which a copy without progress is given up.
const STALLED: u32 = 8;

/// Copies the image `from` (pool, name). `false` when there is none of this size that this user may read now.
pub(super) async fn copy(
    connection: &Arc<Connection>,
    from: (String, String),
    name: &str,
    size: u64,
    told: Told<'_>,
) -> Result<bool, StoreError> {
    let Some((pool, source, object)) = open(connection, from, name, size).await? else { return Ok(false) };
    let mut hold = Hold { connection: Arc::clone(connection), address: Some(pool.address.clone()) };
    // librbd copies the source's objects, several at a time: what was begun last may not be written yet.
    let objects = u64::try_from(connection.config.in_flight).unwrap_or(u64::MAX).saturating_add(1);
    let behind = objects.saturating_mul(object);
    let begun = Arc::new(AtomicU64::new(0));
    let (counter, name) = (Arc::clone(&begun), name.to_owned());
    let mut work = pin!(connection.work("copy", move || {
        let copied = source.copy(&pool.io, &name, &pool.shape, &counter);
        source.close();
        copied.map_err(|e| broken(&pool, &name, e))
    }));
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        if let Ok(ended) = timeout(LOOK, &mut work).await {
            hold.address = None;
            return ended.map(|()| true);
        }
        let now = begun.load(Ordering::Relaxed);
        if now != last {
            (last, moved) = (now, Instant::now());
            told(now.saturating_sub(behind));
        } else if moved.elapsed() > connection.limit(STALLED) {
            return Err(no_answer("copy"));
        }
    }
}

/// The image to copy and the size of its objects, in a connection of its own, once it is sure that nothing has the name of
/// the copy. What keeps it from being opened does not matter: a stream may have better luck.
async fn open(
    connection: &Connection,
    from: (String, String),
    name: &str,
    size: u64,
) -> Result<Option<(Arc<Pool>, Image, u64)>, StoreError> {
    let Ok(pool) = connection.apart().await else { return Ok(None) };
    let name = name.to_owned();
    let look = move |pool: &Pool| {
        if header::id_of(&pool.io, &name)?.is_some() {
            return Ok(Err(taken(pool, &name)));
        }
        let io = IoCtx::open(pool.io.cluster(), &from.0).map_err(at("pool"))?;
        let image = Image::open(&io, &from.1, Some(SNAP), Mode::Read).map_err(at("open"))?;
        let extent = image.extent().map_err(at("size"))?;
        Ok(Ok((image, extent)))
    };
    match connection.call_in(Arc::clone(&pool), "open", 4, look).await {
        Ok(Ok((image, (found, object)))) => Ok((found == size).then_some((pool, image, object))),
        Ok(Err(taken)) => Err(taken),
        Err(error) => {
            tracing::info!(pool = connection.config.pool, %error, "librbd cannot copy an image of another pool");
            Ok(None)
        }
    }
}

/// The name of the copy is another's, whatever else can be found out about it.
fn taken(pool: &Pool, name: &str) -> StoreError {
    match writer::taken(pool, name) {
        e if matches!(e.kind, StoreErrorKind::AlreadyExists | StoreErrorKind::InUse) => e,
        _ => in_use("copy: something has its name"),
    }
}

fn broken(pool: &Pool, name: &str, errno: Errno) -> StoreError {
    match failed("copy", errno) {
        e if e.kind == StoreErrorKind::AlreadyExists => taken(pool, name),
        // The name was free: it is the copy that something holds.
        e if e.kind == StoreErrorKind::InUse => StoreError { kind: StoreErrorKind::Unavailable, ..e },
        e => e,
    }
}

/// Ends the connection of a copy that did not end.
struct Hold {
    connection: Arc<Connection>,
    /// `None` when nothing runs there any more.
    address: Option<String>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let (Some(address), Ok(runtime)) = (self.address.take(), Handle::try_current()) else { return };
        let connection = Arc::clone(&self.connection);
        runtime.spawn(async move {
            let pool = &connection.config.pool;
            match connection.shut_out(&address).await {
                Ok(()) => tracing::info!(pool, "the cluster shut out a copy that was given up"),
                Err(error) => tracing::warn!(pool, %error, "a copy that was given up may still run"),
            }
        });
    }
}
