//! Stores that change while the gateway serves: their states, and the set itself.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::App;
use crate::{
    authz::Permit,
    config::{Config, Fault, StoreState, process_env},
    db::Holds,
    error::{Error, Result},
    store::{Entry, Set, StoreErrorKind},
};

/// How a reload of the stores ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Reload {
    /// Another set serves.
    Loaded {
        /// Ids of stores that are new.
        added: Vec<String>,
        /// Ids of stores whose options are others.
        changed: Vec<String>,
        /// Ids of stores that are gone.
        removed: Vec<String>,
    },
    /// The configuration says what is in force already, or there is no file to read.
    Unchanged,
    /// The set before serves on.
    Refused {
        /// All that is wrong.
        faults: Vec<Fault>,
    },
}

impl App {
    /// One round: the states that any gateway wrote into the database, then every store is asked for its room.
    ///
    /// # Errors
    /// When the database does not answer; the stores were asked all the same.
    pub async fn refresh_stores(&self) -> Result<()> {
        let states = self.db.store_states().await.map(|states| apply(&states, self.stores.iter()));
        self.stores.refresh().await;
        states
    }

    /// Gives a store a state, here at once and for all other gateways with their next round; `None` is the configured
    /// state. Returns what the store holds.
    ///
    /// # Errors
    /// `NotFound` when there is no such store.
    pub async fn set_store_state(&self, id: &str, state: Option<StoreState>) -> Result<(Arc<Entry>, Holds)> {
        let unknown = || Error::not_found(format!("Store {id} is not configured."));
        if self.stores.get(id).is_none() {
            return Err(unknown());
        }
        self.db.set_store_state(&Permit::system("store state"), id, state).await?;
        let entry = self.stores.get(id).ok_or_else(unknown)?;
        entry.set_state(state);
        Ok((entry, self.db.store_holds(id).await?))
    }

    /// Reads the stores of the configuration file anew. All of it is taken, or nothing: a store that the database still
    /// refers to is neither removed nor moved.
    pub async fn reload_stores(&self, trigger: &str) -> Reload {
        let _turn = self.reloading.lock().await;
        let outcome = self.try_reload().await.unwrap_or_else(|error| {
            let fault = |problem: String| vec![self.fault("store", problem, "")];
            Reload::Refused { faults: fault(format!("{}: the stores were not loaded", error.message())) }
        });
        match &outcome {
            Reload::Loaded { added, changed, removed } => {
                tracing::info!(trigger, ?added, ?changed, ?removed, "stores loaded");
            }
            Reload::Unchanged => tracing::info!(trigger, "stores unchanged"),
            Reload::Refused { faults } => {
                for fault in faults {
                    tracing::error!(trigger, %fault, "stores not loaded, those before serve on");
                }
            }
        }
        outcome
    }

    async fn try_reload(&self) -> Result<Reload> {
        let Some(file) = &self.config.file else { return Ok(Reload::Unchanged) };
        // The addresses that this process listens on stand, wherever they came from.
        let env = |name: &str| match name {
            "FANLIGHT_LISTEN" => Some(self.config.listen.to_string()),
            "FANLIGHT_ADMIN_LISTEN" => Some(self.config.admin_listen.to_string()),
            _ => process_env(name),
        };
        let config = match Config::load(Some(file), env) {
            Ok(config) => config,
            Err(faults) => return Ok(Reload::Refused { faults: faults.faults }),
        };
        let before = self.stores.current();
        let built = match Set::build(&config.stores, Some(&before)) {
            Ok(set) => Arc::new(set),
            Err(error) => return Ok(Reload::Refused { faults: vec![self.fault("store", error.message(), "")] }),
        };
        let change = Change::between(&before, &built);
        if change.is_empty() {
            return Ok(Reload::Unchanged);
        }
        let states = self.db.store_states().await?;
        apply(&states, built.iter().cloned());
        built.refresh().await;
        let mut faults = Vec::new();
        if let Err(error) = built.check_places().await {
            faults.push(self.fault("store", error.message(), "give each store its own place"));
        }
        faults.extend(self.objections(&change, &built).await?);
        if !faults.is_empty() {
            return Ok(Reload::Refused { faults });
        }
        self.stores.exchange(Arc::clone(&built));
        // An upload writes its row before it takes a store from the set. So one that still got a store that is gone
        // shows now; those after it do not get it.
        let faults = self.objections(&change, &built).await;
        if !matches!(&faults, Ok(none) if none.is_empty()) {
            self.stores.exchange(before);
            return faults.map(|faults| Reload::Refused { faults });
        }
        let Change { added, changed, removed, .. } = change;
        Ok(Reload::Loaded { added, changed, removed })
    }

