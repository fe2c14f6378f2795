//! Questions that are asked of an image's header without opening the image: one round trip each.
//!
//! They call the methods of the object class `rbd` that librbd itself calls; their forms are as old as image format 2.

use jiff::Timestamp;

use super::{
    errors::{at, failed},
    ffi::{Errno, IoCtx},
    url::SNAP,
};
use crate::store::{StoreError, StoreErrorKind};

/// In place of a snapshot: the image as it is now.
const HEAD: u64 = u64::MAX - 1;

/// The internal id of the image that has this name. `None` when there is none.
pub(super) fn id_of(io: &IoCtx, name: &str) -> Result<Option<String>, StoreError> {
    match io.exec(&format!("rbd_id.{name}"), "get_id", &[]) {
        Ok(answer) => Decoder(&answer).text().map(Some).ok_or_else(|| strange("id")),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(failed("look up", e)),
    }
}

/// The numbers of the image's snapshots. `None` when there is no such image.
pub(super) fn snapshots(io: &IoCtx, id: &str) -> Result<Option<Vec<u64>>, StoreError> {
    match io.exec(&header(id), "get_snapcontext", &[]) {
        Ok(answer) => {
            let mut answer = Decoder(&answer);
            let read = answer.u64().and_then(|_| answer.u32()).map(|n| (0..n).map_while(|_| answer.u64()).collect());
            read.map(Some).ok_or_else(|| strange("snapshots"))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(failed("snapshots", e)),
    }
}

/// The number of the snapshot that makes the image whole, and its size; of an image that is not whole, its size now.
/// `None` when there is no such image.
pub(super) fn whole(io: &IoCtx, id: &str) -> Result<Option<(Option<u64>, u64)>, StoreError> {
    let Some(snapshots) = snapshots(io, id)? else { return Ok(None) };
    let mut found = None;
    for snapshot in snapshots {
        match io.exec(&header(id), "get_snapshot_name", &snapshot.to_le_bytes()) {
            Ok(answer) if Decoder(&answer).text().as_deref() == Some(SNAP) => found = Some(snapshot),
            Ok(_) | Err(Errno::NOENT) => {}
            Err(e) => return Err(failed("snapshot", e)),
        }
    }
    match io.exec(&header(id), "get_size", &found.unwrap_or(HEAD).to_le_bytes()) {
        Ok(answer) => {
            let mut answer = Decoder(&answer);
            let size = answer.u8().and_then(|_order| answer.u64()).ok_or_else(|| strange("size"))?;
            Ok(Some((found, size)))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(failed("size", e)),
    }
}

/// When the image was last written to, to about a minute.
pub(super) fn modified(io: &IoCtx, id: &str) -> Result<Option<Timestamp>, StoreError> {
    let seconds = io.modified(&header(id)).map_err(at("stat"))?;
    Ok(seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()))
}

/// Whether a clone in this pool hangs on the snapshot (clone format 1: it needs the snapshot to stay).
pub(super) fn has_children(io: &IoCtx, pool: i64, id: &str, snapshot: u64) -> Result<bool, StoreError> {
    let mut parent = pool.to_le_bytes().to_vec();
    parent.extend(u32::try_from(id.len()).unwrap_or(u32::MAX).to_le_bytes());
    parent.extend(id.as_bytes());
    parent.extend(snapshot.to_le_bytes());
    match io.exec("rbd_children", "get_children", &parent) {
        Ok(answer) => Ok(Decoder(&answer).u32().unwrap_or(0) > 0),
        Err(Errno::NOENT) => Ok(false),
        Err(e) => Err(failed("children", e)),
    }
}

fn header(id: &str) -> String {
    format!("rbd_header.{id}")
}

fn strange(what: &str) -> StoreError {
    StoreError::permanent(StoreErrorKind::Unexpected, format!("{what}: an answer of an unknown form"))
}

/// Reads what Ceph encodes: little-endian numbers, strings after their length.
struct Decoder<'a>(&'a [u8]);

impl Decoder<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (now, later) = self.0.split_first_chunk::<N>()?;
        self.0 = later;
        Some(*now)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let len = usize::try_from(self.u32()?).ok()?;
        let (text, later) = self.0.split_at_checked(len)?;
        self.0 = later;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_answers_are_read_and_short_ones_refused() {
        let mut answer = Decoder(b"\x03\0\0\0abc\x17\x01\0\0\0\0\0\0\0rest");
        assert_eq!(answer.text().as_deref(), Some("abc"));
        assert_eq!((answer.u8(), answer.u64()), (Some(23), Some(1)));
        assert_eq!(answer.u64(), None);
        assert_eq!(Decoder(b"\xff\xff\xff\xffabc").text(), None);
        assert_eq!(Decoder(b"\x01\0").u32(), None);
    }
}
