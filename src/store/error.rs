//! Why a store could not: a kind for logic, permanence for retries.

use crate::error::{Error, Kind};
use std::time::Duration;

/// What went wrong in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// No such object.
    NotFound,
    /// The object exists already.
    AlreadyExists,
    /// The store is full, or its own quota is reached.
    NoSpace,
    /// The store does not let us.
    Denied,
    /// Something uses the object (a clone, an open writer).
    InUse,
    /// The URL is not one of this store's.
    BadUrl,
    /// The back end cannot be reached, or does not answer in time.
    Unavailable,
    /// The back end answered something we do not understand.
    Unexpected,
}

/// A failure of a store. The message is for the log: it may name paths and addresses.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What kind.
    pub kind: StoreErrorKind,
    /// For the operator.
    pub message: String,
    /// Whether the same call may succeed later.
    pub temporary: bool,
    /// Cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// A failure that stays.
    pub fn permanent(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), temporary: false, source: None }
    }

    /// A failure that may pass.
    pub fn temporary(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), temporary: true, source: None }
    }
}

impl From<StoreError> for Error {
    fn from(e: StoreError) -> Self {
        use StoreErrorKind as K;
        let (kind, text) = match e.kind {
            K::NotFound => (Kind::NotFound, "The image data is not in the store."),
            K::AlreadyExists => (Kind::Conflict, "The store already holds data for this image."),
            K::NoSpace => (Kind::TooLarge, "There is not enough disk space on the image storage media."),
            K::Denied => (Kind::Unavailable, "The image store refuses access."),
            K::InUse => (Kind::Conflict, "The image data is in use."),
            K::BadUrl => (Kind::Invalid, "The location is not valid for this store."),
            K::Unavailable => (Kind::Unavailable, "The image store is not available."),
            K::Unexpected => (Kind::Internal, "The image store failed."),
        };
        let error = if kind == Kind::Unavailable {
            Self::unavailable(text, Duration::from_secs(10))
        } else {
            Self::new(kind, text)
        };
        error.with_source(e)
    }
}
