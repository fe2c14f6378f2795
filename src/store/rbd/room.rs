//! Room in a pool, from what the monitors know of it.

use serde::Deserialize;

use super::{errors::failed, ffi::Cluster};
use crate::store::{Room, StoreError, StoreErrorKind};

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    pools: Vec<PoolUsage>,
}

#[derive(Deserialize)]
struct PoolUsage {
    name: String,
    stats: Stats,
}

#[derive(Deserialize)]
struct Stats {
    #[serde(default)]
    stored: u64,
    #[serde(default)]
    max_avail: u64,
    /// 0: none.
    #[serde(default)]
    quota_bytes: u64,
}

/// Asks for the room in `pool`.
pub(super) fn ask(cluster: &Cluster, pool: &str) -> Result<Room, StoreError> {
    let answer = cluster.mon_command(r#"{"prefix":"df","detail":"detail","format":"json"}"#);
    room(&answer.map_err(|e| failed("df", e))?, pool)
}

/// Nothing is known of a pool that is not mentioned: a cluster without a manager has no figures.
fn room(answer: &[u8], pool: &str) -> Result<Room, StoreError> {
    let usage: Usage = serde_json::from_slice(answer).map_err(|e| StoreError {
        source: Some(Box::new(e)),
        ..StoreError::temporary(StoreErrorKind::Unexpected, "df: an answer of an unknown form")
    })?;
    let Some(PoolUsage { stats, .. }) = usage.pools.into_iter().find(|p| p.name == pool) else {
        return Ok(Room { total: 0, free: 0 });
    };
    let total = stats.stored.saturating_add(stats.max_avail);
    Ok(match stats.quota_bytes {
        0 => Room { total, free: stats.max_avail },
        quota => Room { total: total.min(quota), free: stats.max_avail.min(quota.saturating_sub(stats.stored)) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_and_cluster_bound_the_room() {
        let answer = br#"{"stats":{"total_bytes":1},"pools":[
            {"name":"other","id":1,"stats":{"stored":1,"max_avail":1}},
            {"name":"images","id":2,"stats":{"stored":100,"max_avail":900,"quota_bytes":0}},
            {"name":"small","id":3,"stats":{"stored":100,"max_avail":900,"quota_bytes":150}},
            {"name":"over","id":4,"stats":{"stored":200,"max_avail":900,"quota_bytes":150}}]}"#;
        let of = |pool| room(answer, pool).expect("understood");
        assert_eq!(of("images"), Room { total: 1000, free: 900 });
        assert_eq!(of("small"), Room { total: 150, free: 50 });
        assert_eq!(of("over"), Room { total: 150, free: 0 });
        assert_eq!(of("none"), Room { total: 0, free: 0 });
        assert_eq!(room(b"{", "images").expect_err("refused").kind, StoreErrorKind::Unexpected);
    }
}
