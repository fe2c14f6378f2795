//! Two sets of policies, asked the same questions: which answers change, and why.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Action, Answer, Policies, Question, answer, explain,
    policies::{Kind, Slice},
};
use crate::error::Result;

mod generate;
mod words;

pub use generate::generate;

/// Changes of one kind that are told one by one; all are counted.
const EXAMPLES_MAX: usize = 20;

/// What changes from one set of policies to another.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    /// Questions asked.
    pub asked: usize,
    /// Answers that change.
    pub changed: usize,
    /// The changes, those of one kind together.
    pub changes: Vec<Change>,
}

/// Answers that change in the same way by the same policies.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// What was asked.
    pub action: Action,
    /// The answer so far.
    pub old: Answer,
    /// The answer to come.
    pub new: Answer,
    /// How many.
    pub count: usize,
    /// The first of them.
    pub examples: Vec<Example>,
}

/// One answer that changes.
#[derive(Debug, Clone, Serialize)]
pub struct Example {
    /// The question.
    pub question: Question,
    /// The reason so far.
    pub old_reason: String,
    /// The reason to come.
    pub new_reason: String,
}

/// Asks both sets.
///
/// # Errors
/// `Invalid` when a question cannot be asked.
pub fn compare(old: &Policies, new: &Policies, questions: impl Iterator<Item = Question>) -> Result<Difference> {
    let (mut asked, mut changed) = (0, 0);
    let mut kinds: BTreeMap<(Action, Answer, Answer), Change> = BTreeMap::new();
    for question in questions {
        asked += 1;
        let (before, after) = (answer(old, &question)?, answer(new, &question)?);
        if before.outcome == after.outcome {
            continue;
        }
        changed += 1;
        let change = kinds.entry((question.action, before.clone(), after.clone())).or_insert_with(|| Change {
            action: question.action,
            old: before,
            new: after,
            count: 0,
            examples: Vec::new(),
        });
        change.count += 1;
        if change.examples.len() < EXAMPLES_MAX {
            change.examples.push(Example {
                old_reason: explain(old, &question)?.reason,
                new_reason: explain(new, &question)?.reason,
                question,
            });
        }
    }
    Ok(Difference { asked, changed, changes: kinds.into_values().collect() })
}

/// The actions, each with a type of resource, that the two sets do not treat by the very same policies.
fn touched(old: &Policies, new: &Policies) -> Vec<(Action, Kind)> {
    let texts = |slice: Option<&Slice>| -> BTreeSet<String> {
        slice.into_iter().flat_map(|s| s.set.policies().map(ToString::to_string)).collect()
    };
    let differs = |action, kind| texts(old.slice(action, kind)) != texts(new.slice(action, kind));
    new.slices().map(|(action, kind, _)| (action, kind)).filter(|(action, kind)| differs(*action, *kind)).collect()
}

#[cfg(test)]
mod tests;
