//! The book of rules: what is in force, what was refused and why.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Fault, Removals, Ruleset,
    candidate::Candidate,
    folder::{Folders, seed},
    removal::vanished,
};
use crate::{
    authz::{Policies, Shadow},
    config,
    error::{Error, Result},
    wasm::{Engine, Plugins},
};

/// The rules in force, and the only way to change them.
pub struct Rulebook {
    current: ArcSwap<Ruleset>,
    pub(super) engine: Engine,
    /// Held through a whole reload, so that two never race for a number.
    pub(super) turn: Mutex<()>,
    refused: Mutex<Option<Refused>>,
    /// What of the candidate requests ask.
    pub(super) shadow: ArcSwapOption<Shadow>,
    pub(super) candidate: Mutex<Option<Candidate>>,
    pub(super) folders: Folders,
    pub(super) debounce: Duration,
    pub(super) poll: Duration,
}

/// Content of a folder that did not pass.
#[derive(Clone)]
pub(super) struct Refused {
    pub(super) digest: Option<String>,
    pub(super) since: Timestamp,
    pub(super) faults: Vec<Fault>,
}

impl Refused {
    pub(super) fn now(digest: Option<String>, faults: Vec<Fault>) -> Self {
        Self { digest, since: Timestamp::now(), faults }
    }
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Outcome {
    /// The folders hold what is in force already.
    Unchanged {
        /// In force.
        generation: u64,
    },
    /// A new generation is in force.
    Loaded {
        /// In force.
        generation: u64,
    },
    /// The candidate is wrong, the old generation serves on.
    Refused {
        /// In force.
        generation: u64,
        /// What is wrong.
        faults: Vec<Fault>,
    },
}

/// What is in force, for operators.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Number in force.
    pub generation: u64,
    /// sha256 of its files, hex.
    pub digest: String,
    /// When it came into force.
    pub loaded_at: Timestamp,
    /// Ids of its policies.
    pub policies: Vec<String>,
    /// Its plug-ins, in the order in which they are asked, as `name@sha256:digest`.
    pub plugins: Vec<String>,
    /// Since when the folders hold something that is not in force because it is wrong.
    pub refused_since: Option<Timestamp>,
    /// What is wrong with it; empty when all is well.
    pub faults: Vec<Fault>,
}

impl Rulebook {
    /// Reads and checks the folders; seeds the default ones at the first start.
    ///
    /// # Errors
    /// `Invalid` with every fault when there is no valid ruleset: nothing is served without one.
    pub fn open(cfg: &config::Rules, data_dir: &Path) -> Result<Arc<Self>> {
        let folders = Folders::of(cfg, data_dir);
        for (configured, folder, shipped) in [
            (&cfg.policies, &folders.policies, Policies::seeds()),
            (&cfg.plugins, &folders.plugins, Plugins::shipped()),
        ] {
            if configured.is_none() {
                seed(folder, &shipped)
                    .map_err(|e| Error::invalid(format!("cannot write `{}`: {e}", folder.display())))?;
            }
        }
        let engine = Engine::new()?;
        let first =
            folders.read().and_then(|files| files.check(1, &engine, &Plugins::default())).map_err(|faults| {
                let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
                Error::invalid(format!("the rules are not valid: {}", lines.join("; ")))
            })?;
        metrics::gauge!("fanlight_ruleset_generation").set(1.0);
        metrics::gauge!("fanlight_ruleset_fault").set(0.0);
        tracing::info!(generation = 1, digest = first.digest, policies = first.policies.ids().len(), "rules in force");
        let book = Arc::new(Self {
            current: ArcSwap::from_pointee(first),
            engine,
            turn: Mutex::new(()),
            refused: Mutex::new(None),
            shadow: ArcSwapOption::empty(),
            candidate: Mutex::new(None),
            folders,
            debounce: Duration::from_millis(cfg.debounce_ms),
            poll: Duration::from_secs(cfg.poll_s.max(1)),
        });
        if let Some(folder) = &cfg.candidate {
            book.follow_folder(folder.clone());
        }
        Ok(book)
    }

    /// What is wrong with the rules that a start would read; changes nothing.
    ///
    /// # Errors
    /// `Internal` when there can be no engine for plug-ins.
    pub fn verify(cfg: &config::Rules, data_dir: &Path) -> Result<Vec<Fault>> {
        let engine = Engine::new()?;
        let folders = Folders::of(cfg, data_dir);
        let seeded = |configured: bool, folder: &Path| configured || folder.exists();
        let found =
            if seeded(cfg.policies.is_some(), &folders.policies) && seeded(cfg.plugins.is_some(), &folders.plugins) {
                folders.read().and_then(|files| files.check(1, &engine, &Plugins::default()))
            } else {
                Ruleset::shipped(&engine)
            };
        Ok(found.err().unwrap_or_default())
    }

