//! The proof of a conversion: random questions, answered by Glance's rules and code as they are and by the policies.
//!
//! The sides share the parser only. A question that Glance permits and the policies deny must have one of the known reasons; one that the policies permit
//! and Glance denies is a defect of the conversion.

use std::{
    collections::BTreeMap,
    thread::{self, ScopedJoinHandle},
};

use rand::{SeedableRng, rngs::StdRng};

use super::{
    check::Check,
    convert::convert,
    glance::{Stricter, glance, rules_of},
    protections::Protections,
    questions::Words,
    rules::Rules,
    target::Target,
};
use crate::{
    authz::{self, Action, Outcome, Policies, Question},
    error::{Error, Result},
};

/// What the questions showed of one rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// Questions asked.
    pub asked: u64,
    /// Of which Glance permits.
    pub permitted: u64,
    /// Denied here, permitted there, and why.
    pub stricter: BTreeMap<Stricter, u64>,
    /// Answers that differ and have no known reason.
    pub differences: u64,
    /// The first of them.
    pub different: Option<Question>,
}

/// By the name of the action.
pub type Findings = BTreeMap<String, Finding>;

/// What a proof asks.
#[derive(Clone, Copy)]
pub struct Original<'a> {
    /// Glance's rules.
    pub rules: &'a Rules,
    /// Its property protections, if it has any.
    pub protections: Option<&'a Protections>,
}

/// Asks `count` random questions, the same for the same rules.
///
/// # Errors
/// When a question cannot be asked of the policies, which would be a defect.
pub fn prove(original: Original<'_>, policies: &Policies, count: u64) -> Result<Findings> {
    let prover = Prover::new(original, policies);
    let findings: Vec<Result<Findings>> = thread::scope(|scope| {
        let prover = &prover;
        // As many as there are, whatever the machine has, so that the questions are the same everywhere.
        let part = |n| scope.spawn(move || prover.ask(n as u64, (n as u64..count).step_by(PARTS)));
        let running: Vec<_> = (0..PARTS).map(part).collect();
        let joined = |part: ScopedJoinHandle<'_, _>| part.join().unwrap_or_else(|_| Err(Error::internal("a panic")));
        running.into_iter().map(joined).collect()
    });
    let mut all = Findings::new();
    for part in findings {
        for (name, finding) in part? {
            all.entry(name).or_default().add(finding);
        }
    }
    Ok(all)
}

/// Threads that ask.
const PARTS: usize = 8;
/// Questions about properties for one about each rule.
const PROPERTIES: usize = 8;

impl Finding {
    fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.permitted += other.permitted;
        self.differences += other.differences;
        for (reason, count) in other.stricter {
            *self.stricter.entry(reason).or_default() += count;
        }
        self.different = self.different.take().or(other.different);
    }
}

struct Prover<'a> {
    original: Original<'a>,
    policies: &'a Policies,
    words: Words,
    /// Each with why it is stricter, if it is so whatever is asked.
    actions: Vec<(Action, Option<Stricter>)>,
}

impl<'a> Prover<'a> {
    fn new(original: Original<'a>, policies: &'a Policies) -> Self {
        let rules = original.rules;
        let converts = |name: &str| rules.resolved(name).is_ok_and(|check| convert(&check, Target::Image).is_ok());
        let always = |action: Action| {
            let names = rules_of(action).into_iter();
            let named = names.clone().any(|name| rules.resolved(name).is_ok_and(|check| has_named_role(&check)));
            let refused = names.skip(1).any(|name| !converts(name));
            if refused { Some(Stricter::Refused) } else { named.then_some(Stricter::RoleCase) }
        };
        let mut actions: Vec<_> = rules
            .iter()
            .filter(|(name, _)| rules.resolved(name).is_ok())
            .filter_map(|(name, _)| name.parse().ok())
            .map(|action| (action, always(action)))
            .collect();
        let mut words = Words::of(rules);
        if let Some(protections) = original.protections {
            use Action::{CreateProperty, DeleteProperty, ReadProperty, UpdateProperty};
            protections.roles().for_each(|role| words.add_role(role));
            let properties = [CreateProperty, ReadProperty, UpdateProperty, DeleteProperty];
            // Often, for there may be many sections.
            actions.extend(properties.iter().cycle().take(PROPERTIES * properties.len()).map(|action| (*action, None)));
        }
        Self { original, policies, words, actions }
    }

    fn ask(&self, seed: u64, numbers: impl Iterator<Item = u64>) -> Result<Findings> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut findings: BTreeMap<Action, Finding> = BTreeMap::new();
        for number in numbers {
            let turn = usize::try_from(number).unwrap_or_default() % self.actions.len().max(1);
            let Some((action, always)) = self.actions.get(turn).copied() else { break };
            let question = self.question(&mut rng, action);
            let there = self.there(&question);
            let here = authz::answer(self.policies, &question)?.outcome == Outcome::Permit;
            let finding = findings.entry(action).or_default();
            finding.asked += 1;
            finding.permitted += u64::from(there);
            let always = always.filter(|reason| *reason != Stricter::RoleCase || shouts(&question));
            let reason = Stricter::of(&question).or(always);
            match (there, here, reason) {
                (true, false, Some(reason)) => *finding.stricter.entry(reason).or_default() += 1,
                (one, other, _) if one != other => {
                    finding.differences += 1;
                    finding.different.get_or_insert(question);
                }
                _ => {}
            }
        }
        Ok(findings.into_iter().map(|(action, finding)| (action.as_str().to_owned(), finding)).collect())
    }

    fn question(&self, rng: &mut StdRng, action: Action) -> Question {
        match self.original.protections {
            Some(protections) if is_of_properties(action) => {
                let name = protections.name(rng);
                self.words.of_property(rng, action, name)
            }
            _ => self.words.question(rng, action),
        }
    }

    fn there(&self, question: &Question) -> bool {
        match self.original.protections {
            Some(protections) if is_of_properties(question.action) => protections.permit(self.original.rules, question),
            _ => glance(self.original.rules, question).unwrap_or_default(),
        }
    }
}

fn is_of_properties(action: Action) -> bool {
    action.as_str().ends_with("_property") && !action.as_str().contains("metadef")
}

fn has_named_role(check: &Check) -> bool {
    match check {
        Check::Role(name) => name.contains('%'),
        Check::Not(inner) => has_named_role(inner),
        Check::All(parts) | Check::Any(parts) => parts.iter().any(has_named_role),
        _ => false,
    }
}

/// Whether some text of the image is not in lower case.
fn shouts(question: &Question) -> bool {
    question.image.as_ref().is_some_and(|image| {
        let texts = [&image.name, &image.disk_format, &image.container_format].into_iter().flatten();
        texts.chain(image.properties.values()).any(|text| *text != text.to_lowercase())
    })
}
