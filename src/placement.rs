//! Placement: which store takes the data of an image, in order, and why the others do not.
//!
//! Cedar says which stores a project may use; what is full, down or draining is left out; plug-ins rank the rest, each
//! seeing only what those before it accepted; a plug-in that fails is replaced by the built-in ranking, and the plan
//! says so. A plug-in can so never bring in a store that policy or state keeps out.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{
    authz::{self, Action, Resource, StoreFacts},
    config::StoreState,
    context::Context,
    error::{Error, Kind, Result},
    image::Image,
    store::Entry,
};

mod builtin;
mod question;
#[cfg(test)]
mod tests;

/// Seconds after which a client may try again when every store is down.
const RETRY: Duration = Duration::from_secs(30);

/// A store as placement sees it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// What policies see too.
    pub facts: StoreFacts,
    /// The operator's weight.
    pub weight: i32,
    /// Takes part or not.
    pub state: StoreState,
    /// The last probe went well.
    pub healthy: bool,
    /// Bytes in all; 0 when not known.
    pub total: u64,
    /// Bytes free.
    pub free: u64,
    /// Uploads under way.
    pub in_flight: u32,
    /// Microseconds of the last answers.
    pub latency_us: u32,
}

impl Candidate {
    /// The store as it is now.
    pub fn of(entry: &Entry) -> Self {
        let figures = entry.figures();
        Self {
            facts: entry.facts(),
            weight: entry.config().weight,
            state: figures.state,
            healthy: figures.healthy,
            total: figures.total,
            free: figures.free,
            in_flight: figures.in_flight,
            latency_us: figures.latency_us,
        }
    }
}

/// What is to be placed.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The image.
    pub image: &'a Image,
    /// Bytes, if known.
    pub size: Option<u64>,
    /// The store that the client names.
    pub explicit: Option<&'a str>,
}

/// The outcome, with a reason for every store.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Ids of the stores to try, best first.
    pub ranked: Vec<String>,
    /// What was said of each store.
    pub verdicts: Vec<Verdict>,
    /// Who ranked: plug-ins with their digests, `built-in`, or `client`.
    pub decided_by: String,
    /// Why the built-in ranking stood in for a plug-in.
    pub fallback: Option<String>,
}

/// What was said of one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Store id.
    pub store: String,
    /// May take the data.
    pub accepted: bool,
    /// 0 to 1000, larger is better.
    pub score: u32,
    /// One word.
    pub code: String,
    /// One sentence.
    pub text: String,
    /// The code is a guest's word: it may read like one of the host's and must not be taken for it.
    #[serde(skip)]
    from_plugin: bool,
}

impl Verdict {
    fn rejected(store: &str, code: &str, text: impl Into<String>) -> Self {
        Self {
            store: store.into(),
            accepted: false,
            score: 0,
            code: code.into(),
            text: text.into(),
            from_plugin: false,
        }
    }
}

/// Ranks `candidates` for `request`.
///
/// # Errors
/// `Invalid` for an explicit store that does not exist, `Forbidden` when policy permits none (or not that one),
/// `TooLarge` when those that are permitted are full, `Unavailable` when they are down, `Conflict` when plug-ins turn
/// down all that could.
pub fn plan(ctx: &Context, request: &Request<'_>, candidates: &[Candidate]) -> Result<Plan> {
    let began = Instant::now();
    let mut verdicts = Vec::with_capacity(candidates.len());
    let mut open: Vec<&Candidate> = Vec::with_capacity(candidates.len());
    if let Some(wish) = request.explicit
        && !known(ctx, candidates)?.contains(&wish)
    {
        return Err(unknown_store(ctx, candidates, wish));
    }
    for candidate in candidates {
        match objection(ctx, request, candidate)? {
            Some(verdict) => verdicts.push(verdict),
            None => open.push(candidate),
        }
    }
    if open.is_empty() {
        return Err(named(ctx, request, candidates, refusal(request, &verdicts, &known(ctx, candidates)?)));
    }
    let mut plan = Plan { ranked: Vec::new(), verdicts, decided_by: "client".into(), fallback: None };
    match request.explicit {
        Some(wish) => plan.take(vec![accepted(wish, 1000, "explicit", "named by the client")]),
        None => rank(ctx, request, open, &mut plan),
    }
    log(ctx, request, &plan, began.elapsed());
    if plan.ranked.is_empty() {
        return Err(refusal(request, &plan.verdicts, &known(ctx, candidates)?));
    }
    Ok(plan)
}

/// Ids of the stores that the caller may know of: no text for the caller names another.
fn known<'a>(ctx: &Context, candidates: &'a [Candidate]) -> Result<Vec<&'a str>> {
    let mut known = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        if authz::allows(ctx, Action::SeeStore, Resource::Store(&candidate.facts, None))? {
            known.push(candidate.facts.id.as_str());
        }
    }
    Ok(known)
}

/// Why a store is out before anybody ranks.
fn objection(ctx: &Context, request: &Request<'_>, c: &Candidate) -> Result<Option<Verdict>> {
    let id = &c.facts.id;
    if request.explicit.is_some_and(|wish| wish != *id) {
        return Ok(Some(Verdict::rejected(id, "not-chosen", "the client names another store")));
    }
    if !authz::allows(ctx, Action::PlaceImage, Resource::Store(&c.facts, Some(request.image)))? {
        return Ok(Some(Verdict::rejected(id, "not-permitted", "policy `place_image` does not permit it")));
    }
    let state = match c.state {
        StoreState::Up => None,
        StoreState::Draining => Some("draining"),
        StoreState::ReadOnly => Some("read-only"),
    };
    Ok(match state {
        Some(state) => Some(Verdict::rejected(id, state, format!("the store is {state}"))),
        None if !c.healthy => Some(Verdict::rejected(id, "down", "the store does not answer")),
        // A total of 0 says that the store does not know its room.
        None if c.total > 0 && (c.free == 0 || request.size.is_some_and(|size| size > c.free)) => {
            Some(Verdict::rejected(id, "full", format!("{} bytes free", c.free)))
        }
        None => None,
    })
}

