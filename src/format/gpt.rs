//! Partition tables: MBR, and GPT behind its protective MBR. Both show by the signature at the end of the first sector.
//!
//! The signature alone says little; the checks refuse tables that no partitioning tool writes, behind which another
//! format may hide.

use super::{
    capture::{le16, le32},
    simple::{Facts, Spec},
};

const SIGNATURE: u16 = 0xaa55;
const TABLE: usize = 446;
const ENTRY: usize = 16;
/// Partition type of the protective MBR of a GPT.
const PROTECTIVE: u8 = 0xee;

pub(super) static GPT: Spec = Spec {
    name: "gpt",
    header: 512,
    detect: |sector| le16(sector, 510) == Some(SIGNATURE) && !is_fat(sector),
    facts: |sector| Facts { violation: violation(sector), virtual_size: None, payload_offset: Some(0) },
};

/// The boot sector of a FAT file system carries the same signature: two FATs, and the media of a fixed disk.
fn is_fat(sector: &[u8]) -> bool {
    sector.get(0x10) == Some(&2) && sector.get(0x15) == Some(&0xf8)
}

fn violation(sector: &[u8]) -> Option<&'static str> {
    let entries = sector.get(TABLE..).unwrap_or_default().chunks_exact(ENTRY).take(4);
    let (mut used, mut protective) = (Vec::with_capacity(4), false);
    for (number, entry) in entries.enumerate() {
        let [boot, head, start, cylinder, kind, ..] = entry else { continue };
        if !matches!(boot, 0x00 | 0x80) {
            return Some("its partition table has an invalid boot flag");
        }
        if *kind != 0 {
            used.push(number);
        }
        if *kind == PROTECTIVE {
            protective = true;
            if (head, start, cylinder) != (&0, &2, &0) || le32(entry, 8) != Some(1) {
                return Some("its protective partition does not begin at the first block");
            }
        }
    }
    if protective && used != [0] {
        return Some("its protective partition table has extra partitions");
    }
    used.is_empty().then_some("its partition table is empty")
}
