//! The last refusals, kept so that each can be explained: what was asked, by whom, and under which rules. Beside them
//! a sample of what was permitted, so that a change of policies can be held against both.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Action, Outcome, Question, Resource};
use crate::context::Context;

/// Refusals kept at most, and bytes of all their questions.
const REFUSALS: Bounds = Bounds { entries: 10_000, bytes: 16 << 20 };
/// The same of permits.
const PERMITS: Bounds = Bounds { entries: 5_000, bytes: 8 << 20 };
/// Kinds of permits that are told apart, and seconds until one of a kind is kept again.
const KINDS: usize = 1024;
const AGAIN_SECONDS: i64 = 60;
/// Images of which each kind is kept; which one falls to which is chance.
const IMAGES: u64 = 4;
/// Bytes of one question; a larger one is kept without its facts.
const QUESTION_MAX: usize = 64 << 10;

/// Refusals under one id at most: callers choose the ids of requests, and may choose the same one for all.
const FOUND_MAX: usize = 50;

/// The last refusals of this process and a sample of its permits, the newest last; bounded in number and in bytes.
#[derive(Default)]
pub struct Journal {
    refusals: Mutex<Ring>,
    permits: Mutex<Ring>,
    sampler: Sampler,
}

#[derive(Default)]
struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
}

#[derive(Clone, Copy)]
struct Bounds {
    entries: usize,
    bytes: usize,
}