    /// Why stores may not go, or not be moved to where their options lead.
    async fn objections(&self, change: &Change, built: &Set) -> Result<Vec<Fault>> {
        let mut faults = Vec::new();
        for id in &change.removed {
            let holds = self.db.store_holds(id).await?;
            if !holds.is_empty() {
                let help = format!(
                    "put [store.{id}] back, run `fanlight store state {id} draining`, move or delete its images, \
                     and take it out again"
                );
                let problem = format!("is gone from the file, but the database still knows {holds} there");
                faults.push(self.fault(&format!("store.{id}"), problem, &help));
            }
        }
        for id in &change.moved {
            let Some(entry) = built.get(id) else { continue };
            let lost = self.out_of_reach(entry).await?;
            if lost > 0 {
                let problem = format!("leads elsewhere: {lost} copies would be out of reach");
                let help = "add the new place as a store of its own, and drain this one";
                faults.push(self.fault(&format!("store.{id}"), problem, help));
            }
        }
        Ok(faults)
    }

    /// Copies whose URLs a back end does not take for its own.
    async fn out_of_reach(&self, entry: &Entry) -> Result<u64> {
        let (mut lost, mut after) = (0, String::new());
        loop {
            let page = self.db.held(entry.id(), &after).await?;
            let Some(last) = page.last() else { return Ok(lost) };
            after.clone_from(&last.id);
            let foreign = |url: &str| entry.store().name_of(url).is_err_and(|e| e.kind == StoreErrorKind::BadUrl);
            lost += page.iter().filter(|held| foreign(&held.url)).count() as u64;
        }
    }

    fn fault(&self, key: &str, problem: impl Into<String>, help: &str) -> Fault {
        let file = self.config.file.as_ref().map_or_else(String::new, |file| file.display().to_string());
        let (key, problem, help) = (key.to_owned(), problem.into(), help.to_owned());
        Fault { file, line: None, column: None, key, problem, help }
    }
}

/// A store without a row is in its configured state.
fn apply(states: &BTreeMap<String, StoreState>, stores: impl Iterator<Item = Arc<Entry>>) {
    for entry in stores {
        entry.set_state(states.get(entry.id()).copied());
    }
}

/// What differs between two sets, as ids.
#[derive(Debug, Default, PartialEq, Eq)]
struct Change {
    added: Vec<String>,
    changed: Vec<String>,
    /// Those of `changed` with another back end.
    moved: Vec<String>,
    removed: Vec<String>,
}

impl Change {
    fn between(before: &Set, after: &Set) -> Self {
        let mut change = Self::default();
        for entry in after.iter() {
            let id = || entry.id().to_owned();
            match before.get(entry.id()) {
                None => change.added.push(id()),
                Some(old) if old.config() != entry.config() => {
                    change.changed.push(id());
                    if old.config().backend != entry.config().backend {
                        change.moved.push(id());
                    }
                }
                Some(_) => {}
            }
        }
        let gone = before.iter().filter(|entry| after.get(entry.id()).is_none());
        change.removed = gone.map(|entry| entry.id().to_owned()).collect();
        change
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
