//! Writing an image: bytes are gathered to whole objects, several of which are on their way at a time.
//!
//! The image has its final name from the start; what makes it whole is the snapshot. A writer knows its image by the
//! internal id, so that one that was believed dead neither publishes nor removes the image that took its place. After
//! a write that failed nothing is flushed: librbd would wait for the cluster without limit.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    connection::{Connection, Pool},
    errors::{at, failed, no_answer},
    ffi::{self, Cluster, Errno, Image, Mode, Transfer},
    header,
    reader::all_zero,
    remove,
    url::{self, SNAP},
};
use crate::store::{StoreError, StoreErrorKind, Writer};

const EXCLUSIVE_LOCK: u64 = 4;
/// By how much an image of unknown size grows at first, and at most; each time twice as much. Each time costs some
/// milliseconds in which nothing is written, and what is too much is cut off in the end.
const GROW_MIN: u64 = 128 << 20;
const GROW_MAX: u64 = 8 << 30;

/// The open image of a write, which a discard takes away from it.
#[derive(Debug)]
pub(super) struct Held {
    image: Mutex<Option<Arc<Image>>>,
    closed: watch::Receiver<()>,
    /// That has it open: not always the one that the store uses now. An image that is closed needs it no more.
    cluster: Weak<Cluster>,
    /// Of the same.
    address: String,
    closing: OnceLock<Instant>,
}

