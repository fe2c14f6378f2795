//! The parts of one gateway, put together once at start and shared by every request.

use std::sync::Arc;

use crate::{
    authz::Journal, config::Config, db::Db, error::Result, identity::Authenticator, image::Claims, jobs, notify::Event,
    rules::Rulebook, store::Stores,
};

mod stores;

pub use stores::Reload;

/// One gateway. Holds no state of its own but caches: the truth is in the database and the stores.
pub struct App {
    /// What the operator configured.
    pub config: Config,
    /// The database.
    pub db: Db,
    /// The stores.
    pub stores: Stores,
    /// The rules in force, and the way to change them.
    pub rules: Arc<Rulebook>,
    /// The last refusals, so that they can be explained.
    pub journal: Arc<Journal>,
    /// How callers prove who they are.
    pub identity: Authenticator,
    /// Name of this gateway: leases say whose they are.
    pub node: String,
    /// Drawn at each start: a lease of this node with another boot id belongs to a process that is dead.
    pub boot: String,
    /// Objects that are being read before an image gets them.
    pub claims: Claims,
    /// Stores are loaded by one at a time.
    reloading: tokio::sync::Mutex<()>,
}

impl App {
    /// Opens everything that the configuration names. Starts no background work and listens nowhere.
    ///
    /// # Errors
    /// When the database cannot be reached, or there is no valid ruleset to begin with. A store that cannot be
    /// reached is no error: it is marked unhealthy and tried again.
    pub async fn open(config: Config) -> Result<Arc<Self>> {
        let db = Db::connect(&config.database, &config.data_dir).await?;
        let rules = Rulebook::open(&config.rules, &config.data_dir)?;
        let stores = Stores::open(&config.stores).await?;
        let identity = Authenticator::from_config(&config.identity)?;
        let node = config.node.clone().unwrap_or_else(|| default_node(&config));
        let boot = uuid::Uuid::new_v4().simple().to_string();
        let (journal, reloading, claims) = (Arc::default(), tokio::sync::Mutex::default(), Claims::default());
        Ok(Arc::new(Self { config, db, stores, rules, journal, identity, node, boot, claims, reloading }))
    }

    /// Writes events that belong to no change of a row (an image was read).
    ///
    /// A failure is logged, never shown to the client: its request has succeeded.
    pub async fn record(&self, events: &[Event]) {
        if let Err(error) = self.db.record_events(events).await {
            tracing::error!(?error, "events could not be written to the outbox");
        }
    }

    /// Background work, for as long as the returned guard lives.
    pub fn start_jobs(self: &Arc<Self>) -> jobs::Running {
        jobs::start(self)
    }
}

/// Host name and port: two gateways on one host must not take each other's leases for those of a dead process.
fn default_node(config: &Config) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "gateway",
        name => name,
    };
    format!("{host}:{}", config.listen.port())
}
