//! The `file` back end: one folder, one file per image, as glance_store's filesystem driver lays it out.
//!
//! An object is `<folder>/<image id>`. Data that are not finished are `.<image id>.partial` in the same folder, so
//! that the last step is a rename within one file system.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use rustix::fs::{OFlags, statvfs};

use self::{path::Layout, reader::FileReader, writer::FileWriter};
use super::{Capabilities, Object, Reader, Room, Store, StoreError, StoreErrorKind, Writer, lane::Lane};
use crate::authz::Permit;

mod path;
mod reader;
mod writer;

/// A folder of images.
#[derive(Debug)]
pub struct FileStore {
    layout: Layout,
    lane: Lane,
    /// The folder was made or found. It is made once only: when a mount is gone later, a folder made in its place
    /// would send images to another disk.
    prepared: Arc<AtomicBool>,
}

impl FileStore {
    /// A store in `folder`. Touches nothing: [`Store::probe`] makes the folder and says whether the store works.
    ///
    /// # Errors
    /// `BadUrl` when the path cannot be that of a store.
    pub fn new(folder: &Path) -> Result<Self, StoreError> {
        Ok(Self { layout: Layout::new(folder)?, lane: Lane::new(), prepared: Arc::new(AtomicBool::new(false)) })
    }

    fn covered(permit: &Permit, name: &str) -> Result<(), StoreError> {
        permit.covers(name).map_err(|e| StoreError {
            source: Some(Box::new(e)),
            ..StoreError::permanent(StoreErrorKind::Unexpected, "the permit is for another image")
        })
    }
}

#[async_trait]
impl Store for FileStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { write: true, random_read: true }
    }

    async fn probe(&self) -> Result<Room, StoreError> {
        let (root, prepared) = (self.layout.root().to_owned(), Arc::clone(&self.prepared));
        let look = move || {
            if !prepared.load(Ordering::Acquire) {
                DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
                prepared.store(true, Ordering::Release);
            }
            let fs = statvfs(&root)?;
            Ok(Room { total: fs.f_blocks.saturating_mul(fs.f_frsize), free: fs.f_bavail.saturating_mul(fs.f_frsize) })
        };
        self.lane.run("probe", look).await
    }

    async fn create(&self, permit: &Permit, name: &str, size: Option<u64>) -> Result<Box<dyn Writer>, StoreError> {
        Self::covered(permit, name)?;
        let (partial, target) = (self.layout.partial(name)?, self.layout.object(name)?);
        if let Some(size) = size {
            let room = self.probe().await?;
            if size > room.free {
                let text = format!("create: {size} bytes do not fit in {} free", room.free);
                return Err(StoreError::permanent(StoreErrorKind::NoSpace, text));
            }
        }
        let url = self.layout.url(name);
        Ok(Box::new(FileWriter::create(self.lane.clone(), partial, target, url).await?))
    }

    async fn resume(&self, permit: &Permit, name: &str, _size: u64, at: u64) -> Result<Box<dyn Writer>, StoreError> {
        Self::covered(permit, name)?;
        let (partial, target) = (self.layout.partial(name)?, self.layout.object(name)?);
        let url = self.layout.url(name);
        Ok(Box::new(FileWriter::resume(self.lane.clone(), partial, target, url, at).await?))
    }

    fn name_of(&self, url: &str) -> Result<String, StoreError> {
        self.layout.name_of(url).map(str::to_owned)
    }

    /// A file is whole in itself.
    async fn in_use(&self, url: &str) -> Result<bool, StoreError> {
        self.layout.name_of(url).map(|_| false)
    }

    async fn open(&self, url: &str) -> Result<Box<dyn Reader>, StoreError> {
        let path = self.layout.object(self.layout.name_of(url)?)?;
        let (file, size) = self.lane.run("open", move || open_plain(&path)).await?;
        Ok(Box::new(FileReader::new(self.lane.clone(), file, size)))
    }

    async fn delete(&self, permit: &Permit, url: &str) -> Result<(), StoreError> {
        let name = self.layout.name_of(url)?;
        Self::covered(permit, name)?;
        let path = self.layout.object(name)?;
        let remove = move || {
            fs::remove_file(&path)?;
            writer::sync_folder(&path)
        };
        self.lane.run("delete", remove).await
    }

    async fn discard(&self, permit: &Permit, name: &str) -> Result<(), StoreError> {
        Self::covered(permit, name)?;
        let paths = [self.layout.partial(name)?, self.layout.object(name)?];
        self.lane.run("discard", move || paths.iter().try_for_each(|path| remove_if_there(path))).await
    }

    async fn list(&self) -> Result<Vec<Object>, StoreError> {
        let (layout, root) = (self.layout.clone(), self.layout.root().to_owned());
        self.lane.run("list", move || inventory(&layout, root)).await
    }
}

/// Opens a regular file, and nothing that a link leads to.
fn open_plain(path: &Path) -> io::Result<(fs::File, u64)> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let file =
        OpenOptions::new().read(true).custom_flags(i32::try_from(flags).map_err(io::Error::other)?).open(path)?;
    let meta = file.metadata()?;
    if meta.is_file() { Ok((file, meta.len())) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => writer::sync_folder(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

fn inventory(layout: &Layout, root: PathBuf) -> io::Result<Vec<Object>> {
    let mut objects = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let Some((name, partial)) = file_name.to_str().and_then(path::parse) else { continue };
        let meta = match entry.metadata() {
            Ok(meta) => meta,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        if meta.is_file() {
            let modified = meta.modified().ok().and_then(|at| at.try_into().ok());
            objects.push(Object { name: name.to_owned(), url: layout.url(name), size: meta.len(), partial, modified });
        }
    }
    Ok(objects)
}
