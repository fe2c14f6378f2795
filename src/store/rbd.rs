//! The `rbd` back end: one pool of a Ceph cluster, one RBD image for each object, as glance_store's driver lays it out.
//!
//! The RBD image has the object's name. It is whole when it has the protected snapshot `snap`, on which Nova and
//! Cinder hang their copy-on-write clones; without the snapshot it is partial. Every call has a limit, a multiple of
//! `timeout_s`: librados and librbd know none of their own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep, timeout};

use self::{
    connection::{Connection, Pool},
    errors::{at, failed, no_answer},
    ffi::{Image, Mode},
    reader::RbdReader,
    url::{Place, SNAP},
    writer::{Held, RbdWriter},
};
use super::{Capabilities, Object, Reader, Room, Store, StoreError, StoreErrorKind, Told, Writer};
use crate::{authz::Permit, config::RbdConfig};

mod connection;
mod errors;
mod ffi;
mod header;
mod reader;
mod remove;
mod room;
mod threads;
mod url;
mod within;
mod writer;

/// No image can be larger: its map of objects would not be taken.
const SIZE_MAX: u64 = 1 << 50;
/// A look at the room counts so long.
const ROOM_AGE: Duration = Duration::from_secs(60);
/// Images that are looked at in one call, and such calls at a time, when all are listed.
const BATCH: usize = 64;
const BATCHES: usize = 4;
/// Times the time for one answer after which a close is believed never to end.
const CLOSE_FACTOR: u32 = 8;
/// Between two tries to remove an image that another client has open.
const RETRY: Duration = Duration::from_millis(200);

/// A pool of images.
#[derive(Debug)]
pub struct RbdStore {
    connection: Arc<Connection>,
    /// The images that writes of this process have open, by name, until they are closed.
    writes: Mutex<HashMap<String, Arc<Held>>>,
    room: Mutex<Option<(Instant, Room)>>,
}

impl RbdStore {
    /// A store in a pool. Reads `ceph.conf` and connects to nothing: [`Store::probe`] says whether the store works.
    pub fn new(config: RbdConfig) -> Self {
        Self { connection: Arc::new(Connection::new(config)), writes: Mutex::default(), room: Mutex::default() }
    }

    fn covered(permit: &Permit, name: &str) -> Result<(), StoreError> {
        url::check(name)?;
        permit.covers(name).map_err(|e| StoreError {
            source: Some(Box::new(e)),
            ..StoreError::permanent(StoreErrorKind::Unexpected, "the permit is for another image")
        })
    }

    fn place(&self, url: &str) -> Result<Place, StoreError> {
        match self.connection.fsid() {
            Some(fsid) => url::parse(url, &fsid, &self.connection.config.pool),
            None => Err(StoreError::temporary(StoreErrorKind::Unavailable, "the cluster was not reached yet")),
        }
    }

    /// The same; asks the cluster for its id if need be.
    async fn find(&self, url: &str) -> Result<Place, StoreError> {
        if self.connection.fsid().is_none() {
            self.connection.pool().await?;
        }
        self.place(url)
    }

    fn fits(&self, size: u64) -> Result<(), StoreError> {
        let room = *self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let free = room.filter(|(when, room)| when.elapsed() < ROOM_AGE && room.total > 0).map(|(_, room)| room.free);
        let free = free.unwrap_or(SIZE_MAX).min(SIZE_MAX);
        if size > free {
            let text = format!("create: {size} bytes do not fit in {free} free");
            return Err(StoreError::permanent(StoreErrorKind::NoSpace, text));
        }
        Ok(())
    }

