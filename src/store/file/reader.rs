//! Reading an object: positioned reads into fresh buffers, one block ahead for a sequential reader.

use std::{fs::File, io, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::{buffer::spare_capacity, io::pread};

use crate::store::{
    Reader, StoreError,
    lane::{DEADLINE, Lane, Pending},
};

/// The largest block that is read ahead of the one who asks: a stream holds two of them.
const AHEAD_MAX: usize = 1 << 20;

pub(super) struct FileReader {
    lane: Lane,
    file: Arc<File>,
    size: u64,
    /// Where the last read ended; the next one from there is sequential.
    next: Option<u64>,
    ahead: Option<Ahead>,
}

/// A block on its way.
struct Ahead {
    offset: u64,
    len: usize,
    data: Pending<Bytes>,
}

impl FileReader {
    pub fn new(lane: Lane, file: File, size: u64) -> Self {
        Self { lane, file: Arc::new(file), size, next: None, ahead: None }
    }

    /// Bytes that a read of `len` at `offset` gives.
    fn extent(&self, offset: u64, len: usize) -> usize {
        let left = self.size.saturating_sub(offset);
        usize::try_from(left).unwrap_or(usize::MAX).min(len)
    }

    fn look_ahead(&mut self, offset: u64, len: usize) {
        let len = self.extent(offset, len);
        if len == 0 || len > AHEAD_MAX {
            return;
        }
        let file = Arc::clone(&self.file);
        let pending = self.lane.try_start("read", move || read_exact(&file, offset, len));
        self.ahead = pending.map(|data| Ahead { offset, len, data });
    }
}

#[async_trait]
impl Reader for FileReader {
    fn size(&self) -> u64 {
        self.size
    }

    async fn read_at(&mut self, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        let want = self.extent(offset, len);
        if want == 0 {
            return Ok(Bytes::new());
        }
        let data = match self.ahead.take() {
            Some(ahead) if ahead.offset == offset && ahead.len >= want => {
                ahead.data.wait(DEADLINE).await?.split_to(want)
            }
            _ => {
                let file = Arc::clone(&self.file);
                self.lane.run("read", move || read_exact(&file, offset, want)).await?
            }
        };
        let end = offset.saturating_add(want as u64);
        if self.next == Some(offset) || offset == 0 {
            self.look_ahead(end, len);
        }
        self.next = Some(end);
        Ok(data)
    }
}

/// All `len` bytes or an error: the file ends where it ended when it was opened, or something is wrong with it.
pub(super) fn read_exact(file: &File, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut data = Vec::with_capacity(len);
    while data.len() < len {
        // A vector may have got more room than asked for; bytes past `len` are cut off below.
        let at = offset.saturating_add(data.len() as u64);
        match pread(file, spare_capacity(&mut data), at) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the object became shorter")),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    data.truncate(len);
    Ok(Bytes::from(data))
}
