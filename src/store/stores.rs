//! All configured stores, behind one pointer: a reload exchanges the set while requests keep the entries they hold.
//!
//! A store that does not work is a fact to report, never a reason not to start or to wait: every question that
//! goes to a back end here has a deadline.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::{
    FileStore, Store,
    entry::{Entry, PROBE_DEADLINE},
};
use crate::{
    config::{self, Backend},
    error::{Error, Result},
};

/// The longest store id.
const ID_MAX: usize = 64;
/// Ids that begin so belong to the service.
const RESERVED: &str = "os_glance_";

/// Every configured store, in the order of their ids. Cheap to clone; all clones see the same set.
#[derive(Debug, Clone)]
pub struct Stores {
    set: Arc<ArcSwap<Set>>,
}

/// The stores of one configuration.
#[derive(Debug, Clone)]
pub struct Set {
    entries: BTreeMap<String, Arc<Entry>>,
    default: Arc<Entry>,
}

impl Stores {
    /// Opens what is configured. A store that does not work is kept, unhealthy, and asked again by [`Stores::refresh`].
    ///
    /// # Errors
    /// `Invalid` when the configuration cannot hold: a bad id, a bad path, two defaults, two stores in one folder, none.
    pub async fn open(stores: &BTreeMap<String, config::Store>) -> Result<Self> {
        let set = Set::build(stores, None)?;
        set.refresh().await;
        set.check_places().await?;
        Ok(Self::new(set))
    }

    /// The stores that these entries are.
    ///
    /// # Errors
    /// `Invalid` for bad or repeated ids, for two defaults, and for no store at all.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Result<Self> {
        Set::of(entries.into_iter().map(Arc::new)).map(Self::new)
    }

    fn new(set: Set) -> Self {
        Self { set: Arc::new(ArcSwap::from_pointee(set)) }
    }

    /// The set in force.
    pub fn current(&self) -> Arc<Set> {
        self.set.load_full()
    }

    /// Puts another set in force. Requests that hold entries of the one before it go on with them.
    pub fn exchange(&self, set: Arc<Set>) {
        self.set.store(set);
    }

    /// The store of this id.
    pub fn get(&self, id: &str) -> Option<Arc<Entry>> {
        self.set.load().entries.get(id).cloned()
    }

    /// All, in the order of their ids, as they are at this moment.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Arc<Entry>> + use<> {
        self.set.load().entries.values().cloned().collect::<Vec<_>>().into_iter()
    }

    /// The store that is named as default: the one that the configuration names, else the first.
    pub fn default_store(&self) -> Arc<Entry> {
        Arc::clone(&self.set.load().default)
    }

    /// Asks every store for its room, all at the same time. Returns after the deadline of one probe at the latest.
    pub async fn refresh(&self) {
        self.current().refresh().await;
    }
}

impl Set {
    /// The stores of a configuration. Asks none of them anything. Of `before`, every back end whose options are the
    /// same is taken over, with all that is known of it.
    ///
    /// # Errors
    /// `Invalid` when the configuration cannot hold.
    pub fn build(stores: &BTreeMap<String, config::Store>, before: Option<&Self>) -> Result<Self> {
        let mut entries = Vec::with_capacity(stores.len());
        for (id, config) in stores {
            let same = before.and_then(|set| set.entries.get(id)).filter(|e| e.config().backend == config.backend);
            entries.push(Arc::new(match same {
                Some(entry) => entry.with(config.clone()),
                None => Entry::new(id, config.clone(), config.backend.kind(), backend(id, config)?),
            }));
        }
        Self::of(entries)
    }

    fn of(entries: impl IntoIterator<Item = Arc<Entry>>) -> Result<Self> {
        let mut all: BTreeMap<String, Arc<Entry>> = BTreeMap::new();
        let mut default: Option<Arc<Entry>> = None;
        for entry in entries {
            check_id(entry.id())?;
            if entry.config().default
                && let Some(other) = default.replace(Arc::clone(&entry))
            {
                let text = format!("stores `{}` and `{}` are both the default", other.id(), entry.id());
                return Err(Error::invalid(text));
            }
            if let Some(twin) = all.insert(entry.id().to_owned(), entry) {
                return Err(Error::invalid(format!("store `{}` is there twice", twin.id())));
            }
        }
        match default.or_else(|| all.values().next().cloned()) {
            Some(default) => Ok(Self { entries: all, default }),
            None => Err(Error::invalid("no store is configured")),
        }
    }

    /// The store of this id.
    pub fn get(&self, id: &str) -> Option<&Arc<Entry>> {
        self.entries.get(id)
    }

    /// All, in the order of their ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// As [`Stores::refresh`].
    pub async fn refresh(&self) {
        join_all(self.iter().map(|entry| entry.probe(PROBE_DEADLINE))).await;
    }

    /// Looks for stores that are one and the same in spite of different names.
    ///
    /// # Errors
    /// `Invalid` when there are.
    pub async fn check_places(&self) -> Result<()> {
        let mut seen = BTreeMap::new();
        for entry in self.iter() {
            let (identity, what) = match &entry.config().backend {
                Backend::File { path } => (folder(path).await, "folder"),
                Backend::Rbd(_) => (entry.store().identity(), "pool"),
            };
            let Some(identity) = identity else { continue };
            if let Some(other) = seen.insert(identity, entry.id()) {
                return Err(Error::invalid(format!("stores `{other}` and `{}` are the same {what}", entry.id())));
            }
        }
        Ok(())
    }
}

/// The back end of a store. Asks nobody whether it works.
fn backend(id: &str, config: &config::Store) -> Result<Arc<dyn Store>> {
    match &config.backend {
        Backend::File { path } => {
            let store = FileStore::new(path).map_err(|e| Error::invalid(format!("store `{id}`: {e}")))?;
            Ok(Arc::new(store))
        }
        Backend::Rbd(rbd) => pool(id, rbd),
    }
}

/// Device and inode of a folder: two with the same are one. A folder that cannot be looked at in time is an unhealthy
/// store; what it is shows when it answers.
async fn folder(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let meta = timeout(PROBE_DEADLINE, tokio::fs::metadata(path)).await.ok()?.ok()?;
    Some(format!("{}:{}", meta.dev(), meta.ino()))
}

/// A store in a pool of a Ceph cluster. Asks nobody whether it works.
#[cfg(feature = "rbd")]
fn pool(_id: &str, config: &config::RbdConfig) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(super::RbdStore::new(config.clone())))
}

#[cfg(not(feature = "rbd"))]
fn pool(id: &str, _config: &config::RbdConfig) -> Result<Arc<dyn Store>> {
    Err(Error::invalid(format!("store `{id}`: this program was built without Ceph; build with `--features rbd`")))
}

fn check_id(id: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if id.is_empty() || id.len() > ID_MAX || !id.bytes().all(plain) {
        let text = format!("store id `{}` must be 1 to {ID_MAX} of A-Z a-z 0-9 _ . -", id.escape_debug());
        return Err(Error::invalid(text));
    }
    if id.starts_with(RESERVED) {
        return Err(Error::invalid(format!("store id `{id}`: names that begin with `{RESERVED}` are reserved")));
    }
    Ok(())
}
