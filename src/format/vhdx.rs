//! VHDX: identifier, region table at 192 KiB, metadata region behind it, and in it the items that matter.

use super::{
    capture::{End, Format, Match, Region, le16, le32, le64},
    simple::TRUNCATED,
};

const TABLE_OFFSET: u64 = 192 << 10;
const TABLE: usize = 64 << 10;
/// Entries of either table at most.
const ENTRIES_MAX: usize = 2047;
const ENTRY: usize = 32;
type Guid = [u8; 16];
/// GUIDs as they lie on disk.
const METADATA: Guid = *b"\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";
const DISK_SIZE: Guid = *b"\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8";
const PARAMETERS: Guid = *b"\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b";
/// Bytes of both items.
const ITEM: usize = 8;
const HAS_PARENT: u32 = 0b10;

/// Inspector of VHDX.
#[derive(Default)]
pub(super) struct Vhdx {
    state: State,
    violation: Option<&'static str>,
    size: Option<u64>,
}

#[derive(Default)]
enum State {
    #[default]
    Identifier,
    Regions,
    Metadata(u64),
    /// Items that are still to come, the next one last.
    Items(Vec<(u64, Guid)>),
    No,
}

impl Vhdx {
    fn fail(&mut self, why: &'static str) -> State {
        self.violation.get_or_insert(why);
        State::Items(Vec::new())
    }

    fn regions(&mut self, table: &[u8]) -> State {
        if !table.starts_with(b"regi") {
            return self.fail("its region table has no signature");
        }
        match find(table, 16, le32(table, 8).map(|n| n as usize), &METADATA).and_then(|e| le64(e, 16)) {
            Some(offset) => State::Metadata(offset),
            None => self.fail("its region table names no metadata"),
        }
    }

    fn metadata(&mut self, offset: u64, table: &[u8]) -> State {
        if !table.starts_with(b"metadata") {
            return self.fail("its metadata table has no signature");
        }
        let count = le16(table, 10).map(usize::from);
        let item = |guid: &Guid| {
            let entry = find(table, 32, count, guid)?;
            Some((offset.saturating_add(u64::from(le32(entry, 16)?)), *guid))
        };
        let (Some(size), Some(parameters)) = (item(&DISK_SIZE), item(&PARAMETERS)) else {
            return self.fail("its metadata table does not name the size and the parameters");
        };
        let mut items = vec![size, parameters];
        items.sort_unstable_by(|a, b| b.cmp(a));
        State::Items(items)
    }

    fn item(&mut self, guid: &Guid, data: &[u8]) {
        match (*guid, le64(data, 0), le32(data, 4)) {
            (DISK_SIZE, Some(size), _) => self.size = Some(size),
            (PARAMETERS, _, Some(flags)) if flags & HAS_PARENT == 0 => {}
            (PARAMETERS, _, Some(_)) => self.violation = Some("it has a parent disk"),
            _ => self.violation = Some("its metadata are cut off or not in order"),
        }
    }
}

impl Format for Vhdx {
    fn name(&self) -> &'static str {
        "vhdx"
    }

    fn want(&self) -> Option<Region> {
        match &self.state {
            State::Identifier => Some(Region { offset: 0, len: 8 }),
            State::Regions => Some(Region { offset: TABLE_OFFSET, len: TABLE }),
            State::Metadata(offset) => Some(Region { offset: *offset, len: TABLE }),
            State::Items(items) => items.last().map(|(offset, _)| Region { offset: *offset, len: ITEM }),
            State::No => None,
        }
    }

    fn take(&mut self, data: &[u8]) {
        self.state = match std::mem::replace(&mut self.state, State::No) {
            State::Identifier if data == b"vhdxfile" => State::Regions,
            State::Identifier | State::No => State::No,
            State::Regions if data.is_empty() => self.fail(TRUNCATED),
            State::Regions => self.regions(data),
            State::Metadata(offset) => self.metadata(offset, data),
            State::Items(mut items) => {
                if let Some((_, guid)) = items.pop() {
                    self.item(&guid, data);
                }
                State::Items(items)
            }
        };
    }

    fn matches(&self) -> Match {
        match self.state {
            State::Identifier => Match::Unknown,
            State::No => Match::No,
            _ => Match::Yes,
        }
    }

    fn violation(&self) -> Option<&str> {
        self.violation
    }

    fn violation_at_end(&self, _end: End<'_>) -> Option<&'static str> {
        self.size.is_none().then_some(TRUNCATED)
    }

    fn virtual_size(&self, _size: u64) -> Option<u64> {
        self.size
    }
}

/// The entry of `guid` in a table whose entries begin at `first`.
fn find<'a>(table: &'a [u8], first: usize, count: Option<usize>, guid: &Guid) -> Option<&'a [u8]> {
    let count = count.filter(|n| *n <= ENTRIES_MAX)?;
    table.get(first..)?.chunks_exact(ENTRY).take(count).find(|entry| entry.starts_with(guid))
}