/// Lets every plug-in narrow and rank what the one before it left.
fn rank(ctx: &Context, request: &Request<'_>, mut open: Vec<&Candidate>, plan: &mut Plan) {
    let plugins = ctx.rules.plugins.placement();
    let mut judged = builtin::rank(&open);
    let mut deciders: Vec<String> = Vec::new();
    for plugin in plugins {
        if open.is_empty() {
            break;
        }
        match question::ask(plugin, ctx, request, &open) {
            Ok(verdicts) => {
                deciders.push(plugin.id());
                let (yes, no): (Vec<_>, Vec<_>) = verdicts.into_iter().partition(|v| v.accepted);
                plan.verdicts.extend(no);
                open.retain(|c| yes.iter().any(|v| v.store == c.facts.id));
                judged = yes;
            }
            Err(error) => {
                tracing::warn!(plugin = plugin.name(), %error, image.id = request.image.id, "plug-in failed, built-in ranking");
                metrics::counter!("fanlight_placement_fallback_total", "plugin" => plugin.name().to_owned())
                    .increment(1);
                let earlier = plan.fallback.take().map_or_else(String::new, |text| format!("{text}; "));
                plan.fallback = Some(format!("{earlier}{}: {error}", plugin.name()));
                deciders.push("built-in".into());
                judged = builtin::rank(&open);
            }
        }
    }
    deciders.dedup();
    plan.decided_by = if deciders.is_empty() { "built-in".into() } else { deciders.join(", ") };
    plan.take(judged);
}

impl Plan {
    fn take(&mut self, mut accepted: Vec<Verdict>) {
        // Stable: equal scores keep the order that the ranking gave.
        accepted.sort_by_key(|v| std::cmp::Reverse(v.score));
        self.ranked = accepted.iter().map(|v| v.store.clone()).collect();
        self.verdicts.splice(0..0, accepted);
    }
}

fn accepted(store: &str, score: u32, code: &str, text: &str) -> Verdict {
    Verdict { store: store.into(), accepted: true, score, code: code.into(), text: text.into(), from_plugin: false }
}

/// The text is the same for a store that is not there and for one that the caller may not know of; of the latter, the
/// denial is kept for the operator.
fn unknown_store(ctx: &Context, candidates: &[Candidate], id: &str) -> Error {
    let unknown = Error::invalid(format!("Invalid store identifier: {id}"));
    let hidden = candidates.iter().find(|c| c.facts.id == id);
    let denial = hidden.and_then(|c| authz::check(ctx, Action::SeeStore, Resource::Store(&c.facts, None)).err());
    match denial {
        Some(denial) => denial.hidden_as(unknown),
        None => unknown,
    }
}

/// No store is left. The text speaks only of stores that policy permits and shows; the others stay out of it.
fn refusal(request: &Request<'_>, verdicts: &[Verdict], known: &[&str]) -> Error {
    let host = |v: &Verdict, codes: &[&str]| !v.from_plugin && codes.contains(&v.code.as_str());
    let permitted: Vec<_> = verdicts.iter().filter(|v| !host(v, &["not-permitted", "not-chosen"])).collect();
    if permitted.is_empty() {
        return match request.explicit {
            Some(wish) => Error::forbidden(format!("You are not authorized to place this image in store {wish}.")),
            None => Error::forbidden("You are not authorized to place this image in any store."),
        };
    }
    let shown = permitted.iter().filter(|v| known.contains(&v.store.as_str()));
    let reasons: Vec<_> = shown.map(|v| format!("{}: {}", v.store, v.text)).collect();
    let text = format!("No store takes the image. {}", reasons.join("; "));
    let text = text.trim_end();
    if permitted.iter().all(|v| host(v, &["full"])) {
        Error::new(Kind::TooLarge, text)
    } else if permitted.iter().any(|v| host(v, &["down", "draining", "read-only", "full"])) {
        Error::unavailable(text, RETRY)
    } else {
        // Plug-ins turned all of them down: final for this image.
        Error::conflict(text)
    }
}

/// Asks once more by the logged way, so that a refusal by policy carries a decision id that the operator finds.
fn named(ctx: &Context, request: &Request<'_>, candidates: &[Candidate], refusal: Error) -> Error {
    if refusal.kind() != Kind::Forbidden {
        return refusal;
    }
    let asked = candidates.iter().filter(|c| request.explicit.is_none_or(|wish| wish == c.facts.id));
    let ask =
        |c: &Candidate| authz::check(ctx, Action::PlaceImage, Resource::Store(&c.facts, Some(request.image))).err();
    let denials: Vec<Error> = asked.filter_map(ask).collect();
    match denials.first().and_then(Error::decision) {
        Some(id) => refusal.with_decision(id),
        None => refusal,
    }
}

fn log(ctx: &Context, request: &Request<'_>, plan: &Plan, took: Duration) {
    let first = plan.ranked.first().map_or("none", String::as_str);
    metrics::counter!("fanlight_placement_choices_total", "store" => first.to_owned()).increment(1);
    tracing::info!(
        target: "fanlight::placement",
        request_id = ctx.request_id,
        generation = ctx.rules.generation,
        image.id = request.image.id,
        store = first,
        decided_by = plan.decided_by,
        fallback = plan.fallback,
        latency_us = took.as_micros(),
        verdicts = ?plan.verdicts.iter().map(|v| format!("{} {} {}", v.store, v.score, v.code)).collect::<Vec<_>>(),
        "placed"
    );
}