impl Held {
    fn new(image: Image, pool: &Pool) -> Self {
        let (closed, cluster) = (image.closed(), Arc::downgrade(image.cluster()));
        Self {
            image: Mutex::new(Some(Arc::new(image))),
            closed,
            cluster,
            address: pool.address.clone(),
            closing: OnceLock::new(),
        }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// How long it has been closing.
    pub fn closing_for(&self) -> Duration {
        self.closing.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// `None` once the image is closed and the store uses another one.
    pub fn cluster(&self) -> Option<Arc<Cluster>> {
        self.cluster.upgrade()
    }

    fn get(&self) -> Result<Arc<Image>, StoreError> {
        let image = self.image.lock().unwrap_or_else(PoisonError::into_inner).clone();
        image.ok_or_else(|| StoreError::permanent(StoreErrorKind::Unexpected, "write: it was discarded meanwhile"))
    }

    /// Begins to close the image; calls under way on it end first.
    pub fn close(&self) {
        self.closing.get_or_init(Instant::now);
        drop(self.image.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    pub fn is_closed(&self) -> bool {
        self.closed.has_changed().is_err()
    }

    pub async fn wait_closed(&self) {
        let mut closed = self.closed.clone();
        while closed.changed().await.is_ok() {}
    }
}

/// An image made or taken up again, open and locked.
pub(super) struct Begun {
    held: Held,
    id: String,
    size: u64,
    object: u64,
}

/// Makes the image `name`.
pub(super) fn begin(pool: &Pool, name: &str, size: u64) -> Result<Begun, StoreError> {
    match pool.io.create_image(name, size, &pool.shape) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Err(taken(pool, name)),
        Err(e) => return Err(failed("create", e)),
    }
    let begun = Image::open(&pool.io, name, None, Mode::Write).map_err(at("open")).and_then(|image| lock(pool, image));
    begun.inspect_err(|_| {
        // What cannot be removed now is partial data, which the reaper finds.
        let _ = pool.io.remove_image(name);
    })
}

/// Opens the image `name`, of which `at` bytes count; what follows them is forgotten.
pub(super) fn resume(pool: &Pool, name: &str, size: u64, offset: u64) -> Result<Begun, StoreError> {
    let gone = || StoreError::permanent(StoreErrorKind::NotFound, "resume: there is no such write");
    let id = header::id_of(&pool.io, name)?.ok_or_else(gone)?;
    match header::whole(&pool.io, &id)? {
        Some((None, now)) if now >= offset => {}
        Some((Some(_), _)) => {
            return Err(StoreError::permanent(StoreErrorKind::AlreadyExists, "resume: the object exists"));
        }
        _ => return Err(gone()),
    }
    let mut begun = lock(pool, Image::open(&pool.io, name, None, Mode::Write).map_err(at("open"))?)?;
    let image = begun.held.get()?;
    image.resize(offset).map_err(at("forget"))?;
    begun.size = size.max(offset);
    image.resize(begun.size).map_err(at("resize"))?;
    Ok(begun)
}

/// With the lock in hand every later step is bounded; without, a flush may wait for it for ever.
fn lock(pool: &Pool, image: Image) -> Result<Begun, StoreError> {
    let result = (|| {
        if image.features().map_err(at("features"))? & EXCLUSIVE_LOCK != 0 {
            image.lock().map_err(at("lock"))?;
        }
        Ok((image.id().map_err(at("id"))?, image.extent().map_err(at("size"))?))
    })();
    match result {
        Ok((id, (size, object))) => Ok(Begun { held: Held::new(image, pool), id, size, object: object.max(1) }),
        Err(e) => {
            image.close();
            Err(e)
        }
    }
}

/// Why a name is taken: by an object, or by a write that is not finished.
pub(super) fn taken(pool: &Pool, name: &str) -> StoreError {
    let whole = header::id_of(&pool.io, name).and_then(|id| match id {
        Some(id) => header::whole(&pool.io, &id),
        None => Ok(None),
    });
    match whole {
        Ok(Some((Some(_), _))) => StoreError::permanent(StoreErrorKind::AlreadyExists, "create: the object exists"),
        Ok(_) => StoreError::permanent(
            StoreErrorKind::InUse,
            "create: another write of this object is under way or was left behind",
        ),
        Err(e) => e,
    }
}

pub(super) struct RbdWriter {
    connection: Arc<Connection>,
    pool: Arc<Pool>,
    held: Arc<Held>,
    name: String,
    id: String,
    url: String,
    /// Of the image, now.
    size: u64,
    object: u64,
    grow: u64,
    /// Where the buffer begins.
    offset: u64,
    buffer: Vec<u8>,
    under_way: VecDeque<Transfer<Vec<u8>>>,
    /// Buffers that came back.
    spare: Vec<Vec<u8>>,
    /// A write failed or was given up half-way: bytes may be missing, so the object can no longer be finished.
    broken: bool,
}

impl RbdWriter {
    pub fn new(connection: Arc<Connection>, pool: Arc<Pool>, begun: Begun, name: &str, offset: u64) -> Self {
        let Begun { held, id, size, object } = begun;
        let held = Arc::new(held);
        let (buffer, under_way, spare) = (Vec::new(), VecDeque::new(), Vec::new());
        let url = url::render(&pool.fsid, &connection.config.pool, name);
        let (name, grow, broken) = (name.to_owned(), GROW_MIN, false);
        Self { connection, pool, held, name, id, url, size, object, grow, offset, buffer, under_way, spare, broken }
    }

    pub fn held(&self) -> &Arc<Held> {
        &self.held
    }

    fn whole(&self) -> Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::permanent(StoreErrorKind::Unexpected, "write: an earlier write did not end well"));
        }
        Ok(())
    }

    async fn gather(&mut self, mut rest: &[u8]) -> Result<(), StoreError> {
        while !rest.is_empty() {
            let block = self.object.saturating_sub(self.offset.checked_rem(self.object).unwrap_or(0));
            let block = usize::try_from(block).unwrap_or(usize::MAX);
            if self.buffer.capacity() == 0 {
                self.buffer.reserve_exact(block);
            }
            let room = block.saturating_sub(self.buffer.len());
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.buffer.len() >= block {
                self.submit().await?;
            }
        }
        Ok(())
    }

