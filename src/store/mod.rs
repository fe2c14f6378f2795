//! Stores: bytes in, bytes out. One trait with few methods; what is common to all back ends is written around it.

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use crate::authz::Permit;

mod any_copy;
pub mod conformance;
mod entry;
mod error;
mod file;
mod lane;
#[cfg(feature = "rbd")]
mod rbd;
mod status;
mod stores;

pub use any_copy::{AnyCopy, Place};
pub use entry::{Entry, Figures, Health, InFlight};
pub use error::{StoreError, StoreErrorKind};
pub use file::FileStore;
#[cfg(feature = "rbd")]
pub use rbd::RbdStore;
pub use status::Status;
pub use stores::{Set, Stores};

/// Is told how many bytes of a copy should be there, now and then.
pub type Told<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// A back end. All paths that end in an error leave nothing behind that a reader could see.
#[async_trait]
pub trait Store: Send + Sync {
    /// What this back end can do.
    fn capabilities(&self) -> Capabilities;

    /// What this back end is, if it knows: two stores that say the same are one, whatever their options. Asks nobody.
    /// In Ceph `<fsid>/<pool>`.
    fn identity(&self) -> Option<String> {
        None
    }

    /// Room and reachability, asked of the back end itself.
    async fn probe(&self) -> Result<Room, StoreError>;

    /// Begins to write the object `name` (an image id). `size` is what the client declared, if it did.
    /// Nothing is readable under the final name before [`Writer::finish`].
    async fn create(&self, permit: &Permit, name: &str, size: Option<u64>) -> Result<Box<dyn Writer>, StoreError>;

    /// Takes a write of `name` up again of which `at` bytes were safe ([`Writer::sync`]); bytes after them are forgotten.
    /// The writer that was interrupted must be gone: nobody else may write meanwhile. [`StoreErrorKind::NotFound`] when
    /// there is no such write or it holds fewer bytes.
    async fn resume(&self, permit: &Permit, name: &str, size: u64, at: u64) -> Result<Box<dyn Writer>, StoreError>;

    /// Copies the object of `size` bytes at `url`, which is another store's, without its bytes passing through here, if
    /// this back end can reach it and knows a way; `false` when not, and then nothing was done. The copy is a write of
    /// `name` that was interrupted after its last byte: [`Store::resume`] goes on with it. The data are as good as the back
    /// end: check them.
    ///
    /// INVARIANT: on [`StoreErrorKind::AlreadyExists`] and [`StoreErrorKind::InUse`] the name is another's, on any other
    /// error what lies there is of this copy, for [`Store::discard`].
    async fn copy_within(
        &self,
        _permit: &Permit,
        _name: &str,
        _url: &str,
        _size: u64,
        _told: Told<'_>,
    ) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// The object's name (an image id) in a URL of this store; [`StoreErrorKind::BadUrl`] for any other URL. Asks nobody.
    fn name_of(&self, url: &str) -> Result<String, StoreError>;

    /// Whether something outside of this service (a copy-on-write clone) keeps [`Store::delete`] from removing the object.
    async fn in_use(&self, url: &str) -> Result<bool, StoreError>;

    /// Opens the object at `url` for reading.
    async fn open(&self, url: &str) -> Result<Box<dyn Reader>, StoreError>;

    /// Removes the object at `url`. [`StoreErrorKind::NotFound`] when there is none. [`StoreErrorKind::InUse`] when others
    /// still need its bytes: a later call removes it once they do not, and finds it although readers no longer do.
    async fn delete(&self, permit: &Permit, url: &str) -> Result<(), StoreError>;

    /// Removes whatever a write of the object `name` left behind: partial data, and the finished object too.
    /// Does nothing when there is nothing. For the reaper.
    async fn discard(&self, permit: &Permit, name: &str) -> Result<(), StoreError>;

    /// Names and URLs of all objects, finished and partial: the inventory that the database is compared with.
    async fn list(&self) -> Result<Vec<Object>, StoreError>;
}

/// A write under way. Dropping it without [`Writer::finish`] must leave nothing that [`Store::discard`] does not remove.
#[async_trait]
pub trait Writer: Send {
    /// Appends.
    async fn write(&mut self, data: Bytes) -> Result<(), StoreError>;
    /// Makes what was written safe against a crash. Returns how many bytes, counted from the start of the object, so that
    /// [`Store::resume`] may go on after them.
    async fn sync(&mut self) -> Result<u64, StoreError>;
    /// Reads bytes that [`Writer::sync`] or [`Store::resume`] counted: exactly `len` of them.
    async fn read_back(&mut self, offset: u64, len: usize) -> Result<Bytes, StoreError>;
    /// Makes the object durable and readable; returns its URL.
    async fn finish(self: Box<Self>) -> Result<String, StoreError>;
    /// Removes what was written.
    async fn abort(self: Box<Self>) -> Result<(), StoreError>;
}

/// An object open for reading.
#[async_trait]
pub trait Reader: Send {
    /// Bytes of the object.
    fn size(&self) -> u64;
    /// Reads up to `len` bytes from `offset`. Fewer than asked only at the end; an error when bytes that should
    /// be there are not (the object vanished or shrank), never silence.
    async fn read_at(&mut self, offset: u64, len: usize) -> Result<Bytes, StoreError>;
}

/// What a back end can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Objects can be written and deleted.
    pub write: bool,
    /// [`Reader::read_at`] is cheap at any offset.
    pub random_read: bool,
}

/// What a back end says of its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes in all.
    pub total: u64,
    /// Bytes free to us.
    pub free: u64,
}

/// An entry of the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Image id.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Bytes.
    pub size: u64,
    /// A write that did not end.
    pub partial: bool,
    /// When it was last written to; `None` where the store does not say.
    pub modified: Option<Timestamp>,
}