    /// The generation in force. A request takes it once.
    #[must_use]
    pub fn current(&self) -> Arc<Ruleset> {
        self.current.load_full()
    }

    /// Reads the folders now, and puts their content in force if all of it is good and no policy has vanished, or the
    /// operator means it. The work is done off the threads that serve requests.
    pub async fn reload(self: &Arc<Self>, why: &'static str, removals: Removals) -> Outcome {
        let book = self.clone();
        let work = tokio::task::spawn_blocking(move || book.reload_now(why, removals)).await;
        work.unwrap_or_else(|e| self.refuse(None, vec![Fault::new("reload", None, e.to_string())], why))
    }

    /// What is in force and what was refused.
    #[must_use]
    pub fn status(&self) -> Status {
        let now = self.current();
        let refused = lock(&self.refused).clone();
        Status {
            generation: now.generation,
            digest: now.digest.clone(),
            loaded_at: now.loaded_at,
            policies: now.policies.ids().to_vec(),
            plugins: now.plugins.placement().iter().map(|p| p.id()).collect(),
            refused_since: refused.as_ref().map(|r| r.since),
            faults: refused.map(|r| r.faults).unwrap_or_default(),
        }
    }

    /// Whether a look at the folders, by digest, saw something else than the last reload did; what cannot be read
    /// always is news.
    pub(super) fn rules_are_news(&self, look: Option<&str>) -> bool {
        let seen = match &*lock(&self.refused) {
            Some(refused) => refused.digest.clone(),
            None => Some(self.current.load().digest.clone()),
        };
        look.is_none() || look != seen.as_deref()
    }

    pub(super) fn reload_now(&self, why: &'static str, removals: Removals) -> Outcome {
        let _turn = lock(&self.turn);
        let files = match self.folders.read() {
            Ok(files) => files,
            Err(faults) => return self.refuse(None, faults, why),
        };
        let (digest, now) = (files.digest(), self.current());
        if digest == now.digest {
            return self.unchanged();
        }
        let next = match files.check(now.generation + 1, &self.engine, &now.plugins) {
            Ok(next) => next,
            Err(faults) => return self.refuse(Some(digest), faults, why),
        };
        let vanished = vanished(&now.policies, &next.policies, &files);
        if removals == Removals::Refused && !vanished.is_empty() {
            return self.refuse(Some(digest), vanished, why);
        }
        self.install(next, why)
    }

    /// Puts in force what passed every check. The turn is the caller's.
    pub(super) fn install(&self, next: Ruleset, why: &'static str) -> Outcome {
        if next.digest == self.current.load().digest {
            return self.unchanged();
        }
        let generation = next.generation;
        tracing::info!(generation, digest = next.digest, why, "new rules in force");
        self.current.store(Arc::new(next));
        *lock(&self.refused) = None;
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; generations stay far below 2^52")]
        metrics::gauge!("fanlight_ruleset_generation").set(generation as f64);
        metrics::gauge!("fanlight_ruleset_fault").set(0.0);
        metrics::counter!("fanlight_ruleset_reloads_total", "result" => "loaded").increment(1);
        Outcome::Loaded { generation }
    }

    /// The folders hold what is in force.
    fn unchanged(&self) -> Outcome {
        *lock(&self.refused) = None;
        metrics::gauge!("fanlight_ruleset_fault").set(0.0);
        metrics::counter!("fanlight_ruleset_reloads_total", "result" => "unchanged").increment(1);
        Outcome::Unchanged { generation: self.current.load().generation }
    }

    fn refuse(&self, digest: Option<String>, faults: Vec<Fault>, why: &'static str) -> Outcome {
        let generation = self.current.load().generation;
        let mut refused = lock(&self.refused);
        let since = refused.as_ref().map_or_else(Timestamp::now, |r| r.since);
        if refused.as_ref().is_none_or(|r| r.faults != faults) {
            for fault in &faults {
                tracing::error!(%fault, why, generation, "rules refused, the old generation serves on");
            }
        }
        metrics::gauge!("fanlight_ruleset_fault").set(1.0);
        metrics::counter!("fanlight_ruleset_reloads_total", "result" => "refused").increment(1);
        *refused = Some(Refused { digest, since, faults: faults.clone() });
        Outcome::Refused { generation, faults }
    }
}

/// The values are replaced whole, so a thread that panicked left none half-written.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
