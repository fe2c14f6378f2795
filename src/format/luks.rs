//! LUKS. Only version 1 is known to all who would open it. Without the passphrase nothing can be said of what is inside.

use super::{
    capture::be32,
    simple::{Facts, Spec, TRUNCATED},
};

/// The header with its eight key slots.
const HEADER: usize = 592;
const SECTOR: u64 = 512;

pub(super) static LUKS: Spec = Spec {
    name: "luks",
    header: HEADER,
    detect: |header| header.starts_with(b"LUKS\xba\xbe"),
    facts: |header| {
        let version = header.get(6..8);
        Facts {
            violation: match version {
                _ if header.len() < HEADER => Some(TRUNCATED),
                Some([0, 1]) => None,
                _ => Some("its version is not supported"),
            },
            virtual_size: None,
            payload_offset: be32(header, 104).map(|sectors| u64::from(sectors) * SECTOR),
        }
    },
};
