//! The one error type of the service.
//!
//! An [`Error`] says what went wrong in the words of the domain; it knows no HTTP. The only place that
//! turns a [`Kind`] into a status code is `api/error.rs`. The outward message is what a client may read;
//! the source is for the log of the operator and never leaves the process.

use std::{error::Error as StdError, fmt, time::Duration};

/// Result with the service's own error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it is. A *denial* ([`Kind::Forbidden`], or [`Kind::NotFound`] where existence stays
/// hidden) is final; a *fault* ([`Kind::Unavailable`]) may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request is malformed or names something that cannot be.
    Invalid,
    /// No identity, or one that is not valid.
    Unauthenticated,
    /// The caller may see the resource but not do this with it.
    Forbidden,
    /// There is no such thing, or the caller may not know of it.
    NotFound,
    /// The method is not known on this path.
    MethodNotAllowed,
    /// The resource is in a state that does not allow this.
    Conflict,
    /// The resource vanished while the request ran.
    Gone,
    /// A condition of the request (`If-Match` …) does not hold.
    PreconditionFailed,
    /// A quota, a size cap or the room of a store is exhausted.
    TooLarge,
    /// The body is of a type or format that is not accepted.
    UnsupportedMedia,
    /// The range asked for lies outside of the data.
    RangeNotSatisfiable,
    /// A header is longer than the service takes.
    HeaderTooLarge,
    /// A layer is broken or unreachable; the same request may succeed later.
    Unavailable,
    /// A defect of the service.
    Internal,
}

/// A failure: kind, a message for the client, and a cause for the log.
pub struct Error {
    kind: Kind,
    message: String,
    decision: Option<String>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of `kind` whose `message` the client may read.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), decision: None, retry_after: None, source: None }
    }

    /// Malformed request.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// Denied, visibly.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, message)
    }

    /// Not there, or hidden.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// Wrong state.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    /// Over a limit.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(Kind::TooLarge, message)
    }

    /// A broken layer: the client may try again after `retry_after`.
    pub fn unavailable(message: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Kind::Unavailable, message) }
    }

    /// A defect; the client learns no more than that.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Internal, "The service failed; the operator's log has the details.").with_source(source)
    }

    /// Adds the cause, for the log only.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the id under which the decision that led here is logged.
    #[must_use]
    pub fn with_decision(mut self, id: impl Into<String>) -> Self {
        self.decision = Some(id.into());
        self
    }

    /// A denial in the words of `other`, which hide what was denied. What is no denial stays as it is.
    #[must_use]
    pub fn hidden_as(self, other: Self) -> Self {
        match self.decision {
            _ if self.kind != Kind::Forbidden => self,
            Some(id) => other.with_decision(id),
            None => other,
        }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The text for the client.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The id of the decision, when rules decided.
    pub fn decision(&self) -> Option<&str> {
        self.decision.as_deref()
    }

    /// When to try again, for a fault that may pass.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)?;
        let mut cause = self.source.as_deref().map(|e| e as &dyn StdError);
        while let Some(e) = cause {
            write!(f, ": {e}")?;
            cause = e.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
