//! A store as the operator sees it: what the admin listener answers and the command line reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Entry;
use crate::config::StoreState;

/// One store, now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Store id.
    pub id: String,
    /// `file` …
    #[serde(rename = "type")]
    pub kind: String,
    /// Named as default.
    pub default: bool,
    /// Whether it takes part.
    pub state: StoreState,
    /// What the configuration says of that.
    pub configured_state: StoreState,
    /// The last probe went well.
    pub healthy: bool,
    /// Why not.
    pub reason: Option<String>,
    /// Bytes in all; 0 when not known.
    pub total: u64,
    /// Bytes free.
    pub free: u64,
    /// Uploads that run through this gateway.
    pub in_flight: u32,
    /// Microseconds that the store takes to answer.
    pub latency_us: u32,
    /// The operator's weight.
    pub weight: i32,
    /// Seen by policies and plug-ins.
    pub labels: BTreeMap<String, String>,
    /// For people.
    pub description: Option<String>,
}

impl Status {
    /// The store as it is now; `default` is its id.
    pub fn of(entry: &Entry, default: &str) -> Self {
        let (figures, config) = (entry.figures(), entry.config());
        Self {
            id: entry.id().to_owned(),
            kind: entry.kind().to_owned(),
            default: entry.id() == default,
            state: figures.state,
            configured_state: config.state,
            healthy: figures.healthy,
            reason: entry.health().reason,
            total: figures.total,
            free: figures.free,
            in_flight: figures.in_flight,
            latency_us: figures.latency_us,
            weight: config.weight,
            labels: config.labels.clone(),
            description: config.description.clone(),
        }
    }
}