/// Chooses the permits that are kept: one a minute of each kind, so that a busy service costs no more than a quiet one
/// and the rare kinds are not drowned. What comes between two threads may be kept twice or not at all.
struct Sampler {
    hasher: RandomState,
    /// The kind that was kept last in this place and the minute, hashed together.
    kinds: Box<[AtomicU64]>,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { hasher: RandomState::new(), kinds: (0..KINDS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Sampler {
    fn takes(&self, ctx: &Context, action: Action, resource: &Resource<'_>, policies: &[String]) -> bool {
        let image = resource.image().map_or(0, |id| self.hasher.hash_one(id) % IMAGES);
        let kind = self.hasher.hash_one((action, &ctx.caller, policies, image));
        let minute = Timestamp::now().as_second() / AGAIN_SECONDS;
        let mark = self.hasher.hash_one((kind, minute));
        let place = usize::try_from(kind % KINDS as u64).ok().and_then(|place| self.kinds.get(place));
        place.is_some_and(|place| place.swap(mark, Ordering::Relaxed) != mark)
    }
}

struct Entry {
    kept: Recorded,
    /// The question as JSON: small, and its size is known.
    question: Vec<u8>,
}

/// One answer.
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
    /// Keeps an answer of the rules; of permits, some.
    pub(super) fn decided(
        &self,
        ctx: &Context,
        id: &str,
        (action, resource): (Action, &Resource<'_>),
        outcome: Outcome,
        policies: &[String],
    ) {
        let (ring, bounds) = match outcome {
            Outcome::Permit if !self.sampler.takes(ctx, action, resource, policies) => return,
            Outcome::Permit => (&self.permits, PERMITS),
            Outcome::Deny | Outcome::Fault => (&self.refusals, REFUSALS),
        };
        let question = serde_json::to_vec(&Question::of(&ctx.caller, action, resource)).unwrap_or_default();
        let kept = Recorded { outcome: Some(outcome), policies: policies.to_vec(), ..blank(ctx, id) };
        lock(ring).keep(Entry { kept, question }, bounds);
    }

    /// Keeps a refusal that the service made by itself, such as that of a protected image; returns its id.
    pub fn refused(&self, ctx: &Context, reason: &str) -> String {
        let id = super::decision_id();
        let kept = Recorded { refusal: Some(reason.chars().take(QUESTION_MAX / 4).collect()), ..blank(ctx, &id) };
        lock(&self.refusals).keep(Entry { kept, question: Vec::new() }, REFUSALS);
        id
    }

    /// The newest refusals under the id of a decision or of a request, the oldest of them first.
    pub fn find(&self, id: &str) -> Vec<Recorded> {
        let ring = lock(&self.refusals);
        let found = ring.entries.iter().rev().filter(|e| e.kept.decision == id || e.kept.request_id == id);
        let mut found: Vec<_> = found.take(FOUND_MAX).map(Entry::recorded).collect();
        found.reverse();
        found
    }

    /// The newest `count` of the refusals and of the permits that were kept, the oldest of them first.
    pub fn last(&self, count: usize) -> Vec<Recorded> {
        let newest = |ring: &Mutex<Ring>| -> Vec<Recorded> {
            let ring = lock(ring);
            ring.entries.iter().skip(ring.entries.len().saturating_sub(count)).map(Entry::recorded).collect()
        };
        let mut all = newest(&self.refusals);
        all.extend(newest(&self.permits));
        all.sort_by_key(|recorded| recorded.at);
        all.drain(..all.len().saturating_sub(count));
        all
    }
}

impl Ring {
    fn keep(&mut self, mut entry: Entry, bounds: Bounds) {
        if entry.question.len() > QUESTION_MAX {
            entry.question = Vec::new();
        }
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        while self.entries.len() > bounds.entries || self.bytes > bounds.bytes {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.bytes();
        }
    }
}

/// Entries are pushed and popped whole, so a thread that panicked left none half-written.
fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
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
        context::Caller,
        image::Visibility,
    };

    #[test]
    fn a_denial_is_kept_with_what_was_asked_and_found_by_its_ids() {
        let ctx = tests::with_shipped("", &["reader"]);
        let image = tests::image(Some("blue"), Visibility::Private);
        authz::check(&ctx, Action::GetImage, Resource::Image(&image)).unwrap();
        let denial = authz::check(&ctx, Action::DeleteImage, Resource::Image(&image)).unwrap_err();
        let kept = ctx.journal.find("req-test");
        assert_eq!(kept.len(), 1);
        assert_eq!(ctx.journal.find(denial.decision().unwrap()), kept);
        let question = kept[0].question.as_ref().unwrap();
        assert_eq!(*question, Question::of(&ctx.caller, Action::DeleteImage, &Resource::Image(&image)));
    }

    #[test]
    fn of_permits_one_of_a_kind_is_kept() {
        let ctx = tests::with_shipped("", &["reader"]);
        let image = tests::image(Some("blue"), Visibility::Private);
        for _ in 0..1_000 {
            authz::check(&ctx, Action::GetImage, Resource::Image(&image)).unwrap();
        }
        authz::check(&ctx, Action::GetImages, Resource::Service).unwrap();
        let kept = ctx.journal.last(usize::MAX);
        let of = |action| kept.iter().filter(|k| k.question.as_ref().is_some_and(|q| q.action == action)).count();
        // A minute may end in between.
        assert!((1..=2).contains(&of(Action::GetImage)) && (1..=2).contains(&of(Action::GetImages)), "{kept:?}");
        assert!(kept.iter().all(|k| k.outcome == Some(Outcome::Permit)));
        for n in 0..20_000 {
            let other = Context { caller: Caller { user_id: format!("u{n}"), ..ctx.caller.clone() }, ..ctx.clone() };
            other.journal.decided(&other, "id", (Action::GetImages, &Resource::Service), Outcome::Permit, &[]);
        }
        assert_eq!(ctx.journal.last(usize::MAX).len(), PERMITS.entries);
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
        assert!(lock(&ctx.journal.refusals).bytes <= REFUSALS.bytes);
        for _ in 0..REFUSALS.entries {
            ctx.journal.refused(&ctx, "short");
        }
        assert_eq!(ctx.journal.last(usize::MAX).len(), REFUSALS.entries);
        assert_eq!(lock(&ctx.journal.refusals).bytes, REFUSALS.entries * "short".len());
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