    fn writes(&self) -> MutexGuard<'_, HashMap<String, Arc<Held>>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, writer: &RbdWriter, name: &str) {
        let mut writes = self.writes();
        writes.retain(|_, held| !held.is_closed());
        writes.insert(name.to_owned(), Arc::clone(writer.held()));
    }

    /// Closes the image that a write of this process has open under this name.
    ///
    /// A close that was caught in the middle by an osd that died or froze may never end. Then the cluster ends the
    /// connection, so that nothing of the write can come later. Other writes that are still in it fail, and are undone.
    async fn close_own(&self, name: &str) -> Result<(), StoreError> {
        let Some(held) = self.writes().get(name).cloned() else { return Ok(()) };
        held.close();
        if !self.closes(&held).await && !self.closes_by_map(&held).await {
            let in_use = self.connection.is_current(held.address());
            if in_use && held.closing_for() < self.connection.limit(CLOSE_FACTOR) {
                return Err(no_answer("close"));
            }
            self.connection.shut_out(held.address()).await?;
            // Only from the map it hears that it is shut out, and lets go of what it holds; nobody needs to wait for that.
            self.closes_by_map(&held).await;
        }
        self.writes().retain(|_, other| !Arc::ptr_eq(other, &held) && !other.is_closed());
        Ok(())
    }

    async fn closes(&self, held: &Held) -> bool {
        timeout(self.connection.limit(1), held.wait_closed()).await.is_ok()
    }

    /// Whether it closes once its connection knows the newest map.
    async fn closes_by_map(&self, held: &Held) -> bool {
        if let Some(cluster) = held.cluster()
            && self.connection.update_map(cluster).await.is_err()
        {
            return false;
        }
        self.closes(held).await
    }

    async fn remove(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.connection.call("remove", 6, move |pool| remove::image(pool, &name)).await
    }
}

