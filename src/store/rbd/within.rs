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
    errors::{at, failed, no_answer},
    ffi::{Errno, Image, IoCtx, Mode},
    url::SNAP,
    writer,
};
use crate::store::{StoreError, StoreErrorKind, Told};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_secs(1);
/// Times the time for one answer after which a copy without progress is given up.
const STALLED: u32 = 8;

/// Copies the image `from` (pool, name). `false` when there is none that this user may read, or it has another size.
pub(super) async fn copy(
    connection: &Arc<Connection>,
    from: (String, String),
    name: &str,
    size: u64,
    told: Told<'_>,
) -> Result<bool, StoreError> {
    let pool = connection.apart().await?;
    let mut hold = Hold { connection: Arc::clone(connection), address: Some(pool.address.clone()) };
    let begun = Arc::new(AtomicU64::new(0));
    let (counter, name) = (Arc::clone(&begun), name.to_owned());
    let mut work = pin!(connection.work("copy", move || blocking(&pool, &from, &name, size, &counter)));
    // What was begun last may not be written yet.
    let objects = u64::try_from(connection.config.in_flight).unwrap_or(u64::MAX).saturating_add(1);
    let behind = objects.saturating_mul(1 << connection.config.order());
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        if let Ok(ended) = timeout(LOOK, &mut work).await {
            hold.address = None;
            return ended;
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

fn blocking(
    pool: &Pool,
    (from, image): &(String, String),
    name: &str,
    size: u64,
    begun: &AtomicU64,
) -> Result<bool, StoreError> {
    let opened = IoCtx::open(pool.io.cluster(), from).and_then(|io| Image::open(&io, image, Some(SNAP), Mode::Read));
    let source = match opened {
        Ok(source) => source,
        Err(Errno::NOENT | Errno::PERM | Errno::ACCES) => return Ok(false),
        Err(e) => return Err(failed("open", e)),
    };
    let copied = match source.extent().map_err(at("size")) {
        Ok((found, _)) if found == size => {
            source.copy(&pool.io, name, &pool.shape, begun).map(|()| true).map_err(|e| broken(pool, name, e))
        }
        Ok(_) => Ok(false),
        Err(e) => Err(e),
    };
    source.close();
    copied
}

fn broken(pool: &Pool, name: &str, errno: Errno) -> StoreError {
    match failed("copy", errno) {
        e if e.kind == StoreErrorKind::AlreadyExists => writer::taken(pool, name),
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
            if let Err(error) = connection.shut_out(&address).await {
                tracing::warn!(pool = connection.config.pool, address, %error, "a copy that was given up may still run");
            }
        });
    }
}
