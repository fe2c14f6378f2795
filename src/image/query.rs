//! What a list asks for: the parsed form of the query string, which `api` makes and `db` turns into SQL.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Image, MemberStatus, Visibility};

mod condition;
mod grant;

pub use condition::{Condition, IntTest, Text, TextTest};
pub use grant::{Grant, Stance};

/// A list request after parsing: filters, order, start and length of the page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListQuery {
    /// All must hold.
    pub filters: Vec<Filter>,
    /// Which visibilities, seen from the caller.
    pub visibility: VisibilityFilter,
    /// Which memberships count for images shared with the caller; `None` is all of them.
    pub member_status: Option<MemberStatus>,
    /// `os_hidden` must equal this.
    pub hidden: bool,
    /// Sort keys in order, complete: always ends in `created_at` and `id`, so that the order is total.
    pub sort: Vec<(SortKey, Direction)>,
}

/// Which visibilities a list shows, seen from the caller's project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VisibilityFilter {
    /// All that the caller may see, but not others' community images.
    #[default]
    Default,
    /// All that the caller may see.
    All,
    /// Only this one.
    Only(Visibility),
    /// An empty value, which matches no image.
    Nothing,
}

/// One condition on an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// The text column equals one of these.
    TextIn(TextColumn, Vec<String>),
    /// The number equals this.
    IntEq(IntColumn, i64),
    /// The number is at least this.
    IntMin(IntColumn, i64),
    /// The number is at most this.
    IntMax(IntColumn, i64),
    /// `protected` equals this.
    Protected(bool),
    /// The time, in whole seconds as the API shows it, compares so.
    Time(TimeColumn, Comparison, Timestamp),
    /// The image has this tag.
    Tag(String),
    /// The image has this custom property with this value.
    Property(String, String),
    /// A value of the wrong type, which matches no image.
    Nothing,
}

/// Text columns that lists and policies filter on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TextColumn {
    /// `id`
    Id,
    /// `name`
    Name,
    /// `status`
    Status,
    /// `visibility`
    Visibility,
    /// `container_format`
    ContainerFormat,
    /// `disk_format`
    DiskFormat,
    /// `owner`
    Owner,
    /// `checksum`
    Checksum,
    /// `os_hash_algo`
    OsHashAlgo,
    /// `os_hash_value`
    OsHashValue,
}

/// Number columns that lists and policies filter on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IntColumn {
    /// `size`
    Size,
    /// `virtual_size`
    VirtualSize,
    /// `min_disk`
    MinDisk,
    /// `min_ram`
    MinRam,
}

/// Time columns that lists filter on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeColumn {
    /// `created_at`
    CreatedAt,
    /// `updated_at`
    UpdatedAt,
}

/// Comparison of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `gt`
    Gt,
    /// `gte`
    Gte,
    /// `lt`
    Lt,
    /// `lte`
    Lte,
    /// `eq`
    Eq,
    /// `neq`
    Neq,
}

/// Keys that lists sort by. A null sorts before every value when ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortKey {
    /// `name`
    Name,
    /// `status`
    Status,
    /// `container_format`
    ContainerFormat,
    /// `disk_format`
    DiskFormat,
    /// `size`
    Size,
    /// `id`
    Id,
    /// `created_at`
    CreatedAt,
    /// `updated_at`
    UpdatedAt,
}

/// Direction of a sort key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Asc,
    /// Largest first.
    Desc,
}

/// Whose list it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// The caller's project.
    pub project: Option<String>,
    /// What the caller's project said to what is shared with it does not matter (`get_all_images`, F-20).
    pub all_projects: bool,
    /// What the caller may see at all.
    pub grant: Arc<Grant>,
}

/// The page to read: at most `limit` rows after `after` (exclusive) in the order of the query.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The last image of the page before.
    pub after: Option<&'a Image>,
    /// Rows at most.
    pub limit: u32,
}
