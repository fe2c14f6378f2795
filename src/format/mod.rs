//! What an uploaded stream really is, found while it passes: disk images name other files, and tenants write them.
//!
//! Every inspector sees the stream as it goes by and keeps a bounded part of it, 2 MiB in all. The verdict depends on
//! the bytes alone, not on the chunks they came in; no input makes an inspector panic.
//!
//! * The bytes must be of the declared `disk_format`. `raw` may hold anything; a format that is not inspected (`ami` …)
//!   passes when nothing is recognised.
//! * Whatever is recognised must be safe, also in an image that is declared `raw` and in every container.
//! * Two formats at once are refused, but for a disc image that boots as a disk too.

use std::fmt;

use self::{
    capture::{End, Format, Match, TAIL, Track},
    simple::Simple,
};
use crate::{
    config,
    error::{Error, Kind},
};

mod capture;
mod gpt;
mod iso;
mod luks;
mod qcow2;
mod simple;
#[cfg(test)]
mod tests;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;

/// Formats that are recognised. Any other `disk_format` is only required to look like none of these.
const INSPECTED: [&str; 9] = ["qcow2", "qed", "vhd", "vhdx", "vmdk", "vdi", "iso", "gpt", "luks"];
/// Containers around the disk image: the stream is an archive or compressed.
const WRAPPING: [&str; 4] = ["ovf", "ova", "docker", "compressed"];
/// Kernels and ramdisks: a kernel that boots by EFI carries the signature of a partition table.
const KERNELS: [&str; 2] = ["aki", "ari"];
/// Sizes are signed 64-bit numbers in databases and clients.
const SIZE_MAX: u64 = i64::MAX as u64;

/// Inspects one stream.
pub struct Inspector {
    declared: Option<String>,
    wrapped: bool,
    require_match: bool,
    gpt_nonfatal: bool,
    tracks: Vec<Track>,
    position: u64,
    tail: Vec<u8>,
}

/// What a stream that may pass is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Bytes that a guest sees, when the format says.
    pub virtual_size: Option<u64>,
    /// What was recognised; `raw` when nothing was.
    pub detected: &'static str,
}

/// Why a stream may not pass, in words for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    text: String,
}

impl Refusal {
    fn unsafe_format(name: &str, why: &str) -> Self {
        Self { text: format!("Image failed safety checks: detected `{name}`, and {why}") }
    }

