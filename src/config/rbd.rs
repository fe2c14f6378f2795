//! `[store.ID]` with `type = "rbd"`: a pool of a Ceph cluster.

use std::path::PathBuf;

use super::section::Section;

/// How a pool is reached and used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RbdConfig {
    /// The pool of the images' names and, without `data_pool`, of their data.
    pub pool: String,
    /// The Ceph user, without `client.`
    pub user: String,
    /// `ceph.conf` of the cluster.
    pub conf: PathBuf,
    /// The user's keyring, if `ceph.conf` does not say where it is.
    pub keyring: Option<PathBuf>,
    /// Another pool for the data, which may be erasure-coded.
    pub data_pool: Option<String>,
    /// Size of the RADOS objects of new images; a power of two.
    pub chunk_size_mib: u32,
    /// Chunks of zeros are not written.
    pub thin_provisioning: bool,
    /// Seconds that the cluster has for one answer.
    pub timeout_s: u32,
    /// Requests of one stream that are under way at the same time.
    pub in_flight: usize,
}

impl RbdConfig {
    /// The chunk size as a power of two of bytes.
    pub fn order(&self) -> u32 {
        self.chunk_size_mib.trailing_zeros() + 20
    }

    /// What both say names the same pool, as far as the file shows.
    pub(super) fn same_pool(&self, other: &Self) -> bool {
        (&self.conf, &self.pool) == (&other.conf, &other.pool)
    }
}

pub(super) fn read(section: &Section<'_>) -> RbdConfig {
    if cfg!(not(feature = "rbd")) {
        let help = "build with `--features rbd`, which needs librados-dev and librbd-dev";
        section.fault("type", "this program was built without Ceph", help);
    }
    let name = |key: &str, default: &str| match section.text(key) {
        Some(text) if text.is_empty() => {
            section.fault(key, "is empty", "write a name, or leave the key out");
            default.to_owned()
        }
        Some(text) => text,
        None => default.to_owned(),
    };
    let user = name("user", "glance");
    if user.starts_with("client.") {
        section.fault("user", "begins with `client.`", "write the name alone, such as `glance`");
    }
    let chunk_size_mib = section.number("chunk_size_mib", 1..=32, 8_u32);
    if !chunk_size_mib.is_power_of_two() {
        section.fault("chunk_size_mib", format!("{chunk_size_mib} is no power of two"), "1, 2, 4, 8, 16 or 32");
    }
    RbdConfig {
        pool: name("pool", "images"),
        user,
        conf: section.path("conf").unwrap_or_else(|| "/etc/ceph/ceph.conf".into()),
        keyring: section.path("keyring"),
        data_pool: section.has("data_pool").then(|| name("data_pool", "")),
        chunk_size_mib,
        thin_provisioning: section.boolean("thin_provisioning", false),
        timeout_s: section.number("timeout_s", 1..=300, 15),
        in_flight: section.number("in_flight", 1..=32, 4_u32) as usize,
    }
}
