//! Answers on custom properties that depend on the caller and the property's name alone. An image may have a hundred
//! properties, and the same names come again with every image.

use std::collections::HashMap;

use cedar_policy::PolicySet;

use super::{Action, kept::Weighed};

/// Answers kept for one caller; property names are chosen by users.
const ANSWERS_MAX: usize = 4096;

/// The answers of one caller.
#[derive(Default)]
pub(super) struct Names {
    answers: HashMap<Action, HashMap<String, bool>>,
    bytes: usize,
}

impl Names {
    /// What is known of each name, in their order.
    pub(super) fn known(&self, action: Action, names: &[&str]) -> Vec<Option<bool>> {
        let answers = self.answers.get(&action);
        names.iter().map(|name| answers.and_then(|a| a.get(*name)).copied()).collect()
    }

    /// Keeps answers.
    pub(super) fn learn<'n>(&mut self, action: Action, learnt: impl Iterator<Item = (&'n str, bool)>) {
        let answers = self.answers.entry(action).or_default();
        for (name, answer) in learnt {
            if answers.len() >= ANSWERS_MAX {
                self.bytes -= answers.keys().map(|name| of_name(name)).sum::<usize>();
                answers.clear();
            }
            if answers.insert(name.to_owned(), answer).is_none() {
                self.bytes += of_name(name);
            }
        }
    }
}

impl Weighed for Names {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The name and its place in the map.
fn of_name(name: &str) -> usize {
    name.len() + 64
}

/// Whether no policy looks at the image that a property belongs to. The way there is the attribute `image`: where none
/// of that name is read, nothing of the image can matter.
pub(super) fn suffice(set: &PolicySet) -> bool {
    set.policies().all(|policy| policy.to_json().is_ok_and(|tree| !tree.to_string().contains("\"image\"")))
}
