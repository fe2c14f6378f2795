//! A fake fault around a real store: it breaks where the test says, as a cluster that goes away midway would.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use async_trait::async_trait;
use axum::body::Bytes;
use fanlight::{
    authz::Permit,
    store::{Capabilities, Object, Reader, Room, Store, StoreError, StoreErrorKind, Writer},
};

/// What is broken, and what was seen.
pub struct Faults {
    /// Writing fails with this kind once an object has so many bytes.
    pub write: Mutex<Option<(u64, StoreErrorKind)>>,
    /// Reading fails from this offset on.
    pub read: Mutex<Option<u64>>,
    /// The lowest offset that was read.
    pub lowest_read: AtomicU64,
    /// Writes that were begun from the start.
    pub created: AtomicU64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            write: Mutex::default(),
            read: Mutex::default(),
            lowest_read: AtomicU64::new(u64::MAX),
            created: AtomicU64::new(0),
        }
    }
}

/// The store with its faults.
pub struct FaultyStore {
    pub inner: Arc<dyn Store>,
    pub faults: Arc<Faults>,
}

struct FaultyWriter {
    inner: Box<dyn Writer>,
    faults: Arc<Faults>,
    at: u64,
}

struct FaultyReader {
    inner: Box<dyn Reader>,
    faults: Arc<Faults>,
}

fn broken(kind: StoreErrorKind) -> StoreError {
    match kind {
        StoreErrorKind::Unavailable => StoreError::temporary(kind, "the fake cluster is gone"),
        kind => StoreError::permanent(kind, "the fake cluster does not want to"),
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn probe(&self) -> Result<Room, StoreError> {
        self.inner.probe().await
    }

    async fn create(&self, permit: &Permit, name: &str, size: Option<u64>) -> Result<Box<dyn Writer>, StoreError> {
        let inner = self.inner.create(permit, name, size).await?;
        self.faults.created.fetch_add(1, Relaxed);
        Ok(Box::new(FaultyWriter { inner, faults: self.faults.clone(), at: 0 }))
    }

    async fn resume(&self, permit: &Permit, name: &str, size: u64, at: u64) -> Result<Box<dyn Writer>, StoreError> {
        let inner = self.inner.resume(permit, name, size, at).await?;
        Ok(Box::new(FaultyWriter { inner, faults: self.faults.clone(), at }))
    }

    fn name_of(&self, url: &str) -> Result<String, StoreError> {
        self.inner.name_of(url)
    }

    async fn in_use(&self, url: &str) -> Result<bool, StoreError> {
        self.inner.in_use(url).await
    }

    async fn open(&self, url: &str) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(FaultyReader { inner: self.inner.open(url).await?, faults: self.faults.clone() }))
    }

    async fn delete(&self, permit: &Permit, url: &str) -> Result<(), StoreError> {
        self.inner.delete(permit, url).await
    }

    async fn discard(&self, permit: &Permit, name: &str) -> Result<(), StoreError> {
        self.inner.discard(permit, name).await
    }

    async fn list(&self) -> Result<Vec<Object>, StoreError> {
        self.inner.list().await
    }
}

#[async_trait]
impl Writer for FaultyWriter {
    async fn write(&mut self, data: Bytes) -> Result<(), StoreError> {
        self.at += data.len() as u64;
        let fault = *self.faults.write.lock().unwrap();
        match fault {
            Some((most, kind)) if self.at > most => Err(broken(kind)),
            _ => self.inner.write(data).await,
        }
    }

    async fn sync(&mut self) -> Result<u64, StoreError> {
        self.inner.sync().await
    }

    async fn read_back(&mut self, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        self.inner.read_back(offset, len).await
    }

    async fn finish(self: Box<Self>) -> Result<String, StoreError> {
        self.inner.finish().await
    }

    async fn abort(self: Box<Self>) -> Result<(), StoreError> {
        self.inner.abort().await
    }
}

#[async_trait]
impl Reader for FaultyReader {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    async fn read_at(&mut self, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        let fault = *self.faults.read.lock().unwrap();
        if fault.is_some_and(|from| offset >= from) {
            return Err(broken(StoreErrorKind::Unavailable));
        }
        self.faults.lowest_read.fetch_min(offset, Relaxed);
        self.inner.read_at(offset, len).await
    }
}
