//! `[store.ID]`: where the bytes of images go.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    rbd::{self, RbdConfig},
    section::Section,
};

/// Stores at most; each is probed in the background.
const STORES_MAX: usize = 256;

/// `[store.ID]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// For people, shown by `/v2/info/stores`.
    pub description: Option<String>,
    /// Larger is preferred, where nothing else decides.
    pub weight: i32,
    /// Seen by policies and plug-ins (`region`, `class` …).
    pub labels: BTreeMap<String, String>,
    /// The store that is named as default.
    pub default: bool,
    /// State at start; changeable at run time.
    pub state: StoreState,
    /// Type and its options.
    pub backend: Backend,
}

/// Whether a store takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreState {
    /// Reads and writes.
    #[default]
    Up,
    /// Reads; being emptied.
    Draining,
    /// Reads only.
    ReadOnly,
}

impl StoreState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Up, Self::Draining, Self::ReadOnly];

    /// As written in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Draining => "draining",
            Self::ReadOnly => "read-only",
        }
    }
}

/// Type of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// Files in a folder.
    File {
        /// The folder; must exist or be creatable.
        path: PathBuf,
    },
    /// A pool of a Ceph cluster.
    Rbd(RbdConfig),
}

impl Backend {
    /// The `type` as written in the file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Rbd(_) => "rbd",
        }
    }
}

/// The two stores of the development gateway.
pub(super) fn development(data_dir: &Path) -> BTreeMap<String, Store> {
    let store = |id: &str, class: &str, default| Store {
        description: Some(format!("files on {class}, for development")),
        weight: 0,
        labels: BTreeMap::from([("class".to_owned(), class.to_owned())]),
        default,
        state: StoreState::Up,
        backend: Backend::File { path: data_dir.join("stores").join(id) },
    };
    BTreeMap::from([
        ("alpha".to_owned(), store("alpha", "ssd", true)),
        ("beta".to_owned(), store("beta", "hdd", false)),
    ])
}

/// All `[store.ID]` tables, with exactly one default.
pub(super) fn read(section: &Section<'_>) -> BTreeMap<String, Store> {
    let mut stores = BTreeMap::new();
    let mut defaults: Vec<String> = Vec::new();
    let mut folders: Vec<(PathBuf, String)> = Vec::new();
    let mut pools: Vec<(RbdConfig, String)> = Vec::new();
    let children = section.children();
    if children.len() > STORES_MAX {
        section.fault_here(format!("holds {} stores, at most {STORES_MAX} are taken", children.len()), "remove some");
    }
    for (id, child) in children {
        check_id(&child, &id);
        let store = read_one(&child);
        if store.default {
            if let Some(first) = defaults.first() {
                child.fault("default", format!("store `{first}` is the default already"), "keep it at one store");
            }
            defaults.push(id.clone());
        }
        match &store.backend {
            Backend::File { path } => check_folder(&child, &id, path, &mut folders),
            Backend::Rbd(config) => check_pool(&child, &id, config, &mut pools),
        }
        child.finish();
        stores.insert(id, store);
    }
    match (stores.len(), defaults.is_empty()) {
        (1, true) => stores.values_mut().for_each(|only| only.default = true),
        (2.., true) => section.fault_here("no store is the default", "set default = true at one store"),
        _ => {}
    }
    stores
}

fn read_one(section: &Section<'_>) -> Store {
    let states = StoreState::ALL.map(|state| (state.as_str(), state));
    if !section.has("type") {
        section.fault("type", "is missing", "write type = \"file\" or type = \"rbd\"");
    }
    let backend = match section.choice("type", &[("file", Type::File), ("rbd", Type::Rbd)]) {
        Some(Type::Rbd) => Backend::Rbd(rbd::read(section)),
        Some(Type::File) | None => {
            if !section.has("path") {
                section.fault("path", "is missing", "name a folder of its own for this store");
            }
            Backend::File { path: section.path("path").unwrap_or_default() }
        }
    };
    Store {
        description: section.text("description"),
        weight: section.number("weight", -1_000_000..=1_000_000, 0),
        labels: section.strings("labels"),
        default: section.boolean("default", false),
        state: section.choice("state", &states).unwrap_or_default(),
        backend,
    }
}

#[derive(Clone, Copy)]
enum Type {
    File,
    Rbd,
}

/// Two stores in one pool would count and remove each other's images.
fn check_pool(section: &Section<'_>, id: &str, config: &RbdConfig, pools: &mut Vec<(RbdConfig, String)>) {
    if let Some((_, other)) = pools.iter().find(|(pool, _)| pool.same_pool(config)) {
        section.fault("pool", format!("is the pool of store `{other}`"), "give each store its own pool");
    }
    pools.push((config.clone(), id.to_owned()));
}

/// The id stands in URLs, headers and comma-separated lists.
fn check_id(section: &Section<'_>, id: &str) {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.is_empty() || id.len() > 64 || !id.chars().all(good) {
        section.fault_here("the id of a store has 1 to 64 letters, digits, `-`, `_` or `.`", "rename it");
    }
    if id.starts_with("os_glance_") {
        section.fault_here("ids that begin with `os_glance_` are reserved", "rename it");
    }
}

/// Two stores in one folder, or one inside of the other, would delete each other's files.
fn check_folder(section: &Section<'_>, id: &str, path: &Path, folders: &mut Vec<(PathBuf, String)>) {
    if path.as_os_str().is_empty() {
        return;
    }
    let folder = settle(path);
    if let Some((_, other)) = folders.iter().find(|(f, _)| f.starts_with(&folder) || folder.starts_with(f)) {
        section.fault("path", format!("overlaps with the folder of store `{other}`"), "give each store its own folder");
    }
    if path.is_file() {
        section.fault("path", "is a file", "name a folder; it is created if missing");
    }
    folders.push((folder, id.to_owned()));
}

/// Absolute, without `.`, `..` and, as far as it exists, links.
fn settle(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut settled = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => {
                settled.pop();
            }
            Component::CurDir => {}
            other => settled.push(other),
        }
        if let Ok(real) = settled.canonicalize() {
            settled = real;
        }
    }
    settled
}
