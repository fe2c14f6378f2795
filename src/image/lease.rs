//! Keeps the lease of an upload for as long as somebody works on its bytes.
//!
//! The lease follows the clock and not the data: a client that pauses, a disk that flushes for minutes and a database that
//! is away for a moment must not make others believe that the holder is dead. Who has lost the lease must touch neither
//! bytes nor row any more: the object's name may already be another upload's.

use std::time::{Duration, Instant};

use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    db::{Db, Upload},
    error::{Error, Kind},
};

/// Signs of life within the time of one lease.
const BEATS: u32 = 4;

/// A lease that is renewed until this is dropped.
pub struct Lease {
    lost: CancellationToken,
    _stop: DropGuard,
}

impl Lease {
    /// Begins to renew the lease of `upload`.
    pub fn hold(db: &Db, upload: &Upload) -> Self {
        let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
        let beat = beat(db.clone(), upload.clone(), lost.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(beat));
        Self { lost, _stop: stop.drop_guard() }
    }

    /// Ends when the lease is no longer ours, or may not be.
    pub async fn lost(&self) -> Error {
        self.lost.cancelled().await;
        Error::new(Kind::Gone, "The image was deleted or its upload given up while data arrived")
    }
}

/// Renews until another has the lease, or until it has run out because the database never answered.
async fn beat(db: Db, upload: Upload, lost: CancellationToken) {
    let pause = (upload.lease() / BEATS).max(Duration::from_millis(50));
    let mut renewed = Instant::now();
    loop {
        tokio::time::sleep(pause).await;
        let begun = Instant::now();
        match db.touch_upload(&upload).await {
            Ok(()) => renewed = begun,
            Err(e) if e.kind() == Kind::Gone => break,
            Err(error) if renewed.elapsed() < upload.lease() => {
                tracing::warn!(image.id = upload.image_id, ?error, "the lease could not be renewed, it is tried again");
            }
            Err(_) => break,
        }
    }
    tracing::warn!(image.id = upload.image_id, store = upload.store, "the lease of the upload is lost");
    lost.cancel();
}
