//! QCOW2 and its banned relative QED.
//!
//! A QCOW2 header may name other files of the host: a backing file (offset at 8) or, since version 3, an external data
//! file (bit 2 of the incompatible features at 72). Whoever opens such an image discloses them.

use super::{
    capture::{be32, be64},
    simple::{Facts, Spec, TRUNCATED},
};

/// Incompatible features that are known and keep all data in the file: dirty, corrupt, compression type.
const KNOWN: u64 = 0b1011;
const DATA_FILE: u64 = 0b0100;

pub(super) static QCOW2: Spec = Spec {
    name: "qcow2",
    header: 512,
    detect: |header| header.starts_with(b"QFI\xfb"),
    facts: |header| Facts {
        violation: violation(header).unwrap_or(Some(TRUNCATED)),
        virtual_size: be64(header, 24),
        payload_offset: None,
    },
};

pub(super) static QED: Spec = Spec {
    name: "qed",
    header: 4,
    detect: |header| header == b"QED\0",
    facts: |_| Facts { violation: Some("the format is not allowed"), ..Facts::default() },
};

/// `None` when the header is cut short.
fn violation(header: &[u8]) -> Option<Option<&'static str>> {
    let version = be32(header, 4)?;
    if be64(header, 8)? != 0 {
        return Some(Some("it has a backing file"));
    }
    be64(header, 64)?;
    Some(match version {
        2 => None,
        3 => {
            let features = be64(header, 72)?;
            be64(header, 96)?;
            if features & DATA_FILE != 0 {
                Some("it has an external data file")
            } else if features & !KNOWN != 0 {
                Some("it has unknown incompatible features")
            } else {
                None
            }
        }
        _ => Some("its version is not supported"),
    })
}
