//! What a run of the scrubber found.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::store::Object;

/// All stores.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// One by one.
    pub stores: Vec<StoreReport>,
    /// Stores that images lie in and that are not configured, with the number of images.
    pub unconfigured: BTreeMap<String, u64>,
    /// Nothing was changed.
    pub dry_run: bool,
}

/// One store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreReport {
    /// Store id.
    pub store: String,
    /// `file` …
    #[serde(rename = "type")]
    pub kind: String,
    /// Objects that the store lists.
    pub objects: u64,
    /// Those of them that are whole.
    pub finished: u64,
    /// Those that are being written, or were.
    pub partial: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Objects that the database speaks of.
    pub known: u64,
    /// Unknown objects that are too young to be judged.
    pub young: u64,
    /// Objects that were read and hashed.
    pub hashed: u64,
    /// Bytes of those.
    pub hashed_bytes: u64,
    /// Why the store could not be looked through.
    pub error: Option<String>,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
}

/// One object that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// Name of the object, usually an image id.
    pub name: String,
    /// Bytes: in the store if it is there, else by the database.
    pub size: Option<u64>,
    /// More about it.
    pub detail: String,
    /// It was removed in this run.
    pub deleted: bool,
}

/// Kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// No image, upload, copy or note speaks for the object: it can be removed.
    Orphan,
    /// An image of this id exists but does not say that its data is here. Never removed.
    Unregistered,
    /// Unfinished data beside the finished data of an image. Never removed: the two share a name.
    Leftover,
    /// Not one of ours. Never touched, and nothing wrong.
    Foreign,
    /// The data of an image is gone.
    Lost,
    /// The data of an image has another size.
    WrongSize,
    /// The data of an image has another hash.
    Corrupt,
    /// The data of an image cannot be read.
    Unreadable,
}

impl FindingKind {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orphan => "orphan",
            Self::Unregistered => "unregistered",
            Self::Leftover => "leftover",
            Self::Foreign => "foreign",
            Self::Lost => "lost",
            Self::WrongSize => "wrong-size",
            Self::Corrupt => "corrupt",
            Self::Unreadable => "unreadable",
        }
    }
}

impl Report {
    /// Nothing is wrong, or not any more.
    pub fn is_well(&self) -> bool {
        let well = |s: &StoreReport| s.error.is_none() && !s.findings.iter().any(Finding::is_wrong);
        self.unconfigured.is_empty() && self.stores.iter().all(well)
    }
}

impl StoreReport {
    pub(super) fn new(store: &str, kind: &str) -> Self {
        Self {
            store: store.to_owned(),
            kind: kind.to_owned(),
            objects: 0,
            finished: 0,
            partial: 0,
            bytes: 0,
            known: 0,
            young: 0,
            hashed: 0,
            hashed_bytes: 0,
            error: None,
            findings: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, objects: &[Object]) {
        self.objects = objects.len() as u64;
        self.partial = objects.iter().filter(|o| o.partial).count() as u64;
        self.finished = self.objects - self.partial;
        self.bytes = objects.iter().fold(0, |sum, o| sum.saturating_add(o.size));
    }

    /// Findings of one kind.
    pub fn of_kind(&self, kind: FindingKind) -> usize {
        self.findings.iter().filter(|f| f.kind == kind).count()
    }
}

impl Finding {
    pub(super) fn of(object: &Object, kind: FindingKind, detail: &str) -> Self {
        let (name, size) = (object.name.clone(), Some(object.size));
        Self { kind, name, size, detail: detail.to_owned(), deleted: false }
    }

    /// An object that nothing speaks for; `images` are ids that exist all the same.
    pub(super) fn unknown(object: Object, images: &HashSet<String>) -> Self {
        let partial = if object.partial { "unfinished data; " } else { "" };
        if images.contains(&object.name) {
            let detail = format!("{partial}the image does not say that its data is here");
            return Self::of(&object, FindingKind::Unregistered, &detail);
        }
        Self::of(&object, FindingKind::Orphan, &format!("{partial}nothing in the database speaks for it"))
    }

    /// Whether somebody should do something about it.
    pub fn is_wrong(&self) -> bool {
        self.kind != FindingKind::Foreign && !self.deleted
    }
}
