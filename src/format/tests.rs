//! Bounds that only show from inside.

use super::*;
use crate::config::Images;

/// Bytes that an inspector holds.
fn held(inspector: &Inspector) -> usize {
    inspector.tail.capacity() + inspector.tracks.iter().map(Track::held).sum::<usize>()
}

#[test]
fn memory_is_bounded_for_the_greediest_streams() {
    let text = b"# Disk DescriptorFile\nversion=1\ncreateType=\"monolithicSparse\"\n";
    let mut vmdk = vec![0; 512];
    vmdk[..4].copy_from_slice(b"KDMV");
    vmdk[4..8].copy_from_slice(&1_u32.to_le_bytes());
    vmdk[12..20].copy_from_slice(&1_u64.to_le_bytes());
    vmdk[28..36].copy_from_slice(&1_u64.to_le_bytes());
    vmdk[36..44].copy_from_slice(&u64::MAX.to_le_bytes());
    for (start, chunk) in [(&text[..], &b"RW 1 SPARSE \"x\"\n"[..]), (&vmdk, &[b'\n'; 7]), (b"QFI\xfb", &[1; 997])] {
        let mut inspector = Inspector::new(Some("raw"), Some("bare"), &Images::default());
        inspector.feed(start);
        for _ in 0..(3 << 20) / chunk.len() {
            inspector.feed(chunk);
            assert!(held(&inspector) <= 2 << 20, "{} bytes held", held(&inspector));
        }
    }
}

#[test]
fn the_tail_is_the_last_bytes() {
    let data: Vec<u8> = (0..10_000_u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
    for chunk in [1, 7, 511, 1535, 1536, 1537, 3000, 10_000] {
        let mut inspector = Inspector::new(None, None, &Images::default());
        data.chunks(chunk).for_each(|c| inspector.feed(c));
        assert!(inspector.tail.ends_with(&data[data.len() - TAIL..]), "chunks of {chunk}");
        assert!(inspector.tail.len() <= 2 * TAIL);
    }
}
