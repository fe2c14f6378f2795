//! Reading an image through its snapshot, with several blocks on their way ahead of a sequential reader.
//!
//! librbd does not tell a reader that the image was deleted: it gives zeros. So before zeros are handed out, and
//! before the last bytes, the snapshot is looked up again. A deletion takes the snapshot before it touches the data;
//! if the snapshot is there after the data were read, the data were those of the image.

use std::{collections::VecDeque, sync::Arc};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::{
    connection::{Connection, Pool},
    errors::at,
    ffi::{self, Image, Mode, Transfer},
    header,
    url::{Place, SNAP},
};
use crate::store::{Reader, StoreError, StoreErrorKind};

/// The largest block that is asked for at once: a stream holds some of them, and librbd as many again.
const BLOCK_MAX: u64 = 4 << 20;

pub(super) struct RbdReader {
    connection: Arc<Connection>,
    pool: Arc<Pool>,
    image: Image,
    proof: Proof,
    size: u64,
    /// Size of the blocks: an object, or a part of one.
    piece: u64,
    /// Where the last read ended; the next one from there is sequential.
    next: u64,
    /// Blocks that may be on their way; grows while the reader stays sequential.
    window: usize,
    /// The block at hand.
    block: Block<Bytes>,
    ahead: VecDeque<Block<Transfer<Bytes>>>,
}

struct Block<T> {
    start: u64,
    len: u64,
    data: T,
}

/// By what an image that still exists is recognised.
#[derive(Debug, Clone)]
struct Proof {
    name: String,
    id: String,
    snapshot: Option<u64>,
}

impl RbdReader {
    pub async fn open(connection: Arc<Connection>, place: Place) -> Result<Self, StoreError> {
        let job = move |pool: &Pool| {
            let snap = place.snap.then_some(SNAP);
            let image = Image::open(&pool.io, &place.name, snap, Mode::Read).map_err(at("open"))?;
            let (size, object) = image.extent().map_err(at("size"))?;
            let snapshot = snap.map(|snap| image.snap_id(snap)).transpose().map_err(at("snapshot"))?;
            let proof = Proof { id: image.id().map_err(at("id"))?, name: place.name, snapshot };
            Ok((image, size, object.clamp(1, BLOCK_MAX), proof))
        };
        let pool = connection.pool().await?;
        let (image, size, piece, proof) = connection.call_in(Arc::clone(&pool), "open", 3, job).await?;
        let block = Block { start: 0, len: 0, data: Bytes::new() };
        let ahead = VecDeque::new();
        Ok(Self { connection, pool, image, proof, size, piece, next: 0, window: 0, block, ahead })
    }

    /// The block at hand becomes one that holds `offset`; a reader that jumped gets just the `want` bytes.
    async fn advance(&mut self, offset: u64, want: u64) -> Result<(), StoreError> {
        let expected = self.ahead.front().is_some_and(|block| block.start == offset);
        if !expected {
            self.ahead.clear();
            // Only the second read in a row shows that the reader is sequential.
            let len = if self.window > 0 { self.to_boundary(offset) } else { want };
            self.request(offset, len);
        }
        if self.window > 0 {
            self.look_ahead();
        }
        let Some(Block { start, len, data }) = self.ahead.pop_front() else { return Ok(()) };
        let data = self.connection.answer(&self.pool, "read", data).await?;
        if data.len() as u64 != len {
            let text = format!("read: {} bytes instead of {len}", data.len());
            return Err(StoreError::permanent(StoreErrorKind::Unexpected, text));
        }
        if start.saturating_add(len) >= self.size || self.zeros(start, &data) {
            self.prove().await?;
        }
        self.block = Block { start, len, data };
        Ok(())
    }

    /// Fills the window and widens it.
    fn look_ahead(&mut self) {
        while self.ahead.len() <= self.window {
            let Some(last) = self.ahead.back() else { return };
            let start = last.start.saturating_add(last.len);
            if start >= self.size {
                return;
            }
            self.request(start, self.to_boundary(start));
        }
        self.window = self.window.saturating_mul(2).min(self.connection.config.in_flight.saturating_sub(1).max(1));
    }

    fn request(&mut self, start: u64, len: u64) {
        let data = ffi::read(&self.image, start, usize::try_from(len).unwrap_or(usize::MAX));
        self.ahead.push_back(Block { start, len, data });
    }

    /// Bytes from `offset` to the end of its piece.
    fn to_boundary(&self, offset: u64) -> u64 {
        let len = self.piece.saturating_sub(offset.checked_rem(self.piece).unwrap_or(0));
        len.min(self.size.saturating_sub(offset))
    }

    /// Whether all that the data hold of some piece is zeros: a deletion takes whole objects.
    fn zeros(&self, start: u64, data: &Bytes) -> bool {
        let (mut at, mut rest) = (start, data.as_ref());
        while !rest.is_empty() {
            let len = usize::try_from(self.to_boundary(at)).unwrap_or(usize::MAX).clamp(1, rest.len());
            let (part, later) = rest.split_at(len);
            if all_zero(part) {
                return true;
            }
            at = at.saturating_add(len as u64);
            rest = later;
        }
        false
    }

    /// Fails when the image is not there any more.
    async fn prove(&self) -> Result<(), StoreError> {
        let proof = self.proof.clone();
        let job = move |pool: &Pool| match proof.snapshot {
            Some(snapshot) => Ok(header::snapshots(&pool.io, &proof.id)?.is_some_and(|all| all.contains(&snapshot))),
            None => Ok(header::id_of(&pool.io, &proof.name)?.as_deref() == Some(proof.id.as_str())),
        };
        if self.connection.call_in(Arc::clone(&self.pool), "check", 2, job).await? {
            return Ok(());
        }
        Err(StoreError::permanent(StoreErrorKind::NotFound, "read: the image was deleted while it was read"))
    }
}

#[async_trait]
impl Reader for RbdReader {
    fn size(&self) -> u64 {
        self.size
    }

    async fn read_at(&mut self, offset: u64, len: usize) -> Result<Bytes, StoreError> {
        let want = self.size.saturating_sub(offset).min(len as u64);
        if want == 0 {
            return Ok(Bytes::new());
        }
        let sequential = offset == self.next && offset != 0;
        self.window = if sequential { self.window.max(1) } else { 0 };
        let end = offset.saturating_add(want);
        let mut parts = Vec::with_capacity(1);
        let mut at = offset;
        while at < end {
            let inside = at.checked_sub(self.block.start).filter(|inside| *inside < self.block.len);
            let Some(inside) = inside else {
                self.advance(at, end.saturating_sub(at)).await?;
                continue;
            };
            let until = end.saturating_sub(self.block.start).min(self.block.len);
            let range = usize::try_from(inside).unwrap_or(usize::MAX)..usize::try_from(until).unwrap_or(usize::MAX);
            parts.push(self.block.data.slice(range));
            at = self.block.start.saturating_add(until);
        }
        self.next = end;
        Ok(join(parts))
    }
}

fn join(mut parts: Vec<Bytes>) -> Bytes {
    if parts.len() == 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    whole.freeze()
}

/// Stops at the first byte that is not zero, a page at a time.
pub(super) fn all_zero(data: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    data.chunks(ZEROS.len()).all(|chunk| ZEROS.starts_with(chunk))
}