#[async_trait]
impl Store for RbdStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { write: true, random_read: true }
    }

    fn identity(&self) -> Option<String> {
        self.connection.fsid().map(|fsid| format!("{fsid}/{}", self.connection.config.pool))
    }

    async fn probe(&self) -> Result<Room, StoreError> {
        let connection = &self.connection;
        let pool = connection.pool_for_probe().await?;
        let name = connection.config.data_pool.clone().unwrap_or_else(|| connection.config.pool.clone());
        let look = move |pool: &Pool| {
            // The osd that holds it must answer too; a pool without images has no such object.
            pool.io.modified("rbd_directory").map_err(at("look"))?;
            room::ask(pool.io.cluster(), &name)
        };
        let room = connection.call_in(pool, "probe", 2, look).await?;
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), room));
        Ok(room)
    }

    async fn create(&self, permit: &Permit, name: &str, size: Option<u64>) -> Result<Box<dyn Writer>, StoreError> {
        Self::covered(permit, name)?;
        if let Some(size) = size {
            self.fits(size)?;
        }
        let pool = self.connection.pool().await?;
        let image = name.to_owned();
        let begin = move |pool: &Pool| writer::begin(pool, &image, size.unwrap_or(0));
        let begun = self.connection.call_in(Arc::clone(&pool), "create", 5, begin).await?;
        let writer = RbdWriter::new(Arc::clone(&self.connection), pool, begun, name, 0);
        self.enter(&writer, name);
        Ok(Box::new(writer))
    }

    async fn resume(&self, permit: &Permit, name: &str, size: u64, at: u64) -> Result<Box<dyn Writer>, StoreError> {
        Self::covered(permit, name)?;
        self.close_own(name).await?;
        let pool = self.connection.pool().await?;
        let image = name.to_owned();
        let begin = move |pool: &Pool| writer::resume(pool, &image, size, at);
        let begun = self.connection.call_in(Arc::clone(&pool), "resume", 5, begin).await?;
        let writer = RbdWriter::new(Arc::clone(&self.connection), pool, begun, name, at);
        self.enter(&writer, name);
        Ok(Box::new(writer))
    }

    async fn copy_within(
        &self,
        permit: &Permit,
        name: &str,
        url: &str,
        size: u64,
        told: Told<'_>,
    ) -> Result<bool, StoreError> {
        Self::covered(permit, name)?;
        match self.connection.fsid().and_then(|fsid| url::in_cluster(url, &fsid)) {
            Some(from) => within::copy(&self.connection, from, name, size, told).await,
            None => Ok(false),
        }
    }

    fn name_of(&self, url: &str) -> Result<String, StoreError> {
        self.place(url).map(|place| place.name)
    }

    async fn in_use(&self, url: &str) -> Result<bool, StoreError> {
        let place = self.find(url).await?;
        self.connection.call("children", 4, move |pool| has_clones(pool, &place.name)).await
    }

    async fn open(&self, url: &str) -> Result<Box<dyn Reader>, StoreError> {
        let place = self.find(url).await?;
        Ok(Box::new(RbdReader::open(Arc::clone(&self.connection), place).await?))
    }

    async fn delete(&self, permit: &Permit, url: &str) -> Result<(), StoreError> {
        let name = self.find(url).await?.name;
        Self::covered(permit, &name)?;
        self.remove(&name).await
    }

    async fn discard(&self, permit: &Permit, name: &str) -> Result<(), StoreError> {
        Self::covered(permit, name)?;
        self.close_own(name).await?;
        // A client that died is watched for up to half a minute; the reaper comes again.
        let deadline = Instant::now() + self.connection.limit(1);
        loop {
            match self.remove(name).await {
                Err(e) if e.kind == StoreErrorKind::NotFound => return Ok(()),
                Err(e) if e.kind == StoreErrorKind::InUse && Instant::now() < deadline => sleep(RETRY).await,
                result => return result,
            }
        }
    }

    async fn list(&self) -> Result<Vec<Object>, StoreError> {
        let pool = self.connection.pool().await?;
        let names = |pool: &Pool| pool.io.images().map_err(at("list"));
        let mut images = self.connection.call_in(Arc::clone(&pool), "list", 4, names).await?;
        images.retain(|(id, name)| !id.is_empty() && url::valid(name));
        let batches: Vec<Vec<_>> = images.chunks(BATCH).map(<[_]>::to_vec).collect();
        let pool_name = self.connection.config.pool.clone();
        let looks = batches.into_iter().map(|batch| {
            let pool_name = pool_name.clone();
            let look = move |pool: &Pool| describe(pool, &pool_name, batch);
            self.connection.call_in(Arc::clone(&pool), "list", 4, look)
        });
        let found: Vec<Vec<Object>> = stream::iter(looks).buffered(BATCHES).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// What the images are to us; one that vanished meanwhile is left out.
fn describe(pool: &Pool, pool_name: &str, images: Vec<(String, String)>) -> Result<Vec<Object>, StoreError> {
    let mut objects = Vec::with_capacity(images.len());
    for (id, name) in images {
        if let Some((snapshot, size)) = header::whole(&pool.io, &id)? {
            let url = url::render(&pool.fsid, pool_name, &name);
            let modified = header::modified(&pool.io, &id)?;
            objects.push(Object { name, url, size, partial: snapshot.is_none(), modified });
        }
    }
    Ok(objects)
}

/// Whether clones of format 1, in whatever pool, hang on the image's snapshot.
fn has_clones(pool: &Pool, name: &str) -> Result<bool, StoreError> {
    let image = Image::open(&pool.io, name, None, Mode::Read).map_err(at("open"))?;
    let id = image.id().map_err(at("id"))?;
    let snapshot = match image.snap_id(SNAP) {
        Ok(snapshot) => snapshot,
        Err(ffi::Errno::NOENT) => return Ok(false),
        Err(e) => return Err(failed("snapshot", e)),
    };
    let cluster = pool.io.cluster();
    for name in cluster.pools().map_err(at("pools"))? {
        let other = match ffi::IoCtx::open(cluster, &name) {
            Ok(other) => other,
            Err(ffi::Errno::NOENT) => continue,
            Err(e) => return Err(failed("pool", e)),
        };
        if header::has_children(&other, pool.io.pool_id(), &id, snapshot)? {
            return Ok(true);
        }
    }
    Ok(false)
}
