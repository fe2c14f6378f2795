//! ISO 9660 and UDF: the first volume descriptor lies behind 32 KiB of system area, which may hold anything.

use super::capture::{Format, Match, Region, le16, le32};

const OFFSET: u64 = 32 << 10;
const LEN: usize = 2048;

/// Inspector of optical discs.
#[derive(Default)]
pub(super) struct Iso {
    found: Option<Option<Volume>>,
}

struct Volume {
    size: Option<u64>,
}

impl Format for Iso {
    fn name(&self) -> &'static str {
        "iso"
    }

    fn want(&self) -> Option<Region> {
        self.found.is_none().then_some(Region { offset: OFFSET, len: LEN })
    }

    fn take(&mut self, data: &[u8]) {
        self.found = Some(volume(data));
    }

    fn matches(&self) -> Match {
        match self.found {
            None => Match::Unknown,
            Some(None) => Match::No,
            Some(Some(_)) => Match::Yes,
        }
    }

    fn violation(&self) -> Option<&str> {
        None
    }

    fn virtual_size(&self, _size: u64) -> Option<u64> {
        self.found.as_ref()?.as_ref()?.size
    }
}

fn volume(descriptor: &[u8]) -> Option<Volume> {
    let magic = descriptor.get(1..6).filter(|_| descriptor.len() == LEN)?;
    if ![b"CD001", b"NSR02", b"NSR03"].contains(&magic.first_chunk()?) {
        return None;
    }
    // Only the primary descriptor says how large the volume is: blocks, and bytes of a block.
    let primary = descriptor.first() == Some(&1);
    let size = || Some(u64::from(le32(descriptor, 80)?) * u64::from(le16(descriptor, 128)?));
    Some(Volume { size: if primary { size() } else { None } })
}
