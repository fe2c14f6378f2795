//! The domain: what an image is, how its status moves, and one file per use case.
//!
//! Each use case is one function that walks the line of layers in the order that its body shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod activate;
pub mod change;
mod claim;
mod copy;
mod create;
mod delete;
mod download;
mod lease;
mod list;
mod locations;
pub mod query;
mod share;
mod show;
mod stores;
mod update;
mod upload;
mod verify;
mod view;

pub use activate::{deactivate, reactivate};
pub use claim::{Claims, NewLocation, add_location};
pub(crate) use copy::for_owner;
pub use copy::{Seal, cancel_copy, copy};
pub use create::{NewImage, create};
pub use delete::{delete, remove_copy};
pub use download::{Download, Receipt, download};
pub use lease::Lease;
pub use list::{Listing, list};
pub use locations::locations;
pub use share::{add_member, member, members, remove_member, set_member};
pub use show::show;
pub use stores::known_stores;
pub(crate) use stores::ranked;
pub use update::{add_tag, remove_tag, update};
pub use upload::{UploadRequest, upload};
pub use verify::Validation;
pub use view::View;

/// An image as the database holds it. Names and meanings are those of the Images API v2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// UUID text as the creator wrote it; never used again, not even after a delete.
    pub id: String,
    /// At most 255 characters.
    pub name: Option<String>,
    /// Moves only along [`Status::may_become`].
    pub status: Status,
    /// Who finds the image beside its owner.
    pub visibility: Visibility,
    /// Project id; `None` is an image of nobody.
    pub owner: Option<String>,
    /// Refuses deletion while set.
    pub protected: bool,
    /// Left out of lists unless asked for.
    pub os_hidden: bool,
    /// md5 of the data, hex.
    pub checksum: Option<String>,
    /// Name of the hash in `os_hash_value`, such as `sha512`.
    pub os_hash_algo: Option<String>,
    /// Hash of the data, hex.
    pub os_hash_value: Option<String>,
    /// Bytes stored.
    pub size: Option<u64>,
    /// Bytes that a guest sees.
    pub virtual_size: Option<u64>,
    /// `bare`, `ovf` …
    pub container_format: Option<String>,
    /// `raw`, `qcow2` …
    pub disk_format: Option<String>,
    /// GB.
    pub min_disk: u32,
    /// MB.
    pub min_ram: u32,
    /// Unordered, unique, each at most 255 characters.
    pub tags: BTreeSet<String>,
    /// Custom properties, and the internal `os_glance_*` ones.
    pub properties: BTreeMap<String, String>,
    /// Projects the image is shared with.
    pub members: Vec<Member>,
    /// Where the bytes are.
    pub locations: Vec<Location>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Grows with each change; every save compares it (compare-and-set).
    pub version: i64,
}

impl Image {
    /// The membership of `project`, whatever its state.
    pub fn member(&self, project: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.member == project)
    }
}

/// Life of an image. Names are those of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Made, no data.
    Queued,
    /// Data is arriving by PUT file.
    Saving,
    /// Data is arriving into staging.
    Uploading,
    /// Data is being brought in by the service.
    Importing,
    /// Usable.
    Active,
    /// Kept, but not handed out.
    Deactivated,
    /// An upload of API v1 failed.
    Killed,
    /// Waiting for the scrubber.
    PendingDelete,
    /// Gone; the row stays so that the id is never used again.
    Deleted,
}

impl Status {
    /// All of them, in the order of the API reference.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Saving,
        Self::Uploading,
        Self::Importing,
        Self::Active,
        Self::Deactivated,
        Self::Killed,
        Self::PendingDelete,
        Self::Deleted,
    ];

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Saving => "saving",
            Self::Uploading => "uploading",
            Self::Importing => "importing",
            Self::Active => "active",
            Self::Deactivated => "deactivated",
            Self::Killed => "killed",
            Self::PendingDelete => "pending_delete",
            Self::Deleted => "deleted",
        }
    }

    /// The transition table: the only moves there are.
    pub fn may_become(self, to: Self) -> bool {
        use Status::{Active, Deactivated, Deleted, Importing, Killed, PendingDelete, Queued, Saving, Uploading};
        match (self, to) {
            (Deleted, _) => false,
            (_, Deleted) => true,
            (Queued, Saving | Uploading | Importing | Active)
            | (Saving, Active | Queued | Killed)
            | (Uploading, Importing | Queued)
            | (Importing, Active | Queued)
            | (Active, Deactivated | PendingDelete)
            | (Deactivated | PendingDelete, Active) => true,
            _ => false,
        }
    }
}

/// Who finds an image beside its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// The owner only.
    Private,
    /// Its members too.
    Shared,
    /// Everybody who asks for it by id.
    Community,
    /// Everybody, in their default list.
    Public,
}

impl Visibility {
    /// All of them, from the narrowest to the widest.
    pub const ALL: [Self; 4] = [Self::Private, Self::Shared, Self::Community, Self::Public];

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Shared => "shared",
            Self::Community => "community",
            Self::Public => "public",
        }
    }
}

/// A project that an image is shared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Project id.
    pub member: String,
    /// What the project said to it.
    pub status: MemberStatus,
    /// When it was added (or added again).
    pub created_at: Timestamp,
    /// When the status last changed.
    pub updated_at: Timestamp,
}

/// What a project said to an image shared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberStatus {
    /// Nothing yet: reachable by id, not in the default list.
    Pending,
    /// Yes: in the default list.
    Accepted,
    /// No: gives no access.
    Rejected,
}

impl MemberStatus {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

/// Where one copy of the data lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Row id, so that locations are added and removed one by one.
    pub id: String,
    /// Store id.
    pub store: String,
    /// Store-specific URL, for instance `file:///…` or `rbd://fsid/pool/image/snap`. Never holds a secret.
    pub url: String,
}

/// A word that is not one of the API's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownWord(pub String);

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown word `{}`", self.0)
    }
}

impl std::error::Error for UnknownWord {}

impl FromStr for Status {
    type Err = UnknownWord;
    fn from_str(s: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|x| x.as_str() == s).ok_or_else(|| UnknownWord(s.into()))
    }
}

impl FromStr for Visibility {
    type Err = UnknownWord;
    fn from_str(s: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|x| x.as_str() == s).ok_or_else(|| UnknownWord(s.into()))
    }
}

impl FromStr for MemberStatus {
    type Err = UnknownWord;
    fn from_str(s: &str) -> Result<Self, UnknownWord> {
        [Self::Pending, Self::Accepted, Self::Rejected]
            .into_iter()
            .find(|x| x.as_str() == s)
            .ok_or_else(|| UnknownWord(s.into()))
    }
}
