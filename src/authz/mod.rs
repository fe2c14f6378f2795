//! The gate: may this caller do this with that? Cedar policies decide; nothing else grants.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::{
    context::Context,
    error::{Error, Kind, Result},
    image::{Image, Member},
};

mod action;
pub mod cases;
mod classes;
mod decide;
pub mod diff;
mod entities;
mod explain;
mod grant;
mod kept;
mod names;
mod permit;
mod policies;
mod question;
mod record;
mod review;
mod shadow;
mod source;

pub use action::Action;
pub(crate) use classes::FILE as CLASSES_FILE;
pub use explain::{Answer, Clause, Explanation, Outcome, Ruling, answer, explain};
pub use grant::{Sight, sight};
pub use permit::Permit;
pub use policies::Policies;
pub use question::{ImageFacts, Principal, Question};
pub use record::{Journal, Recorded};
pub use review::review;
pub use shadow::{Difference, Report, Shadow};

/// What an action is asked for.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// The service as a whole: collections, discovery, administration.
    Service,
    /// An image, as it is (or as it would be, for `add_image`).
    Image(&'a Image),
    /// One membership of an image.
    Member(&'a Image, &'a Member),
    /// A custom property of an image.
    Property(&'a Image, &'a str),
    /// A store, for an image if one is at hand.
    Store(&'a StoreFacts, Option<&'a Image>),
    /// A namespace of metadata definitions, and what lies in it.
    Namespace(&'a NamespaceFacts),
}

/// What policies may know of a namespace of metadata definitions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamespaceFacts {
    /// Its name.
    pub name: String,
    /// The project that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// `public` or `private`.
    pub visibility: String,
}

/// What policies may know of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreFacts {
    /// Store id.
    pub id: String,
    /// `file`, `rbd` …
    #[serde(default)]
    pub kind: String,
    /// Operator's labels (`region`, `class` …), entity tags in Cedar.
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
}

/// Asks the rules of `ctx` and logs the decision.
///
/// # Errors
/// `Forbidden` with a decision id when the policies do not permit it; `Unavailable` when a policy errors
/// (an error would skip a `forbid`, so it never counts as permission).
pub fn check(ctx: &Context, action: Action, resource: Resource<'_>) -> Result<Permit> {
    let began = Instant::now();
    let id = decision_id();
    let verdict = decide::decide(&ctx.rules.policies, &ctx.caller, action, &resource).inspect_err(alarm);
    let outcome = match &verdict {
        Ok(v) if v.permitted => Outcome::Permit,
        Ok(_) => Outcome::Deny,
        Err(_) => Outcome::Fault,
    };
    let took = began.elapsed();
    if let Some(shadow) = &ctx.shadow {
        shadow.compare(ctx, action, &resource, &verdict);
    }
    metrics::counter!("fanlight_decisions_total", "action" => action.as_str(), "outcome" => outcome.as_str())
        .increment(1);
    metrics::histogram!("fanlight_decision_seconds").record(took.as_secs_f64());
    let policies = verdict.as_ref().map(|v| v.policies.as_slice()).unwrap_or_default();
    // Denials and changes are what operators look for; a line per permitted look is for those who ask for it.
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                target: "fanlight::decision",
                decision = %id,
                action = action.as_str(),
                resource = %resource,
                outcome = outcome.as_str(),
                ?policies,
                generation = ctx.rules.generation,
                user = %ctx.caller.user_id,
                project = ctx.project().unwrap_or_default(),
                roles = ?ctx.caller.roles,
                service_roles = ?ctx.caller.service_roles,
                latency_us = took.as_micros(),
                request_id = %ctx.request_id,
            )
        };
    }
    match outcome {
        Outcome::Permit if action.changes() => log!(info),
        Outcome::Permit => log!(debug),
        Outcome::Deny => log!(info),
        Outcome::Fault => log!(error),
    }
    ctx.journal.decided(ctx, &id, (action, &resource), outcome, policies);
    match verdict {
        Ok(v) if v.permitted => Ok(Permit::new(action, resource.image(), id)),
        Ok(_) => {
            Err(Error::forbidden(format!("You are not authorized to complete {action} action.")).with_decision(id))
        }
        Err(fault) => Err(fault.with_decision(id)),
    }
}

/// An id that was never used; ids sort by time.
fn decision_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// As [`check`] on an image that was loaded by id: a denial is `NotFound` unless the caller may `get_image`.
///
/// # Errors
/// As [`check`], or `NotFound` where the existence of the image stays hidden.
pub fn check_image(ctx: &Context, action: Action, image: &Image) -> Result<Permit> {
    let denial = match check(ctx, action, Resource::Image(image)) {
        Err(e) if e.kind() == Kind::Forbidden => e,
        other => return other,
    };
    if action != Action::GetImage && allows(ctx, Action::GetImage, Resource::Image(image))? {
        return Err(denial);
    }
    Err(denial.hidden_as(Error::not_found(format!("No image found with ID {}", image.id))))
}

/// Whether the rules permit it, without a log line and without proof: to filter rows of a list and to shape bodies.
///
/// # Errors
/// `Unavailable` when a policy errors.
pub fn allows(ctx: &Context, action: Action, resource: Resource<'_>) -> Result<bool> {
    let verdict = decide::decide(&ctx.rules.policies, &ctx.caller, action, &resource).inspect_err(alarm);
    if let Some(shadow) = &ctx.shadow {
        shadow.compare(ctx, action, &resource, &verdict);
    }
    verdict.map(|v| v.permitted)
}

/// Whether the rules permit `action` on each of the named properties of an image, in their order; as [`allows`], but
/// the caller and the image are described to the policies once.
///
/// # Errors
/// `Unavailable` when a policy errors.
pub fn allows_properties(ctx: &Context, action: Action, image: &Image, names: &[&str]) -> Result<Vec<bool>> {
    let permitted =
        decide::decide_properties(&ctx.rules.policies, &ctx.caller, action, image, names).inspect_err(alarm);
    if let Some(shadow) = &ctx.shadow {
        shadow.compare_properties(ctx, action, image, names, &permitted);
    }
    permitted
}

/// The rules in force could not be evaluated: no caller's fault, and the operator must know. Until the policy is mended,
/// whatever it looks at is refused to everybody.
fn alarm(error: &Error) {
    let cause = std::error::Error::source(error).and_then(|e| e.downcast_ref::<decide::Broken>());
    let policy = cause.map_or("none", |broken| broken.policy.as_str()).to_owned();
    tracing::error!(target: "fanlight::decision", policy, ?error, "the policies could not be evaluated");
    metrics::counter!("fanlight_decision_faults_total", "policy" => policy).increment(1);
}

impl Resource<'_> {
    fn image(&self) -> Option<&str> {
        match self {
            Self::Service | Self::Namespace(_) => None,
            Self::Image(image) | Self::Member(image, _) | Self::Property(image, _) => Some(&image.id),
            Self::Store(_, image) => image.map(|i| i.id.as_str()),
        }
    }
}

impl std::fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Service => f.write_str("service"),
            Self::Image(image) => write!(f, "image/{}", image.id),
            Self::Member(image, member) => write!(f, "image/{}/member/{}", image.id, member.member),
            Self::Property(image, name) => write!(f, "image/{}/property/{name}", image.id),
            Self::Store(store, _) => write!(f, "store/{}", store.id),
            Self::Namespace(namespace) => write!(f, "namespace/{}", namespace.name),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
