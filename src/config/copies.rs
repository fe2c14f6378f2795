//! `[copies]`: copies of images from one store to another.

use super::section::Section;

/// `[copies]`
#[derive(Debug, Clone)]
pub struct Copies {
    /// Copies that this gateway works on at a time.
    pub parallel: usize,
    /// MiB a second of one copy at most; 0 is no limit.
    pub rate_mib_s: u64,
}

impl Default for Copies {
    fn default() -> Self {
        Self { parallel: 2, rate_mib_s: 0 }
    }
}

impl Copies {
    pub(super) fn read(section: Section<'_>) -> Self {
        let d = Self::default();
        let copies = Self {
            parallel: section.number("parallel", 1..=64, d.parallel),
            rate_mib_s: section.number("rate_mib_s", 0..=1 << 20, d.rate_mib_s),
        };
        section.finish();
        copies
    }
}
