//! A fake store: files behind URLs of another scheme (`fake://POOL/NAME`), so that clients may name them, with a switch
//! for each thing that a cluster does and a folder never does.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use axum::body::Bytes;
use fanlight::{
    authz::Permit,
    config::{Backend, StoreState},
    store::{Capabilities, Entry, FileStore, Object, Reader, Room, Store, StoreError, StoreErrorKind, Stores, Writer},
};

/// Files of one folder, as a cluster's pool.
pub struct FakeStore {
    pool: String,
    folder: String,
    files: FileStore,
    /// Names of objects that have a clone: they cannot be deleted.
    pub cloned: Mutex<BTreeSet<String>>,
    /// Whether the store says so when it is asked, or only when it deletes.
    pub tells: AtomicBool,
    /// Nothing is answered.
    pub down: AtomicBool,
    /// Reads wait while this is set; an object can be opened.
    pub held: Arc<AtomicBool>,
    /// Deletes so far.
    pub deletes: AtomicUsize,
}

/// Two fake stores in `folder`, in place of the two of the development gateway.
pub fn fakes(folder: &Path) -> (Stores, Arc<FakeStore>, Arc<FakeStore>) {
    let make = |id: &str| {
        let path = folder.join("pools").join(id);
        let store = Arc::new(FakeStore {
            pool: id.to_owned(),
            folder: path.to_str().unwrap().to_owned(),
            files: FileStore::new(&path).unwrap(),
            cloned: Mutex::default(),
            tells: AtomicBool::new(true),
            down: AtomicBool::new(false),
            held: Arc::default(),
            deletes: AtomicUsize::new(0),
        });
        let config = fanlight::config::Store {
            description: None,
            weight: 0,
            labels: [].into(),
            default: id == "alpha",
            state: StoreState::Up,
            backend: Backend::File { path },
        };
        (Entry::new(id, config, "fake", store.clone()), store)
    };
    let ((alpha, a), (beta, b)) = (make("alpha"), make("beta"));
    (Stores::of([alpha, beta]).unwrap(), a, b)
}

impl FakeStore {
    /// Writes an object past the service, as Nova does; returns its URL.
    pub async fn put(&self, name: &str, data: &'static [u8]) -> String {
        let permit = Permit::system("test");
        let mut writer = self.files.create(&permit, name, None).await.unwrap();
        writer.write(Bytes::from_static(data)).await.unwrap();
        writer.finish().await.unwrap();
        self.url(name)
    }

    /// Writes another object in place of one that is there.
    pub async fn replace(&self, name: &str, data: &'static [u8]) -> String {
        self.files.discard(&Permit::system("test"), name).await.unwrap();
        self.put(name, data).await
    }

    pub fn url(&self, name: &str) -> String {
        format!("fake://{}/{name}", self.pool)
    }

    pub fn set_cloned(&self, name: &str, cloned: bool) {
        let mut all = self.cloned.lock().unwrap();
        if cloned {
            all.insert(name.to_owned())
        } else {
            all.remove(name)
        };
    }

    pub async fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.files.list().await.unwrap().into_iter().map(|o| o.name).collect();
        names.sort();
        names
    }

    fn file(&self, url: &str) -> Result<String, StoreError> {
        Ok(format!("file://{}/{}", self.folder, self.name_of(url)?))
    }

    fn up(&self) -> Result<(), StoreError> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(StoreError::temporary(StoreErrorKind::Unavailable, "the fake store is down")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Store for FakeStore {
    fn capabilities(&self) -> Capabilities {
        self.files.capabilities()
    }

    async fn probe(&self) -> Result<Room, StoreError> {
        self.files.probe().await
    }

    async fn create(&self, permit: &Permit, name: &str, size: Option<u64>) -> Result<Box<dyn Writer>, StoreError> {
        self.up()?;
        let inner = self.files.create(permit, name, size).await?;
        Ok(Box::new(FakeWriter { inner, url: self.url(name) }))
    }

    async fn resume(&self, permit: &Permit, name: &str, size: u64, at: u64) -> Result<Box<dyn Writer>, StoreError> {
        self.files.resume(permit, name, size, at).await
    }

    fn name_of(&self, url: &str) -> Result<String, StoreError> {
        let rest = url.strip_prefix("fake://").and_then(|rest| rest.strip_prefix(&self.pool));
        match rest.and_then(|rest| rest.strip_prefix('/')) {
            Some(name) if !name.is_empty() && !name.contains('/') => Ok(name.to_owned()),
            _ => Err(StoreError::permanent(StoreErrorKind::BadUrl, "no URL of this fake store")),
        }
    }

    async fn in_use(&self, url: &str) -> Result<bool, StoreError> {
        self.up()?;
        Ok(self.tells.load(Ordering::SeqCst) && self.cloned.lock().unwrap().contains(&self.name_of(url)?))
    }

    async fn open(&self, url: &str) -> Result<Box<dyn Reader>, StoreError> {
        self.up()?;
        let inner = self.files.open(&self.file(url)?).await?;
        Ok(Box::new(FakeReader { inner, held: self.held.clone() }))
    }

    async fn delete(&self, permit: &Permit, url: &str) -> Result<(), StoreError> {
        self.deletes.fetch_add(1, Ordering::SeqCst);
        self.up()?;
        if self.cloned.lock().unwrap().contains(&self.name_of(url)?) {
            return Err(StoreError::temporary(StoreErrorKind::InUse, "a clone needs it"));
        }
        self.files.delete(permit, &self.file(url)?).await
    }

    async fn discard(&self, permit: &Permit, name: &str) -> Result<(), StoreError> {
        self.up()?;
        self.files.discard(permit, name).await
    }

    async fn list(&self) -> Result<Vec<Object>, StoreError> {
        self.files.list().await
    }
}

/// Writes a file and gives it the store's own URL.
struct FakeWriter {
    inner: Box<dyn Writer>,
    url: String,
}

#[async_trait]
impl Writer for FakeWriter {
    async fn write(&mut self, data: Bytes) -> Result<(), StoreError> {
        self.inner.write(data).await
    }

    async fn sync(&mut self) -> Result<u64, StoreError> {
        self.inner.sync().await
    }

    async fn read_back(&mut self, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        self.inner.read_back(offset, len).await
    }

    async fn finish(self: Box<Self>) -> Result<String, StoreError> {
        self.inner.finish().await?;
        Ok(self.url)
    }

    async fn abort(self: Box<Self>) -> Result<(), StoreError> {
        self.inner.abort().await
    }
}

/// Reads when it may.
struct FakeReader {
    inner: Box<dyn Reader>,
    held: Arc<AtomicBool>,
}

#[async_trait]
impl Reader for FakeReader {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    async fn read_at(&mut self, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        while self.held.load(Ordering::SeqCst) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        self.inner.read_at(offset, len).await
    }
}
