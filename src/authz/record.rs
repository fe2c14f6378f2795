//! The last refusals, kept so that each can be explained: what was asked, by whom, and under which rules.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Action, Outcome, Question, Resource};
use crate::context::Context;

/// Refusals kept at most.
const ENTRIES_MAX: usize = 10_000;
/// Bytes of all questions kept.
const BYTES_MAX: usize = 16 << 20;
/// Bytes of one question; a larger one is kept without its facts.
const QUESTION_MAX: usize = 64 << 10;

/// Refusals under one id at most: callers choose the ids of requests, and may choose the same one for all.
const FOUND_MAX: usize = 50;

/// The last refusals of this process, the newest last; bounded in number and in bytes.
#[derive(Default)]
pub struct Journal {
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
}

struct Entry {
    kept: Recorded,
    /// The question as JSON: small, and its size is known.
    question: Vec<u8>,
}

/// One refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Id of the decision, as in the log and in the answer.
    pub decision: String,
    /// The request it was made for.
    pub request_id: String,
    /// When.
    pub at: Timestamp,
    /// Number of the rules that decided.
    pub generation: u64,
    /// User who asked.
    pub user: String,
    /// Project of the user's token.
    pub project: Option<String>,
    /// What the rules answered; `None` when the service refused by itself.
    pub outcome: Option<Outcome>,
    /// The policies that gave the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Why the service refused, when no policy did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// What was asked; `None` when the service refused by itself, or the facts were too large to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
}

impl Journal {
    /// Keeps an answer of the rules.
    pub(super) fn decided(
        &self,
        ctx: &Context,
        id: &str,
        (action, resource): (Action, &Resource<'_>),
        outcome: Outcome,
        policies: &[String],
    ) {
        let question = serde_json::to_vec(&Question::of(&ctx.caller, action, resource)).unwrap_or_default();
        let kept = Recorded { outcome: Some(outcome), policies: policies.to_vec(), ..blank(ctx, id) };
        self.keep(Entry { kept, question });
    }

    /// Keeps a refusal that the service made by itself, such as that of a protected image; returns its id.
    pub fn refused(&self, ctx: &Context, reason: &str) -> String {
        let id = super::decision_id();
        let kept = Recorded { refusal: Some(reason.chars().take(QUESTION_MAX / 4).collect()), ..blank(ctx, &id) };
        self.keep(Entry { kept, question: Vec::new() });
        id
    }

    /// The newest refusals under the id of a decision or of a request, the oldest of them first.
    pub fn find(&self, id: &str) -> Vec<Recorded> {
        let ring = self.ring();
        let found = ring.entries.iter().rev().filter(|e| e.kept.decision == id || e.kept.request_id == id);
        let mut found: Vec<_> = found.take(FOUND_MAX).map(Entry::recorded).collect();
        found.reverse();
        found
    }

    /// The newest `count` refusals, the oldest of them first.
    pub fn last(&self, count: usize) -> Vec<Recorded> {
        let ring = self.ring();
        ring.entries.iter().skip(ring.entries.len().saturating_sub(count)).map(Entry::recorded).collect()
    }

    fn keep(&self, mut entry: Entry) {
        if entry.question.len() > QUESTION_MAX {
            entry.question = Vec::new();
        }
        let mut ring = self.ring();
        ring.bytes += entry.bytes();
        ring.entries.push_back(entry);
        while ring.entries.len() > ENTRIES_MAX || ring.bytes > BYTES_MAX {
            let Some(oldest) = ring.entries.pop_front() else { return };
            ring.bytes -= oldest.bytes();
        }
    }

    /// Entries are pushed and popped whole, so a thread that panicked left none half-written.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        self.question.len() + self.kept.refusal.as_ref().map_or(0, String::len)
    }

    fn recorded(&self) -> Recorded {
        Recorded { question: serde_json::from_slice(&self.question).ok(), ..self.kept.clone() }
    }
}

impl Recorded {
    /// What the rules answered, in words.
    #[must_use]
    pub fn verdict(&self) -> String {
        let outcome = self.outcome.map_or("refused", Outcome::as_str);
        match self.policies.as_slice() {
            [] => format!("generation {} answered {outcome}, by no policy", self.generation),
            ids => format!("generation {} answered {outcome}, by `{}`", self.generation, ids.join("`, `")),
        }
    }
}

fn blank(ctx: &Context, id: &str) -> Recorded {
    Recorded {
        decision: id.to_owned(),
        request_id: ctx.request_id.clone(),
        at: Timestamp::now(),
        generation: ctx.rules.generation,
        user: ctx.caller.user_id.clone(),
        project: ctx.caller.project_id.clone(),
        outcome: None,
        policies: Vec::new(),
        refusal: None,
        question: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        authz::{self, tests},
        image::Visibility,
    };

    #[test]
    fn a_denial_is_kept_with_what_was_asked_and_a_permit_is_not() {
        let ctx = tests::with_shipped("", &["reader"]);
        let image = tests::image(Some("blue"), Visibility::Private);
        authz::check(&ctx, Action::GetImage, Resource::Image(&image)).unwrap();
        let denial = authz::check(&ctx, Action::DeleteImage, Resource::Image(&image)).unwrap_err();
        let kept = ctx.journal.last(10);
        assert_eq!(kept.len(), 1);
        assert_eq!(ctx.journal.find(denial.decision().unwrap()), kept);
        assert_eq!(ctx.journal.find("req-test"), kept);
        let question = kept[0].question.as_ref().unwrap();
        assert_eq!(*question, Question::of(&ctx.caller, Action::DeleteImage, &Resource::Image(&image)));
    }

    #[test]
    fn number_and_bytes_are_bounded() {
        let ctx = tests::with_shipped("", &["reader"]);
        let first = ctx.journal.refused(&ctx, "first");
        let long = "x".repeat(QUESTION_MAX);
        for _ in 0..2_000 {
            ctx.journal.refused(&ctx, &long);
        }
        assert!(ctx.journal.find(&first).is_empty(), "the oldest goes first");
        assert!(ctx.journal.ring().bytes <= BYTES_MAX);
        for _ in 0..ENTRIES_MAX {
            ctx.journal.refused(&ctx, "short");
        }
        assert_eq!(ctx.journal.last(usize::MAX).len(), ENTRIES_MAX);
        assert_eq!(ctx.journal.ring().bytes, ENTRIES_MAX * "short".len());
        assert_eq!(ctx.journal.find(&ctx.request_id).len(), FOUND_MAX);
    }

    #[test]
    fn facts_that_are_too_large_are_left_out() {
        let ctx = tests::with_shipped("", &["reader"]);
        let mut image = tests::image(Some("blue"), Visibility::Private);
        image.properties.insert("big".into(), "x".repeat(QUESTION_MAX));
        authz::check(&ctx, Action::DeleteImage, Resource::Image(&image)).unwrap_err();
        let kept = ctx.journal.last(1);
        assert_eq!((kept[0].outcome, kept[0].question.is_none()), (Some(Outcome::Deny), true));
    }
}
