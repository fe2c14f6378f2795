//! The whole configuration as one value: one TOML file, every key documented, unknown keys refused.
//!
//! Each section's struct, defaults, limits and checks stand together in one file. [`Config::load`] reports every
//! fault of a file at once.

mod copies;
mod fault;
mod identity;
mod images;
mod load;
mod quota;
mod rbd;
mod section;
mod server;
mod stores;
#[cfg(test)]
mod tests;
mod warnings;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use url::Url;

pub use self::{
    copies::Copies,
    fault::{Fault, Faults},
    identity::{Identity, Keystone},
    images::Images,
    load::process_env,
    quota::{ProjectQuota, Quota},
    rbd::RbdConfig,
    server::{Database, Http, Log, LogFormat, Rules},
    stores::{Backend, Store, StoreState},
};

/// The configuration of one gateway.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that this was read from; none for the development gateway.
    pub file: Option<PathBuf>,
    /// Where the API listens. The development identity refuses anything but loopback.
    pub listen: SocketAddr,
    /// Where `/metrics` and the admin routes of the operator listen.
    pub admin_listen: SocketAddr,
    /// The URL that clients use, if a proxy stands in front; else links follow the Host header.
    pub public_endpoint: Option<Url>,
    /// Folder of everything that has no path of its own.
    pub data_dir: PathBuf,
    /// Name of this gateway among others on the same database; made from host name and port if not set.
    pub node: Option<String>,
    /// The database.
    pub database: Database,
    /// How callers prove who they are.
    pub identity: Identity,
    /// Stores by id. Exactly one is the default.
    pub stores: BTreeMap<String, Store>,
    /// Policies and plug-ins.
    pub rules: Rules,
    /// Rules of images that are not policy.
    pub images: Images,
    /// Copies of images from one store to another.
    pub copies: Copies,
    /// Limits per project and image.
    pub quota: Quota,
    /// Limits of the HTTP server.
    pub http: Http,
    /// Log output.
    pub log: Log,
}

impl Config {
    /// The development gateway with everything below `data_dir`: what `serve` runs without a file.
    pub fn development(data_dir: &Path) -> Self {
        Self {
            file: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 9292)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9293)),
            public_endpoint: None,
            data_dir: data_dir.to_owned(),
            node: None,
            database: Database::default(),
            identity: Identity::Dev,
            stores: stores::development(data_dir),
            rules: Rules::default(),
            images: Images::default(),
            copies: Copies::default(),
            quota: Quota::default(),
            http: Http::default(),
            log: Log::default(),
        }
    }

    /// Id of the default store.
    pub fn default_store(&self) -> Option<&str> {
        self.stores.iter().find(|(_, s)| s.default).map(|(id, _)| id.as_str())
    }
}
