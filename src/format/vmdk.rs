//! VMDK: a sparse header at the start, then a descriptor in text; or the descriptor alone, which only names other files.
//!
//! The descriptor is what makes VMDK dangerous: its extents and its parent are names of files of the host that opens
//! it. Each line must be understood, extents must be the file itself, and there must be no parent.

use super::{
    capture::{End, Format, Match, Region, le32, le64},
    simple::TRUNCATED,
};

mod descriptor;

const SECTOR: u64 = 512;
const HEADER: usize = 512;
/// Where the descriptor of a sparse file must be: right behind the header.
const DESCRIPTOR: u64 = SECTOR;
/// The longest descriptor in a sparse file; real ones have some 10 KiB.
const DESCRIPTOR_MAX: u64 = 512 << 10;
/// The longest text that programs read as a descriptor on its own.
const TEXT_MAX: usize = (1 << 20) - 1;
/// The grain directory's offset stands in a footer.
const AT_END: u64 = u64::MAX;
const MARKER_FOOTER: u32 = 3;
const MARKER_END: u32 = 0;

/// Inspector of VMDK.
pub(super) struct Vmdk {
    allowed: Vec<String>,
    state: State,
    violation: Option<String>,
    header: Option<Header>,
}

enum State {
    Header,
    /// The descriptor of a sparse file, of this length.
    Embedded(usize),
    /// Text from the start, of which this is the first part.
    Text(Vec<u8>),
    Yes,
    No,
}

/// What matters of a sparse header. A footer has the same form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    version: u32,
    sectors: u64,
    descriptor: (u64, u64),
    directory: u64,
}

impl Header {
    fn parse(data: &[u8]) -> Option<Self> {
        data.starts_with(b"KDMV").then_some(())?;
        Some(Self {
            version: le32(data, 4)?,
            sectors: le64(data, 12)?,
            descriptor: (le64(data, 28)?, le64(data, 36)?),
            directory: le64(data, 56)?,
        })
    }
}

impl Vmdk {
    /// Lets in these values of `createType`.
    pub fn new(allowed: &[String]) -> Self {
        let allowed = allowed.iter().map(|t| t.to_ascii_lowercase()).collect();
        Self { allowed, state: State::Header, violation: None, header: None }
    }

    fn begin(&mut self, data: &[u8]) -> State {
        if !data.starts_with(b"KDMV") {
            return match descriptor::may_begin(data) {
                true if data.len() == HEADER => State::Text(data.to_vec()),
                true => self.text(data, &[]),
                false => State::No,
            };
        }
        let Some(header) = Header::parse(data).filter(|_| data.len() == HEADER) else {
            return self.fail(TRUNCATED);
        };
        self.header = Some(header);
        let (offset, len) = header.descriptor;
        if !(1..=3).contains(&header.version) {
            return self.fail("its version is not supported");
        }
        if offset.checked_mul(SECTOR) != Some(DESCRIPTOR) || len == 0 {
            return self.fail("its descriptor is not behind the header");
        }
        if header.sectors == 0 {
            return self.fail("its header gives no size, so its data would be other files");
        }
        match usize::try_from(len.saturating_mul(SECTOR).min(DESCRIPTOR_MAX + 1)) {
            Ok(len) if len as u64 <= DESCRIPTOR_MAX => State::Embedded(len),
            _ => self.fail("its descriptor is too long"),
        }
    }

    /// All of a text that may be a descriptor on its own.
    fn text(&mut self, begin: &[u8], rest: &[u8]) -> State {
        if descriptor::is_descriptor(begin, rest) { self.fail("it is a descriptor without data") } else { State::No }
    }

    fn fail(&mut self, why: impl Into<String>) -> State {
        self.violation = Some(why.into());
        State::Yes
    }
}

impl Format for Vmdk {
    fn name(&self) -> &'static str {
        "vmdk"
    }

    fn want(&self) -> Option<Region> {
        match &self.state {
            State::Header => Some(Region { offset: 0, len: HEADER }),
            State::Embedded(len) => Some(Region { offset: DESCRIPTOR, len: *len }),
            State::Text(begin) => {
                Some(Region { offset: begin.len() as u64, len: TEXT_MAX.saturating_sub(begin.len()) })
            }
            State::Yes | State::No => None,
        }
    }

    fn take(&mut self, data: &[u8]) {
        self.state = match std::mem::replace(&mut self.state, State::No) {
            State::Header => self.begin(data),
            State::Embedded(len) if data.len() < len => self.fail(TRUNCATED),
            State::Embedded(_) => {
                self.violation = descriptor::violation(data, &self.allowed);
                State::Yes
            }
            State::Text(begin) => self.text(&begin, data),
            done @ (State::Yes | State::No) => done,
        };
    }

    fn matches(&self) -> Match {
        match self.state {
            State::Header | State::Text(_) => Match::Unknown,
            State::Embedded(_) | State::Yes => Match::Yes,
            State::No => Match::No,
        }
    }

    fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    fn violation_at_end(&self, end: End<'_>) -> Option<&'static str> {
        let header = self.header.filter(|h| h.directory == AT_END)?;
        footer_violation(&header, end.tail)
    }

    fn virtual_size(&self, _size: u64) -> Option<u64> {
        Some(self.header?.sectors.saturating_mul(SECTOR))
    }
}

/// A stream-optimized file ends in a footer marker, the footer, and an end-of-stream marker. Readers believe the
/// footer, so it must say what the header said.
fn footer_violation(header: &Header, tail: &[u8]) -> Option<&'static str> {
    let mut sectors = tail.chunks_exact(HEADER);
    let (Some(marker), Some(footer), Some(end)) = (sectors.next(), sectors.next(), sectors.next()) else {
        return Some("its footer is missing");
    };
    let Some(footer) = Header::parse(footer) else {
        return Some("its footer is missing");
    };
    if (footer.version, footer.descriptor, footer.sectors) != (header.version, header.descriptor, header.sectors) {
        return Some("its footer differs from its header");
    }
    if footer.directory == AT_END {
        return Some("its footer names another footer");
    }
    let is_marker = |sector: &[u8], kind: u32| {
        le32(sector, 8) == Some(0)
            && le32(sector, 12) == Some(kind)
            && sector.get(16..).is_some_and(|pad| pad.iter().all(|b| *b == 0))
    };
    if !is_marker(marker, MARKER_FOOTER) {
        return Some("the marker of its footer is not valid");
    }
    if le64(end, 0) != Some(0) || !is_marker(end, MARKER_END) {
        return Some("the marker of its end is not valid");
    }
    None
}
