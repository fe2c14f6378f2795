//! Events: written to the outbox in the transaction of the change, sent after commit.

use serde_json::Value;

/// One event, in the words of Glance's notifications.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// `image.create` …
    pub event_type: &'static str,
    /// `INFO` or `ERROR`.
    pub priority: &'static str,
    /// Key set of Glance's payload for this type. Never a location.
    pub payload: Value,
}
