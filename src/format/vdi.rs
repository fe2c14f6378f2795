//! VDI, the format of VirtualBox.

use super::{
    capture::{le32, le64},
    simple::{Facts, Spec},
};

const MAGIC: u32 = 0xbeda_107f;
/// Image types that name a parent: undo and differencing.
const WITH_PARENT: [u32; 2] = [3, 4];

pub(super) static VDI: Spec = Spec {
    name: "vdi",
    header: 512,
    detect: |header| header.len() == 512 && le32(header, 0x40) == Some(MAGIC),
    facts: |header| Facts {
        violation: le32(header, 0x4c).filter(|t| WITH_PARENT.contains(t)).map(|_| "it has a parent disk"),
        virtual_size: le64(header, 0x170),
        payload_offset: None,
    },
};
