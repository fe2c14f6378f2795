//! Why an answer was given: the policies that decided, and for a denial that none decided, the permit that came
//! nearest and the clauses of it that are false.

use std::fmt;

use cedar_policy::{Authorizer, Decision, Effect, Policy, PolicyId};
use serde::{Deserialize, Serialize};

use super::{
    Policies, Question,
    decide::{self, Posed},
    entities,
    policies::Slice,
};
use crate::error::{Error, Result};

mod clause;

pub use clause::Clause;

/// What the policies answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Yes.
    Permit,
    /// No.
    Deny,
    /// A policy cannot be evaluated, so there is no answer.
    Fault,
}

impl Outcome {
    /// The word in the decision log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
            Self::Fault => "fault",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An answer, and the policies that gave it, sorted by id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Answer {
    /// What it is.
    pub outcome: Outcome,
    /// The permits that matched, the forbids that matched, or the policies that could not be evaluated.
    pub policies: Vec<String>,
}

/// Why an answer is as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The question.
    pub question: Question,
    /// The answer.
    pub outcome: Outcome,
    /// The reason in one line.
    pub reason: String,
    /// The policies that gave the answer.
    pub deciding: Vec<Ruling>,
    /// When nothing permits: the permit that fails by the fewest clauses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Ruling>,
}

/// One policy, held against the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// Its `@id`.
    pub id: String,
    /// `permit` or `forbid`.
    pub effect: String,
    /// The file it is in.
    pub file: String,
    /// The line where it begins.
    pub line: usize,
    /// Its text.
    pub text: String,
    /// Its parts, each with its value.
    pub clauses: Vec<Clause>,
}

/// What `policies` answer to `question`. Logs nothing and counts nothing.
///
/// # Errors
/// `Invalid` when the question cannot be asked.
pub fn answer(policies: &Policies, question: &Question) -> Result<Answer> {
    let held = question.hold()?;
    let slice = slice(policies, question, &held.resource())?;
    let posed = decide::pose(policies, slice, &held.caller, &held.resource()).map_err(unaskable)?;
    Ok(ask(slice, &posed).0)
}

/// Why `policies` answer `question` as they do.
///
/// # Errors
/// `Invalid` when the question cannot be asked.
pub fn explain(policies: &Policies, question: &Question) -> Result<Explanation> {
    let held = question.hold()?;
    let slice = slice(policies, question, &held.resource())?;
    let posed = decide::pose(policies, slice, &held.caller, &held.resource()).map_err(unaskable)?;
    let (answer, errors) = ask(slice, &posed);
    let deciding: Vec<Ruling> = answer
        .policies
        .iter()
        .filter_map(|id| slice.set.policy(&PolicyId::new(id)))
        .map(|policy| ruling(policies, policy, &posed))
        .collect::<Result<_>>()?;
    let nearest = match answer.outcome {
        Outcome::Deny if deciding.is_empty() => nearest(policies, slice, &posed)?,
        _ => None,
    };
    let reason = match (answer.outcome, &nearest) {
        (Outcome::Permit, _) => format!("permitted by {}", names(&deciding)),
        (Outcome::Fault, _) => format!("{} cannot be evaluated: {errors}", names(&deciding)),
        (Outcome::Deny, _) if !deciding.is_empty() => format!("forbidden by {}", names(&deciding)),
        (Outcome::Deny, Some(near)) => format!("no policy permits it; {}", near.shortfall()),
        (Outcome::Deny, None) => {
            let kind = entities::kind(&held.resource()).as_str();
            format!("no policy permits `{}` on `{kind}` to anybody", question.action)
        }
    };
    Ok(Explanation { question: question.clone(), outcome: answer.outcome, reason, deciding, nearest })
}

fn unaskable(error: Error) -> Error {
    Error::invalid(format!(
        "it cannot be asked: {}",
        std::error::Error::source(&error).map_or_else(String::new, |e| e.to_string())
    ))
}

fn slice<'p>(policies: &'p Policies, question: &Question, resource: &super::Resource<'_>) -> Result<&'p Slice> {
    let kind = entities::kind(resource);
    decide::find(policies, question.action, kind).map_err(|_| {
        let text = format!("`{}` is not asked of `{}`: see the reference of actions", question.action, kind.as_str());
        Error::invalid(text)
    })
}

/// The answer, and the errors of policies that cannot be evaluated.
fn ask(slice: &Slice, posed: &Posed) -> (Answer, String) {
    let response = Authorizer::new().is_authorized(&posed.request, &slice.set, &posed.entities);
    let mut errors = Vec::new();
    let mut broken = Vec::new();
    for cedar_policy::AuthorizationError::PolicyEvaluationError(error) in response.diagnostics().errors() {
        broken.push(error.policy_id().to_string());
        errors.push(error.inner().to_string());
    }
    let (outcome, mut policies) = match response.decision() {
        _ if !broken.is_empty() => (Outcome::Fault, broken),
        decision => {
            let outcome = if decision == Decision::Allow { Outcome::Permit } else { Outcome::Deny };
            (outcome, response.diagnostics().reason().map(ToString::to_string).collect())
        }
    };
    policies.sort();
    (Answer { outcome, policies }, errors.join("; "))
}

/// Of permits that fail by equally few clauses, the one of which more holds: it is the more specific one.
fn nearest(policies: &Policies, slice: &Slice, posed: &Posed) -> Result<Option<Ruling>> {
    let permits = slice.set.policies().filter(|p| p.effect() == Effect::Permit);
    let rulings: Vec<Ruling> = permits.map(|p| ruling(policies, p, posed)).collect::<Result<_>>()?;
    Ok(rulings.into_iter().min_by_key(|r| {
        let failing = r.failing().count();
        (failing, std::cmp::Reverse(r.clauses.len() - failing), r.id.clone())
    }))
}

fn ruling(policies: &Policies, policy: &Policy, posed: &Posed) -> Result<Ruling> {
    let place = policies.place(policy);
    Ok(Ruling {
        id: policy.id().to_string(),
        effect: policy.effect().to_string(),
        file: place.map(|p| p.file.clone()).unwrap_or_default(),
        line: place.map_or(0, |p| p.line),
        text: policy.to_cedar().unwrap_or_default(),
        clauses: clause::clauses(policy, posed)?,
    })
}

fn names(rulings: &[Ruling]) -> String {
    let names: Vec<_> = rulings.iter().map(Ruling::name).collect();
    names.join(", ")
}

impl Ruling {
    /// The clauses that are false or have no value.
    pub fn failing(&self) -> impl Iterator<Item = &Clause> {
        self.clauses.iter().filter(|c| c.holds != Some(true))
    }

    /// Id, file and line.
    #[must_use]
    pub fn name(&self) -> String {
        format!("`{}` ({}:{})", self.id, self.file, self.line)
    }

    fn shortfall(&self) -> String {
        let failing: Vec<String> = self.failing().map(ToString::to_string).collect();
        format!("nearest is {}, of which is false: {}", self.name(), failing.join("; "))
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)?;
        let values: Vec<_> = self.values.iter().map(|(what, value)| format!("`{what}` is `{value}`")).collect();
        if values.is_empty() { Ok(()) } else { write!(f, " ({})", values.join(", ")) }
    }
}

#[cfg(test)]
mod tests;
