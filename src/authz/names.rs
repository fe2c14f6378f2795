//! Answers on custom properties that depend on the caller and the property's name alone. An image may have a hundred
//! properties, and the same names come again with every image.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use cedar_policy::PolicySet;

use super::Action;
use crate::context::Caller;

/// Callers whose answers are kept with a generation of policies.
const CALLERS_MAX: usize = 1024;
/// Answers kept for one caller; property names are chosen by users.
const ANSWERS_MAX: usize = 4096;

type Answers = HashMap<String, bool>;

/// The answers of one generation of policies.
#[derive(Default)]
pub(super) struct Names(Mutex<HashMap<Caller, HashMap<Action, Answers>>>);

impl Names {
    /// What is known of each name, in their order.
    pub(super) fn known(&self, caller: &Caller, action: Action, names: &[&str]) -> Vec<Option<bool>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = kept.get(caller).and_then(|actions| actions.get(&action));
        names.iter().map(|name| answers.and_then(|a| a.get(*name)).copied()).collect()
    }

    /// Keeps answers.
    pub(super) fn learn<'n>(&self, caller: &Caller, action: Action, learnt: impl Iterator<Item = (&'n str, bool)>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= CALLERS_MAX && !kept.contains_key(caller) {
            kept.clear();
        }
        let answers = kept.entry(caller.clone()).or_default().entry(action).or_default();
        for (name, answer) in learnt {
            if answers.len() >= ANSWERS_MAX {
                answers.clear();
            }
            answers.insert(name.to_owned(), answer);
        }
    }
}

/// Whether no policy looks at the image that a property belongs to. The way there is the attribute `image`: where none
/// of that name is read, nothing of the image can matter.
pub(super) fn suffice(set: &PolicySet) -> bool {
    set.policies().all(|policy| policy.to_json().is_ok_and(|tree| !tree.to_string().contains("\"image\"")))
}