    /// Sends the buffer on its way, once there is a place for it.
    async fn submit(&mut self) -> Result<(), StoreError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        while self.under_way.len() >= self.connection.config.in_flight.max(1) {
            self.settle().await?;
        }
        let end = self.offset.saturating_add(self.buffer.len() as u64);
        if end > self.size {
            self.resize(end.max(self.size.saturating_add(self.grow))).await?;
            self.grow = self.grow.saturating_mul(2).min(GROW_MAX);
        }
        if self.connection.config.thin_provisioning && all_zero(&self.buffer) {
            self.buffer.clear();
        } else {
            let data = std::mem::replace(&mut self.buffer, self.spare.pop().unwrap_or_default());
            self.under_way.push_back(ffi::write(&*self.held.get()?, self.offset, data));
        }
        self.offset = end;
        Ok(())
    }

    /// Waits for the oldest write.
    async fn settle(&mut self) -> Result<(), StoreError> {
        if let Some(transfer) = self.under_way.pop_front() {
            let mut data = self.connection.answer(&self.pool, "write", transfer).await?;
            data.clear();
            self.spare.push(data);
        }
        Ok(())
    }

    async fn settle_all(&mut self) -> Result<(), StoreError> {
        self.submit().await?;
        while !self.under_way.is_empty() {
            self.settle().await?;
        }
        let flushed = ffi::flush(&*self.held.get()?);
        self.connection.answer(&self.pool, "flush", flushed).await
    }

    async fn resize(&mut self, size: u64) -> Result<(), StoreError> {
        let image = self.held.get()?;
        self.connection
            .call_in(Arc::clone(&self.pool), "resize", 3, move |_| image.resize(size).map_err(at("resize")))
            .await?;
        self.size = size;
        Ok(())
    }

    /// Closes the image; waits `factor` times the time for one answer.
    async fn close(&self, factor: u32) -> Result<(), StoreError> {
        self.held.close();
        timeout(self.connection.limit(factor), self.held.wait_closed()).await.map_err(|_| no_answer("close"))
    }
}

#[async_trait]
impl Writer for RbdWriter {
    async fn write(&mut self, data: Bytes) -> Result<(), StoreError> {
        self.whole()?;
        self.broken = true;
        self.gather(&data).await?;
        self.broken = false;
        Ok(())
    }

    async fn sync(&mut self) -> Result<u64, StoreError> {
        self.whole()?;
        self.broken = true;
        self.settle_all().await?;
        self.broken = false;
        Ok(self.offset)
    }

    async fn read_back(&mut self, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        let data = ffi::read(&*self.held.get()?, offset, len);
        let data = self.connection.answer(&self.pool, "read back", data).await?;
        if data.len() != len {
            return Err(StoreError::permanent(StoreErrorKind::Unexpected, "read back: the image is shorter"));
        }
        Ok(data)
    }

    async fn finish(mut self: Box<Self>) -> Result<String, StoreError> {
        self.whole()?;
        self.settle_all().await?;
        if self.size != self.offset {
            self.resize(self.offset).await?;
        }
        let (image, name, id) = (self.held.get()?, self.name.clone(), self.id.clone());
        let publish = move |pool: &Pool| {
            if header::id_of(&pool.io, &name)?.as_deref() != Some(id.as_str()) {
                let text = "finish: the image was discarded meanwhile";
                return Err(StoreError::permanent(StoreErrorKind::Unexpected, text));
            }
            image.snap_create(SNAP).map_err(at("snapshot"))?;
            image.snap_protect(SNAP).map_err(at("protect"))
        };
        self.connection.call_in(Arc::clone(&self.pool), "finish", 5, publish).await?;
        // The object is whole: that its image closes slowly changes nothing.
        let _ = self.close(1).await;
        Ok(self.url.clone())
    }

    async fn abort(mut self: Box<Self>) -> Result<(), StoreError> {
        while !self.broken && !self.under_way.is_empty() {
            self.broken = self.settle().await.is_err();
        }
        self.under_way.clear();
        self.close(if self.broken { 1 } else { 3 }).await?;
        let (name, id, right) = (self.name.clone(), self.id.clone(), !self.broken);
        self.connection
            .call_in(Arc::clone(&self.pool), "abort", 4, move |pool| remove::unfinished(pool, &name, &id, right))
            .await
    }
}

impl Drop for RbdWriter {
    fn drop(&mut self) {
        self.held.close();
    }
}
