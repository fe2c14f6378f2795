//! Formats whose header of fixed size at the start says all: QCOW2, QED, VHD, VDI, LUKS, GPT and MBR.
//!
//! Each gives its magic and a pure function of the header; capturing is written once, here.

use super::capture::{Format, Match, Region};

/// What a header says of a stream that is of the format.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub violation: Option<&'static str>,
    pub virtual_size: Option<u64>,
    /// Bytes that hold no data of the guest, where the size of the guest's disk is the rest of the stream.
    pub payload_offset: Option<u64>,
}

/// A format with a header at the start.
pub(super) struct Spec {
    pub name: &'static str,
    /// Bytes of the header.
    pub header: usize,
    /// Whether these bytes, which may be cut short by the end of the stream, begin this format.
    pub detect: fn(&[u8]) -> bool,
    /// What the header says; it may be cut short.
    pub facts: fn(&[u8]) -> Facts,
}

/// An inspector for a [`Spec`].
pub(super) struct Simple {
    spec: &'static Spec,
    found: Option<Result<Facts, NoMatch>>,
}

struct NoMatch;

impl Simple {
    pub fn new(spec: &'static Spec) -> Self {
        Self { spec, found: None }
    }

    fn facts(&self) -> Option<&Facts> {
        self.found.as_ref().and_then(|f| f.as_ref().ok())
    }
}

impl Format for Simple {
    fn name(&self) -> &'static str {
        self.spec.name
    }

    fn want(&self) -> Option<Region> {
        self.found.is_none().then_some(Region { offset: 0, len: self.spec.header })
    }

    fn take(&mut self, data: &[u8]) {
        self.found = Some(if (self.spec.detect)(data) { Ok((self.spec.facts)(data)) } else { Err(NoMatch) });
    }

    fn matches(&self) -> Match {
        match &self.found {
            None => Match::Unknown,
            Some(Ok(_)) => Match::Yes,
            Some(Err(NoMatch)) => Match::No,
        }
    }

    fn violation(&self) -> Option<&str> {
        self.facts().and_then(|f| f.violation)
    }

    fn virtual_size(&self, size: u64) -> Option<u64> {
        let facts = self.facts()?;
        facts.virtual_size.or_else(|| Some(size.saturating_sub(facts.payload_offset?)))
    }
}

/// The violation of a header that the end of the stream cuts off.
pub(super) const TRUNCATED: &str = "the data end within the header";
