//! The scrubber: what stores hold is compared with what the database says they hold.
//!
//! It runs beside gateways that serve, so every judgement is made to bear a change meanwhile. An object is unknown only
//! if the database spoke of it neither before nor after the store was listed (an upload writes its row before its first
//! byte), and an orphan only if it is old enough, or, where a store keeps no times, seen twice. A copy is lost only if
//! both readings have it and the store does not open it. Nothing is changed unless asked for, and right before an object
//! is removed the database is asked once more.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::{
    authz::Permit,
    db::Db,
    error::Result,
    store::{Entry, Object, Set, StoreErrorKind},
};

mod claims;
mod compare;
mod rehash;
mod report;

use claims::Claims;
use compare::{Compared, Missing};

pub use report::{Finding, FindingKind, Report, StoreReport};

/// Between two looks at objects whose age is not known.
const SECOND_LOOK: Duration = Duration::from_secs(3);

/// What a run does beside comparing.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only this store.
    pub store: Option<String>,
    /// Objects of each store that are read and hashed.
    pub rehash: usize,
    /// An unknown object that is younger is left alone: its row may be about to be written.
    pub older_than: Duration,
    /// Removes orphans.
    pub delete_orphans: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { store: None, rehash: 0, older_than: Duration::from_secs(3600), delete_orphans: false }
    }
}

/// How far the hashing of a store is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Store id.
    pub store: &'a str,
    /// Objects that are done.
    pub done: usize,
    /// Objects in all.
    pub of: usize,
    /// Bytes read.
    pub bytes: u64,
}

/// Looks through the stores of `set`, one after the other.
///
/// # Errors
/// `Unavailable` when the database does not answer. A store that does not is a line of the report.
pub async fn run(
    db: &Db,
    set: &Set,
    options: &Options,
    progress: &(dyn Fn(Progress<'_>) + Send + Sync),
) -> Result<Report> {
    let mut stores = Vec::new();
    for entry in set.iter().filter(|entry| options.store.as_ref().is_none_or(|id| id == entry.id())) {
        stores.push(Scrub { db, entry, options }.run(progress).await?);
    }
    let mut unconfigured = BTreeMap::new();
    if options.store.is_none() {
        unconfigured = db.stores_in_use().await?;
        unconfigured.retain(|id, _| set.get(id).is_none());
    }
    Ok(Report { stores, unconfigured, dry_run: !options.delete_orphans })
}

/// One store's turn.
struct Scrub<'a> {
    db: &'a Db,
    entry: &'a Arc<Entry>,
    options: &'a Options,
}

impl Scrub<'_> {
    async fn run(&self, progress: &(dyn Fn(Progress<'_>) + Send + Sync)) -> Result<StoreReport> {
        let mut report = StoreReport::new(self.entry.id(), self.entry.kind());
        let compared = match self.look(&mut report).await? {
            Ok(compared) => compared,
            Err(problem) => {
                report.error = Some(problem);
                return Ok(report);
            }
        };
        let Compared { findings, unknown, missing, whole, known } = compared;
        report.known = known;
        report.findings = findings;
        self.judge_unknown(unknown, &mut report).await?;
        for missing in missing {
            report.findings.extend(self.judge_missing(missing).await?);
        }
        rehash::sample(self.db, self.entry, whole, self.options.rehash, &mut report, progress).await?;
        if self.options.delete_orphans {
            self.delete_orphans(&mut report).await?;
        }
        Ok(report)
    }

    /// The database, the store, the database again.
    async fn look(&self, report: &mut StoreReport) -> Result<Result<Compared, String>> {
        let before = Claims::read(self.db, self.entry).await?;
        let objects = match self.entry.store().list().await {
            Ok(objects) => objects,
            Err(error) => return Ok(Err(format!("the store cannot be listed: {error}"))),
        };
        let after = Claims::read(self.db, self.entry).await?;
        report.count(&objects);
        Ok(Ok(compare::compare(&before, objects, &after)))
    }

    /// Which of the objects that nothing speaks for are old enough to be called what they are.
    async fn judge_unknown(&self, unknown: Vec<Object>, report: &mut StoreReport) -> Result<()> {
        let now = Timestamp::now();
        let age = SignedDuration::try_from(self.options.older_than).unwrap_or(SignedDuration::MAX);
        let (dated, mut undated): (Vec<_>, Vec<_>) = unknown.into_iter().partition(|o| o.modified.is_some());
        let (mut judged, young): (Vec<_>, Vec<_>) =
            dated.into_iter().partition(|o| o.modified.is_some_and(|at| now.duration_since(at) >= age));
        report.young = young.len() as u64;
        if !undated.is_empty() {
            tokio::time::sleep(SECOND_LOOK).await;
            let again = match self.look(&mut StoreReport::new(self.entry.id(), self.entry.kind())).await? {
                Ok(compared) => compared.unknown,
                Err(_) => Vec::new(),
            };
            let all = undated.len();
            undated.retain(|object| again.contains(object));
            report.young += (all - undated.len()) as u64;
            judged.extend(undated);
        }
        let names: Vec<&str> = judged.iter().map(|object| object.name.as_str()).collect();
        let images = self.db.images_among(&names).await?;
        for object in judged {
            report.findings.push(Finding::unknown(object, &images));
        }
        Ok(())
    }

    /// What the store itself says of a copy that its list does not have.
    async fn judge_missing(&self, missing: Missing) -> Result<Option<Finding>> {
        let Missing { image, location, url, size, partial } = missing;
        let finding = |kind, detail: String| Finding { kind, name: image.clone(), size, detail, deleted: false };
        let found = match self.entry.store().open(&url).await {
            Ok(reader) if size.is_none_or(|size| size == reader.size()) => None,
            Ok(reader) => Some(finding(FindingKind::WrongSize, format!("{} bytes in the store", reader.size()))),
            Err(e) if e.kind == StoreErrorKind::NotFound && partial => {
                Some(finding(FindingKind::Lost, "the store holds only unfinished data".into()))
            }
            Err(e) if e.kind == StoreErrorKind::NotFound => {
                Some(finding(FindingKind::Lost, "the store does not hold it".into()))
            }
            Err(e) => Some(finding(FindingKind::Unreadable, e.to_string())),
        };
        Ok(if self.still_has(&image, &location).await? { found } else { None })
    }

    async fn still_has(&self, image: &str, location: &str) -> Result<bool> {
        let image = self.db.image(image).await?;
        Ok(image.is_some_and(|image| image.locations.iter().any(|l| l.id == location)))
    }

    async fn delete_orphans(&self, report: &mut StoreReport) -> Result<()> {
        let orphan = |f: &&mut Finding| f.kind == FindingKind::Orphan;
        if report.of_kind(FindingKind::Orphan) == 0 {
            return Ok(());
        }
        let permit = Permit::system("scrubber");
        for finding in report.findings.iter_mut().filter(orphan) {
            if self.db.is_claimed(self.entry.id(), &finding.name).await? {
                finding.kind = FindingKind::Unregistered;
                finding.detail = "an image of this id has appeared: left alone".into();
                continue;
            }
            match self.entry.store().discard(&permit, &finding.name).await {
                Ok(()) => finding.deleted = true,
                Err(error) => finding.detail = format!("cannot be removed: {error}"),
            }
        }
        Ok(())
    }
}