    fn mismatch(declared: &str, detected: &str) -> Self {
        Self {
            text: format!("Image disk_format does not match the data: declared `{declared}`, detected `{detected}`"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(Kind::UnsupportedMedia, refusal.text)
    }
}

impl Inspector {
    /// For a stream that is declared as `disk_format` in `container_format`.
    pub fn new(disk_format: Option<&str>, container_format: Option<&str>, rules: &config::Images) -> Self {
        let wrapped = container_format.is_some_and(|c| WRAPPING.contains(&c));
        let mut tracks = vec![
            Track::new(Box::new(Simple::new(&qcow2::QCOW2))),
            Track::new(Box::new(Simple::new(&qcow2::QED))),
            Track::new(Box::new(Simple::new(&vhd::VHD))),
            Track::new(Box::<vhdx::Vhdx>::default()),
            Track::new(Box::new(vmdk::Vmdk::new(&rules.vmdk_allowed_types))),
            Track::new(Box::new(Simple::new(&vdi::VDI))),
            Track::new(Box::<iso::Iso>::default()),
            Track::new(Box::new(Simple::new(&luks::LUKS))),
        ];
        // The two bytes of a partition table's signature are found by chance in one of 65,536 compressed streams.
        if !wrapped {
            tracks.push(Track::new(Box::new(Simple::new(&gpt::GPT))));
        }
        Self {
            declared: disk_format.map(str::to_owned),
            wrapped,
            require_match: rules.require_format_match,
            gpt_nonfatal: rules.gpt_checks_nonfatal,
            tracks,
            position: 0,
            tail: Vec::with_capacity(TAIL.saturating_mul(2)),
        }
    }

    /// Shows the next bytes of the stream.
    pub fn feed(&mut self, chunk: &[u8]) {
        for track in &mut self.tracks {
            track.feed(self.position, chunk);
        }
        self.position = self.position.saturating_add(chunk.len() as u64);
        self.keep_tail(chunk);
    }

    /// A refusal that is certain before the end: what [`Inspector::finish`] will say cannot be better.
    pub fn early(&self) -> Option<Refusal> {
        let found = |track: &&Track| track.format.matches() == Match::Yes && track.format.name() != "gpt";
        for track in self.tracks.iter().filter(found) {
            if let Some(why) = track.format.violation() {
                return Some(Refusal::unsafe_format(track.format.name(), why));
            }
        }
        let declared = self.declared.as_deref().filter(|_| self.require_match && !self.wrapped)?;
        let own = self.tracks.iter().find(|t| t.format.name() == declared)?;
        if own.format.matches() != Match::No {
            return None;
        }
        let other = self.tracks.iter().find(|t| t.format.matches() == Match::Yes);
        Some(Refusal::mismatch(declared, other.map_or("another format", |t| t.format.name())))
    }

    /// The verdict on the whole stream, of `size` bytes.
    ///
    /// # Errors
    /// The refusal, when the stream is unsafe or not what was declared.
    pub fn finish(mut self, size: u64) -> Result<Verdict, Refusal> {
        for track in &mut self.tracks {
            track.end();
        }
        let kept = self.tail.len().saturating_sub(TAIL);
        let end = End { size, tail: self.tail.get(kept..).unwrap_or_default() };
        let found: Vec<&dyn Format> =
            self.tracks.iter().map(|t| &*t.format).filter(|f| f.matches() == Match::Yes).collect();
        let names: Vec<&str> = found.iter().map(|f| f.name()).collect();
        match (found.as_slice(), names.as_slice()) {
            ([], _) => self.unrecognised(size),
            ([one], _) => self.recognised(*one, end),
            // A disc image that boots as a disk: the system area before the volume may hold a partition table.
            ([iso, _], ["iso", "gpt"]) => self.recognised(*iso, end),
            _ if self.require_match => {
                let text = format!("Image data are of several formats at once: `{}`", names.join("`, `"));
                Err(Refusal { text })
            }
            ([first, ..], _) => {
                found.iter().try_for_each(|format| self.safe(*format, end))?;
                Ok(Verdict { virtual_size: None, detected: first.name() })
            }
        }
    }

    fn unrecognised(&self, size: u64) -> Result<Verdict, Refusal> {
        let detected = "raw";
        match self.declared.as_deref() {
            Some("raw") => Ok(Verdict { virtual_size: plausible(size), detected }),
            Some(declared) if self.mismatches(declared, detected) && !self.wrapped => {
                Err(Refusal::mismatch(declared, detected))
            }
            _ => Ok(Verdict { virtual_size: None, detected }),
        }
    }

    fn recognised(&self, format: &dyn Format, end: End<'_>) -> Result<Verdict, Refusal> {
        let detected = format.name();
        let virtual_size = match self.declared.as_deref() {
            Some("raw") => plausible(end.size),
            Some(declared) if declared == detected => {
                let size = format.virtual_size(end.size).filter(|n| *n > 0);
                if size.is_some_and(|n| n > SIZE_MAX) {
                    return Err(Refusal::unsafe_format(detected, "its virtual size is not possible"));
                }
                size
            }
            Some(declared) if self.mismatches(declared, detected) => {
                // What is unsafe says more than what is only not as declared.
                self.safe(format, end)?;
                return Err(Refusal::mismatch(declared, detected));
            }
            _ => None,
        };
        self.safe(format, end)?;
        Ok(Verdict { virtual_size, detected })
    }

    /// Whether data that look like `detected` are refused as not being `declared`.
    fn mismatches(&self, declared: &str, detected: &str) -> bool {
        let unknown_as_such = detected == "raw" && !INSPECTED.contains(&declared);
        let kernel = detected == "gpt" && KERNELS.contains(&declared);
        self.require_match && !unknown_as_such && !kernel
    }

    fn safe(&self, format: &dyn Format, end: End<'_>) -> Result<(), Refusal> {
        let kernel = || self.declared.as_deref().is_some_and(|d| KERNELS.contains(&d));
        if format.name() == "gpt" && (self.gpt_nonfatal || kernel()) {
            return Ok(());
        }
        match format.violation().or_else(|| format.violation_at_end(end)) {
            Some(why) => Err(Refusal::unsafe_format(format.name(), why)),
            None => Ok(()),
        }
    }

    fn keep_tail(&mut self, chunk: &[u8]) {
        let last = chunk.get(chunk.len().saturating_sub(TAIL)..).unwrap_or_default();
        if self.tail.len().saturating_add(last.len()) > TAIL.saturating_mul(2) {
            let surplus = self.tail.len().saturating_sub(TAIL.saturating_sub(last.len()));
            self.tail.drain(..surplus);
        }
        self.tail.extend_from_slice(last);
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector")
            .field("declared", &self.declared)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// A size that there is something to say of.
fn plausible(size: u64) -> Option<u64> {
    (1..=SIZE_MAX).contains(&size).then_some(size)
}
