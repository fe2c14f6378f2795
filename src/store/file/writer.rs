//! Writing an object: small chunks are gathered, the disk works on one block while the next is filled.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::reader::read_exact;
use crate::store::{
    StoreError, StoreErrorKind, Writer,
    lane::{DEADLINE, Lane, Pending, SYNC_DEADLINE},
};

/// Bytes handed to the disk at a time. A stream holds two such blocks.
const BLOCK: usize = 1 << 20;
/// Bytes after which the system is asked to begin flushing, so that the end has little left to wait for.
const SYNC_EVERY: u64 = 128 << 20;

pub(super) struct FileWriter {
    lane: Lane,
    file: Arc<File>,
    partial: PathBuf,
    target: PathBuf,
    url: String,
    block: Vec<u8>,
    /// The block on its way to the disk; comes back empty, to be filled again.
    writing: Option<Pending<Vec<u8>>>,
    syncing: Option<Pending<()>>,
    unsynced: u64,
    /// Bytes handed to the disk so far.
    written: u64,
    /// A write failed or was given up half-way: bytes may be missing, so the object can no longer be finished.
    broken: bool,
}

impl FileWriter {
    pub async fn create(lane: Lane, partial: PathBuf, target: PathBuf, url: String) -> Result<Self, StoreError> {
        let (path, end) = (partial.clone(), target.clone());
        let opened = lane.run("create", move || {
            if end.symlink_metadata().is_ok() {
                return Ok(None);
            }
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o640).open(path).map(Some)
        });
        let file = match opened.await {
            Ok(Some(file)) => Arc::new(file),
            Ok(None) => {
                return Err(StoreError::permanent(StoreErrorKind::AlreadyExists, "create: the object exists"));
            }
            Err(e) if e.kind == StoreErrorKind::AlreadyExists => {
                let text = "create: another write of this object is under way or was left behind";
                return Err(StoreError { kind: StoreErrorKind::InUse, message: text.into(), ..e });
            }
            // The folder is gone: that is the store's fault, not a missing object.
            Err(e) if e.kind == StoreErrorKind::NotFound => {
                return Err(StoreError { kind: StoreErrorKind::Unavailable, temporary: true, ..e });
            }
            Err(e) => return Err(e),
        };
        Ok(Self::at(0, lane, file, partial, target, url))
    }

    /// Goes on after `at` bytes of partial data that a writer before left behind.
    pub async fn resume(
        lane: Lane,
        partial: PathBuf,
        target: PathBuf,
        url: String,
        at: u64,
    ) -> Result<Self, StoreError> {
        let path = partial.clone();
        let open = move || {
            let mut file = OpenOptions::new().read(true).write(true).open(path)?;
            if file.metadata()?.len() < at {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the partial data are shorter"));
            }
            file.set_len(at)?;
            file.seek(SeekFrom::Start(at))?;
            Ok(Arc::new(file))
        };
        let file = lane.run("resume", open).await?;
        Ok(Self::at(at, lane, file, partial, target, url))
    }

    fn at(written: u64, lane: Lane, file: Arc<File>, partial: PathBuf, target: PathBuf, url: String) -> Self {
        let block = Vec::new();
        let (writing, syncing) = (None, None);
        Self { lane, file, partial, target, url, block, writing, syncing, unsynced: 0, written, broken: false }
    }

    fn whole(&self) -> Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::permanent(StoreErrorKind::Unexpected, "write: an earlier write did not end well"));
        }
        Ok(())
    }

    async fn gather(&mut self, mut rest: &[u8]) -> Result<(), StoreError> {
        while !rest.is_empty() {
            if self.block.capacity() == 0 {
                self.block.reserve_exact(BLOCK);
            }
            let room = BLOCK.saturating_sub(self.block.len());
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.block.extend_from_slice(now);
            rest = later;
            if self.block.len() >= BLOCK {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Hands the block to the disk, once the one before is there.
    async fn flush(&mut self) -> Result<(), StoreError> {
        let empty = self.settle().await?;
        if self.block.is_empty() {
            return Ok(());
        }
        let mut block = std::mem::replace(&mut self.block, empty);
        self.unsynced = self.unsynced.saturating_add(block.len() as u64);
        self.written = self.written.saturating_add(block.len() as u64);
        let file = Arc::clone(&self.file);
        let job = move || {
            (&*file).write_all(&block)?;
            block.clear();
            Ok(block)
        };
        self.writing = Some(self.lane.start("write", job).await?);
        self.sync_ahead().await
    }

    /// Waits for the block under way; gives its buffer back.
    async fn settle(&mut self) -> Result<Vec<u8>, StoreError> {
        match self.writing.take() {
            Some(pending) => pending.wait(DEADLINE).await,
            None => Ok(Vec::new()),
        }
    }

    async fn sync_ahead(&mut self) -> Result<(), StoreError> {
        if self.syncing.as_ref().is_some_and(Pending::is_done)
            && let Some(done) = self.syncing.take()
        {
            done.wait(SYNC_DEADLINE).await?;
        }
        if self.unsynced >= SYNC_EVERY && self.syncing.is_none() {
            let file = Arc::clone(&self.file);
            self.syncing = self.lane.try_start("flush", move || file.sync_data());
            self.unsynced = 0;
        }
        Ok(())
    }
}

#[async_trait]
impl Writer for FileWriter {
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
        self.flush().await?;
        // The buffer that comes back is empty and as good as the one that is there.
        self.block = self.settle().await?;
        let file = Arc::clone(&self.file);
        self.lane.start("flush", move || file.sync_data()).await?.wait(SYNC_DEADLINE).await?;
        self.broken = false;
        Ok(self.written)
    }

    async fn read_back(&mut self, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        let file = Arc::clone(&self.file);
        self.lane.run("read back", move || read_exact(&file, offset, len)).await
    }

    async fn finish(mut self: Box<Self>) -> Result<String, StoreError> {
        self.whole()?;
        self.flush().await?;
        self.settle().await?;
        if let Some(pending) = self.syncing.take() {
            pending.wait(SYNC_DEADLINE).await?;
        }
        let (file, partial, target) = (Arc::clone(&self.file), self.partial.clone(), self.target.clone());
        let publish = move || {
            file.sync_all()?;
            if !same_file(&file, &partial)? {
                return Err(io::Error::other("the partial data were discarded meanwhile"));
            }
            rename_new(&partial, &target)?;
            sync_folder(&target)
        };
        self.lane.start("finish", publish).await?.wait(SYNC_DEADLINE).await?;
        Ok(self.url.clone())
    }

    async fn abort(mut self: Box<Self>) -> Result<(), StoreError> {
        // The data go anyway: an error of the last write says nothing any more.
        let _ = self.settle().await;
        let (file, partial) = (Arc::clone(&self.file), self.partial.clone());
        let remove = move || if same_file(&file, &partial)? { fs::remove_file(&partial) } else { Ok(()) };
        self.lane.run("abort", remove).await
    }
}

/// Whether `path` is still the file that we opened. A reaper that believed us dead may have removed it, and another
/// write may have begun under the same name: that one is not ours to publish or remove.
fn same_file(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match path.symlink_metadata() {
        Ok(there) => Ok((own.dev(), own.ino()) == (there.dev(), there.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Renames, but never over an object. File systems without such a rename get a hard link, which never replaces either.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        Err(e) => Err(e.into()),
    }
}

/// Makes a change of names in the folder of `path` durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_lost_bytes_is_never_finished() {
        let dir = tempfile::tempdir().expect("a folder");
        let (partial, target) = (dir.path().join(".one.partial"), dir.path().join("one"));
        let created = FileWriter::create(Lane::new(), partial.clone(), target.clone(), "file:///one".into()).await;
        let mut writer = created.expect("a writer");
        // The same file, but this descriptor cannot write.
        writer.file = Arc::new(File::open(&partial).expect("there"));
        let block = Bytes::from(vec![1; BLOCK]);
        writer.write(block.clone()).await.expect("on its way");
        writer.write(block.clone()).await.expect_err("the first block failed");
        writer.write(block).await.expect_err("stays broken");
        Box::new(writer).finish().await.expect_err("bytes are missing");
        assert!(!target.exists() && partial.exists());
    }
}
