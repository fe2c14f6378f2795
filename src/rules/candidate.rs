//! The candidate: a folder of policies that is followed beside the one in force, and decides nothing.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Fault, Rulebook,
    book::{Refused, lock},
    folder::{deciding, digest, read_policies},
};
use crate::authz::{Policies, Report, Shadow};

/// A folder that is followed.
pub(super) struct Candidate {
    folder: PathBuf,
    /// What of it was good last.
    running: Option<Running>,
    refused: Option<Refused>,
}

struct Running {
    digest: String,
    since: Timestamp,
    shadow: Arc<Shadow>,
}

/// The candidate, for operators.
#[derive(Debug, Clone, Serialize)]
pub struct CandidateStatus {
    /// The folder that is followed.
    pub folder: PathBuf,
    /// sha256 of the files that are asked, hex; none before the folder was good for the first time.
    pub digest: Option<String>,
    /// Since when they are asked. What they answered otherwise counts from here.
    pub since: Option<Timestamp>,
    /// Since when the folder holds something that is not asked because it is wrong.
    pub refused_since: Option<Timestamp>,
    /// What is wrong with it; empty when all is well.
    pub faults: Vec<Fault>,
    /// What was compared and what differs.
    #[serde(flatten)]
    pub report: Option<Report>,
}

impl Rulebook {
    /// The candidate that requests ask too. A request takes it once.
    #[must_use]
    pub fn shadow(&self) -> Option<Arc<Shadow>> {
        self.shadow.load_full()
    }

    /// What is followed, and what it found.
    #[must_use]
    pub fn candidate(&self) -> Option<CandidateStatus> {
        lock(&self.candidate).as_ref().map(Candidate::status)
    }

    /// Asks the policies in `folder` beside those in force from now on, in place of any candidate before.
    ///
    /// # Errors
    /// What is wrong with them; nothing has changed then.
    pub async fn shadow_start(self: &Arc<Self>, folder: PathBuf) -> Result<CandidateStatus, Vec<Fault>> {
        let book = self.clone();
        let work = tokio::task::spawn_blocking(move || {
            let running = Running::read(&folder).map_err(|refused| refused.faults)?;
            tracing::info!(folder = %folder.display(), digest = running.digest, "candidate rules are asked too");
            let candidate = Candidate { folder, running: Some(running), refused: None };
            let status = candidate.status();
            book.follow(Some(candidate));
            Ok(status)
        });
        work.await.unwrap_or_else(|e| Err(vec![Fault::new("candidate", None, e.to_string())]))
    }

    /// Asks no candidate any more; false when there was none.
    pub fn shadow_stop(&self) -> bool {
        self.follow(None).is_some()
    }

    /// Follows a folder that may not be good yet: its faults are in the status until it is.
    pub(super) fn follow_folder(&self, folder: PathBuf) {
        self.follow(Some(Candidate { folder, running: None, refused: None }));
        self.reload_candidate();
    }

    /// Reads the folder of the candidate. What is good takes the place of what was asked before, with nothing found
    /// yet; of what is not, the faults are kept.
    pub(super) fn reload_candidate(&self) {
        let Some(folder) = self.candidate_folder() else { return };
        let read = Running::read(&folder);
        let mut slot = lock(&self.candidate);
        // Another folder may have taken its place while this one was read.
        let Some(candidate) = slot.as_mut().filter(|candidate| candidate.folder == folder) else { return };
        match read {
            Ok(next) => {
                candidate.refused = None;
                if candidate.running.as_ref().is_none_or(|now| now.digest != next.digest) {
                    tracing::info!(folder = %folder.display(), digest = next.digest, "new candidate rules are asked");
                    self.shadow.store(Some(next.shadow.clone()));
                    candidate.running = Some(next);
                }
            }
            Err(refused) => candidate.refuse(refused),
        }
        metrics::gauge!("fanlight_shadow_fault").set(f64::from(u8::from(candidate.refused.is_some())));
    }

    /// As `rules_are_news`, for the folder of the candidate; there is none about no candidate.
    pub(super) fn candidate_is_news(&self, look: Option<&str>) -> bool {
        let slot = lock(&self.candidate);
        slot.as_ref().is_some_and(|candidate| look.is_none() || look != candidate.last_seen())
    }

    pub(super) fn candidate_folder(&self) -> Option<PathBuf> {
        lock(&self.candidate).as_ref().map(|candidate| candidate.folder.clone())
    }

    fn follow(&self, candidate: Option<Candidate>) -> Option<Candidate> {
        let mut slot = lock(&self.candidate);
        let running = candidate.as_ref().and_then(|c| c.running.as_ref());
        self.shadow.store(running.map(|r| r.shadow.clone()));
        metrics::gauge!("fanlight_shadow_fault").set(0.0);
        std::mem::replace(&mut *slot, candidate)
    }
}

impl Candidate {
    fn status(&self) -> CandidateStatus {
        CandidateStatus {
            folder: self.folder.clone(),
            digest: self.running.as_ref().map(|r| r.digest.clone()),
            since: self.running.as_ref().map(|r| r.since),
            refused_since: self.refused.as_ref().map(|r| r.since),
            faults: self.refused.as_ref().map(|r| r.faults.clone()).unwrap_or_default(),
            report: self.running.as_ref().map(|r| r.shadow.report()),
        }
    }

    fn last_seen(&self) -> Option<&str> {
        match &self.refused {
            Some(refused) => refused.digest.as_deref(),
            None => self.running.as_ref().map(|r| r.digest.as_str()),
        }
    }

    fn refuse(&mut self, refused: Refused) {
        if self.refused.as_ref().is_none_or(|before| before.faults != refused.faults) {
            for fault in &refused.faults {
                tracing::warn!(%fault, folder = %self.folder.display(), "candidate rules refused");
            }
        }
        let since = self.refused.as_ref().map_or(refused.since, |before| before.since);
        self.refused = Some(Refused { since, ..refused });
    }
}

impl Running {
    /// Slow: not for the request path.
    fn read(folder: &Path) -> Result<Self, Refused> {
        let files = read_policies(folder).map_err(|fault| Refused::now(None, vec![fault]))?;
        let digest = digest(&files);
        match Policies::load(&deciding(&files)) {
            Ok(policies) => Ok(Self { digest, since: Timestamp::now(), shadow: Arc::new(Shadow::new(policies)) }),
            Err(faults) => Err(Refused::now(Some(digest), faults)),
        }
    }
}

#[cfg(test)]
mod tests;
