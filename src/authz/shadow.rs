//! A candidate beside the rules in force: every decision of a request is repeated on it, what differs is reported, and
//! nothing of it reaches the client.
//!
//! Asked in line and not from a queue: an evaluation costs some tens of microseconds, a copy of caller and image for a
//! queue costs about as much, and a queue that drops would make "no difference" a guess. Differences are counted by
//! kind, so that a candidate that changes every answer of a busy cloud fills neither the log nor the memory.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use serde::Serialize;

use super::{Action, Policies, Resource, decide, entities};
use crate::{context::Context, error::Result, image::Image};

/// Kinds of differences that are told apart; what comes after is counted as one.
const KINDS_MAX: usize = 1_000;

/// Policies that are asked but not obeyed, and what they would have answered otherwise.
pub struct Shadow {
    policies: Policies,
    compared: AtomicU64,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    kinds: HashMap<Change, Tally>,
    beyond: u64,
}

/// What differs: one line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
struct Change {
    action: &'static str,
    resource: &'static str,
    old: Side,
    new: Side,
}

/// One side's answer and the ids of the policies that gave it; none for what no policy permits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
struct Side {
    answer: Answer,
    policies: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Permit,
    Deny,
    /// The policies could not be evaluated.
    Fault,
}

struct Tally {
    count: u64,
    first: Timestamp,
    last: Example,
}

/// The request that showed a difference last.
#[derive(Debug, Clone, Serialize)]
struct Example {
    at: Timestamp,
    user: String,
    project: Option<String>,
    resource: String,
    request_id: String,
    /// Why a side could not be evaluated.
    fault: Option<String>,
}

/// How many decisions were compared, and what differed.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Decisions that both sides have answered.
    pub compared: u64,
    /// Answers that differ.
    pub differing: u64,
    /// Of those, the ones beyond the kinds that are told apart.
    pub beyond: u64,
    /// By kind, the most frequent first.
    pub differences: Vec<Difference>,
}

/// One kind of difference.
#[derive(Debug, Clone, Serialize)]
pub struct Difference {
    #[serde(flatten)]
    change: Change,
    /// Answers of this kind.
    pub count: u64,
    first: Timestamp,
    last: Example,
}

impl Shadow {
    /// A candidate that nobody has been compared with yet.
    #[must_use]
    pub fn new(policies: Policies) -> Self {
        Self { policies, compared: AtomicU64::new(0), found: Mutex::default() }
    }

    pub(super) fn policies(&self) -> &Policies {
        &self.policies
    }

    /// What was found so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let mut differences: Vec<_> = found
            .kinds
            .iter()
            .map(|(change, t)| Difference {
                change: change.clone(),
                count: t.count,
                first: t.first,
                last: t.last.clone(),
            })
            .collect();
        differences.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.change.cmp(&b.change)));
        Report {
            compared: self.compared.load(Ordering::Relaxed),
            differing: differences.iter().map(|d| d.count).sum::<u64>() + found.beyond,
            beyond: found.beyond,
            differences,
        }
    }

    /// Repeats one decision. Whatever comes of it, the request goes on with `old`.
    pub(super) fn compare(
        &self,
        ctx: &Context,
        action: Action,
        resource: &Resource<'_>,
        old: &Result<decide::Verdict>,
    ) {
        let new = decide::decide(&self.policies, &ctx.caller, action, resource);
        self.count(1);
        let change = Change {
            action: action.as_str(),
            resource: entities::kind(resource).as_str(),
            old: Side::of(old),
            new: Side::of(&new),
        };
        if change.old.answer != change.new.answer {
            self.note(change, Example::of(ctx, resource, [old, &new]));
        }
    }

    /// Repeats one decision on many properties; `old` is what the rules in force permit of each.
    pub(super) fn compare_properties(
        &self,
        ctx: &Context,
        action: Action,
        image: &Image,
        names: &[&str],
        old: &Result<Vec<bool>>,
    ) {
        let new = decide::decide_properties(&self.policies, &ctx.caller, action, image, names);
        let permits = |side: &Result<Vec<bool>>, at: usize| side.as_ref().ok().and_then(|all| all.get(at).copied());
        for (at, name) in names.iter().enumerate() {
            if permits(old, at) == permits(&new, at) {
                self.count(1);
                continue;
            }
            // Decided anew one by one for the ids: the answer for all of them has none.
            let property = Resource::Property(image, name);
            let old = decide::decide(&ctx.rules.policies, &ctx.caller, action, &property);
            self.compare(ctx, action, &property, &old);
        }
    }

    fn count(&self, decisions: u64) {
        self.compared.fetch_add(decisions, Ordering::Relaxed);
        metrics::counter!("fanlight_shadow_decisions_total").increment(decisions);
    }

    fn note(&self, change: Change, example: Example) {
        let (old, new) = (change.old.answer.as_str(), change.new.answer.as_str());
        metrics::counter!(
            "fanlight_shadow_differences_total", "action" => change.action, "old" => old, "new" => new
        )
        .increment(1);
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    target: "fanlight::shadow",
                    action = change.action,
                    resource = example.resource,
                    old,
                    old_policies = ?change.old.policies,
                    new,
                    new_policies = ?change.new.policies,
                    fault = example.fault,
                    user = example.user,
                    project = example.project,
                    request_id = example.request_id,
                    "the candidate answers differently"
                )
            };
        }
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tally) = found.kinds.get_mut(&change) {
            log!(debug);
            tally.count += 1;
            tally.last = example;
        } else if found.kinds.len() < KINDS_MAX {
            log!(warn);
            found.kinds.insert(change, Tally { count: 1, first: example.at, last: example });
        } else {
            log!(debug);
            found.beyond += 1;
        }
    }
}

impl Side {
    fn of(verdict: &Result<decide::Verdict>) -> Self {
        match verdict {
            Ok(v) => {
                let mut policies = v.policies.clone();
                // Cedar names them in no order.
                policies.sort();
                Self { answer: if v.permitted { Answer::Permit } else { Answer::Deny }, policies }
            }
            Err(_) => Self { answer: Answer::Fault, policies: Vec::new() },
        }
    }
}

impl Answer {
    fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
            Self::Fault => "fault",
        }
    }
}

impl Example {
    fn of(ctx: &Context, resource: &Resource<'_>, sides: [&Result<decide::Verdict>; 2]) -> Self {
        let fault = sides.into_iter().find_map(|side| side.as_ref().err()).map(|error| format!("{error:?}"));
        Self {
            at: Timestamp::now(),
            user: ctx.caller.user_id.clone(),
            project: ctx.project().map(str::to_owned),
            resource: resource.to_string(),
            request_id: ctx.request_id.clone(),
            fault,
        }
    }
}

#[cfg(test)]
mod tests;
