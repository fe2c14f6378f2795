//! Damaged images in any chunks: no panic, and the verdict of the bytes, however they were cut.

use fanlight::config::Images;
use proptest::prelude::*;

use super::{chunked, images, inspect};

/// What is done to an image.
#[derive(Debug, Clone)]
enum Damage {
    Byte(usize, u8),
    Number(usize, u64),
    Cut(usize),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    // Most of what is read lies in the first sectors.
    let at = prop_oneof![4 => 0_usize..1024, 1 => 0_usize..(2 << 20)];
    let number = prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(1 << 63), Just(2048), any::<u64>()];
    prop_oneof![
        4 => (at.clone(), any::<u8>()).prop_map(|(at, b)| Damage::Byte(at, b)),
        4 => (at.clone(), number).prop_map(|(at, n)| Damage::Number(at, n)),
        1 => at.clone().prop_map(Damage::Cut),
        1 => (at, 0_usize..600).prop_map(|(at, len)| Damage::Repeat(at, len)),
    ]
}

fn apply(image: &mut Vec<u8>, damage: &Damage) {
    let len = image.len().max(1);
    match *damage {
        Damage::Byte(at, b) => {
            if let Some(byte) = image.get_mut(at % len) {
                *byte = b;
            }
        }
        Damage::Number(at, n) => {
            let bytes = if at % 2 == 0 { n.to_le_bytes() } else { n.to_be_bytes() };
            image.iter_mut().skip(at % len / 4 * 4).zip(bytes).for_each(|(byte, b)| *byte = b);
        }
        Damage::Cut(at) => image.truncate(at % len),
        Damage::Repeat(at, n) => {
            let part: Vec<u8> = image.iter().skip(at % len).take(n).copied().collect();
            image.extend_from_slice(&part);
        }
    }
}

const DECLARED: [&str; 11] = ["raw", "qcow2", "qed", "vhd", "vhdx", "vmdk", "vdi", "iso", "gpt", "luks", "ami"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_verdict_is_that_of_the_bytes(
        which in 0_usize..11,
        damages in prop::collection::vec(damage(), 0..6),
        declared in prop::sample::select(&DECLARED[..]),
        container in prop::sample::select(&["bare", "ova"][..]),
        chunk in prop_oneof![1_usize..20, 500_usize..5000, 60_000_usize..70_000],
        require_format_match in any::<bool>(),
    ) {
        let (_, mut image) = images::all().swap_remove(which);
        damages.iter().for_each(|d| apply(&mut image, d));
        // Tiny chunks of all of a large image would take long: what follows comes in one.
        let rules = Images { require_format_match, ..Images::default() };
        let whole = inspect(declared, container, &rules, &image);
        prop_assert_eq!(&whole, &chunked(declared, container, &rules, &image, chunk));
    }

    #[test]
    fn noise_is_no_reason_to_panic(data in prop::collection::vec(any::<u8>(), 0..3000), chunk in 1_usize..3000) {
        let rules = Images::default();
        prop_assert_eq!(inspect("raw", "bare", &rules, &data), chunked("raw", "bare", &rules, &data, chunk));
    }
}

#[test]
fn single_bytes() {
    let rules = Images::default();
    for (name, image) in images::all() {
        assert_eq!(chunked(name, "bare", &rules, &image, 1), inspect(name, "bare", &rules, &image), "{name}");
    }
}

#[test]
fn every_truncation_of_the_headers() {
    for (name, image) in images::all() {
        for len in (0..image.len().min(1100)).chain([40_000, 200_000, 1_100_000]).filter(|n| *n <= image.len()) {
            let cut = image.get(..len).expect("not longer");
            for declared in [name, "raw", "ami"] {
                let rules = Images::default();
                let whole = inspect(declared, "bare", &rules, cut);
                assert_eq!(chunked(declared, "bare", &rules, cut, 13), whole, "{name} of {len} bytes");
                if declared == "raw"
                    && let Ok(verdict) = whole
                {
                    assert_eq!(verdict.virtual_size, (len > 0).then_some(len as u64));
                }
            }
        }
    }
}
