//! How an inspector sees a stream: one bounded region at a time, in the order of the stream.
//!
//! An inspector names the next region that it needs; the region is filled from the chunks as they pass, and only then
//! the inspector says what it needs next. What it sees depends on positions alone, never on how the stream was cut
//! into chunks. A region that has passed already cannot be had: streams do not go back.

/// A region of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub offset: u64,
    pub len: usize,
}

/// What an inspector knows of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// Too little was seen.
    Unknown,
    /// Not this format.
    No,
    /// This format.
    Yes,
}

/// What is known at the end of the stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct End<'a> {
    /// Bytes of the stream.
    pub size: u64,
    /// The last of them, at most [`TAIL`].
    pub tail: &'a [u8],
}

/// Bytes kept of the end of the stream: the footer of a VMDK is the largest structure there.
pub(super) const TAIL: usize = 1536;

/// An inspector of one format.
pub(super) trait Format: Send {
    /// As `disk_format` names it.
    fn name(&self) -> &'static str;
    /// The region needed next; `None` when nothing more is.
    fn want(&self) -> Option<Region>;
    /// Takes the region that [`Format::want`] named: shorter than asked when the stream ended, empty when it has passed.
    fn take(&mut self, data: &[u8]);
    /// Whether the stream is of this format, as far as is known.
    fn matches(&self) -> Match;
    /// What is unsafe about the start of a stream of this format: final as soon as it is there.
    fn violation(&self) -> Option<&str>;
    /// What is unsafe about its end, or about what is missing.
    fn violation_at_end(&self, _end: End<'_>) -> Option<&'static str> {
        None
    }
    /// Bytes that a guest sees, if the format says.
    fn virtual_size(&self, size: u64) -> Option<u64>;
}

/// An inspector and the region it waits for.
pub(super) struct Track {
    pub format: Box<dyn Format>,
    region: Vec<u8>,
    /// The stream before this position was seen by the inspector.
    seen: u64,
}

impl Track {
    pub fn new(format: Box<dyn Format>) -> Self {
        Self { format, region: Vec::new(), seen: 0 }
    }

    /// Shows the chunk that begins at `position`.
    pub fn feed(&mut self, position: u64, chunk: &[u8]) {
        let end = position.saturating_add(chunk.len() as u64);
        while let Some(want) = self.format.want() {
            if want.len == 0 || want.offset < self.seen {
                self.deliver(self.seen);
                continue;
            }
            let begin = want.offset.saturating_add(self.region.len() as u64);
            if begin >= end {
                return;
            }
            // `begin` is never before `position`: the region would have been filled by the chunk before.
            let skip = usize::try_from(begin.saturating_sub(position)).unwrap_or(usize::MAX);
            let missing = want.len.saturating_sub(self.region.len());
            let part = chunk.get(skip..).unwrap_or_default();
            let part = part.get(..missing).unwrap_or(part);
            if self.region.is_empty() && part.len() < missing {
                self.region.reserve_exact(missing);
            }
            self.region.extend_from_slice(part);
            if self.region.len() < want.len {
                return;
            }
            self.deliver(want.offset.saturating_add(want.len as u64));
        }
    }

    /// Hands over what there is: the stream has ended. An inspector that still asks gets nothing.
    pub fn end(&mut self) {
        while self.format.want().is_some() {
            self.deliver(u64::MAX);
        }
    }

    /// Bytes held.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.region.capacity()
    }

    fn deliver(&mut self, seen: u64) {
        let region = std::mem::take(&mut self.region);
        self.format.take(&region);
        self.seen = seen;
    }
}

/// Big-endian number at `at`.
pub(super) fn be32(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*data.get(at..)?.first_chunk()?))
}

/// Big-endian number at `at`.
pub(super) fn be64(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*data.get(at..)?.first_chunk()?))
}

/// Little-endian number at `at`.
pub(super) fn le16(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*data.get(at..)?.first_chunk()?))
}

/// Little-endian number at `at`.
pub(super) fn le32(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*data.get(at..)?.first_chunk()?))
}

/// Little-endian number at `at`.
pub(super) fn le64(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*data.get(at..)?.first_chunk()?))
}
