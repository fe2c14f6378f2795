//! One evaluation. An error in any policy is a fault: Cedar would skip that policy, and a skipped `forbid` permits.

use std::{collections::HashMap, time::Duration};

use cedar_policy::{
    AuthorizationError, Authorizer, Context as Facts, Decision, Entities, Entity, EntityUid, PolicySet, Request,
};

use super::{
    Action, Policies, Resource, entities,
    kept::Weighed,
    policies::{Kind, Slice},
};
use crate::{
    context::Caller,
    error::{Error, Result},
    image::Image,
};

/// Answer, and the ids of the policies that gave it.
pub(super) struct Verdict {
    pub(super) permitted: bool,
    pub(super) policies: Vec<String>,
}

pub(super) fn decide(policies: &Policies, caller: &Caller, action: Action, resource: &Resource<'_>) -> Result<Verdict> {
    let slice = find(policies, action, entities::kind(resource))?;
    if let Some(id) = &slice.unconditional {
        return Ok(Verdict { permitted: true, policies: vec![id.clone()] });
    }
    let Posed { request, entities } = pose(policies, slice, caller, resource)?;
    evaluate(&slice.set, &request, &entities)
}

/// Decides whether the caller may see an image by what partial evaluation for this caller has left of the policies.
pub(super) fn decide_left(policies: &Policies, left: &PolicySet, caller: &Caller, image: &Image) -> Result<bool> {
    let slice = find(policies, Action::GetImage, Kind::Image)?;
    let Posed { request, entities } = pose(policies, slice, caller, &Resource::Image(image))?;
    evaluate(left, &request, &entities).map(|verdict| verdict.permitted)
}

/// A question in Cedar's terms.
pub(super) struct Posed {
    pub(super) request: Request,
    pub(super) entities: Entities,
}

/// Puts a question to a slice into Cedar's terms.
pub(super) fn pose(policies: &Policies, slice: &Slice, caller: &Caller, resource: &Resource<'_>) -> Result<Posed> {
    let Known { user, entities } = known(policies, slice, caller)?;
    let asked = entities::asked(resource, &policies.classes)?;
    let entities = with(policies, entities, asked.entities)?;
    Ok(Posed { request: request(policies, slice, user, asked.uid, asked.facts)?, entities })
}

/// Decides an action on many properties of one image, with one set of entities for all of them.
pub(super) fn decide_properties(
    policies: &Policies,
    caller: &Caller,
    action: Action,
    image: &Image,
    names: &[&str],
) -> Result<Vec<bool>> {
    let slice = find(policies, action, Kind::Property)?;
    if names.is_empty() || slice.unconditional.is_some() {
        return Ok(vec![true; names.len()]);
    }
    if !slice.by_name {
        return evaluate_properties(policies, slice, caller, image, names);
    }
    let known = policies.names.of(caller, |kept| kept.known(action, names));
    let unknown: Vec<&str> = names.iter().zip(&known).filter(|(_, k)| k.is_none()).map(|(name, _)| *name).collect();
    if unknown.is_empty() {
        return Ok(known.into_iter().flatten().collect());
    }
    let learnt = evaluate_properties(policies, slice, caller, image, &unknown)?;
    policies.names.of(caller, |kept| kept.learn(action, unknown.into_iter().zip(learnt.iter().copied())));
    let mut learnt = learnt.into_iter();
    Ok(known.into_iter().filter_map(|answer| answer.or_else(|| learnt.next())).collect())
}

fn evaluate_properties(
    policies: &Policies,
    slice: &Slice,
    caller: &Caller,
    image: &Image,
    names: &[&str],
) -> Result<Vec<bool>> {
    let Known { user, entities } = known(policies, slice, caller)?;
    let (image_uid, entity) = entities::image(image)?;
    let mut all = vec![entity];
    let mut uids = Vec::with_capacity(names.len());
    for name in names {
        let (it, entity) = entities::property(&image_uid, name, &policies.classes)?;
        uids.push(it);
        all.push(entity);
    }
    let entities = with(policies, entities, all)?;
    uids.into_iter()
        .map(|it| {
            let request = request(policies, slice, user.clone(), it, Facts::empty())?;
            evaluate(&slice.set, &request, &entities).map(|v| v.permitted)
        })
        .collect()
}

pub(super) fn find(policies: &Policies, action: Action, kind: Kind) -> Result<&Slice> {
    policies
        .slice(action, kind)
        .ok_or_else(|| Error::internal(format!("action `{action}` does not apply to `{}`", kind.as_str())))
}

/// A caller in Cedar's terms, for one action.
#[derive(Clone)]
pub(super) struct Known {
    user: EntityUid,
    /// The caller, their project, and the action with its groups.
    entities: Entities,
}

/// A caller in Cedar's terms, by action.
#[derive(Default)]
pub(super) struct Knowns(HashMap<EntityUid, Known>);

impl Weighed for Knowns {
    /// The caller's own words are counted with the caller; each action has the same few entities beside them.
    fn bytes(&self) -> usize {
        self.0.len() * 4096
    }
}

/// Worked out at the first question of a caller: it would cost as much as the evaluation each time.
fn known(policies: &Policies, slice: &Slice, caller: &Caller) -> Result<Known> {
    if let Some(known) = policies.callers.of(caller, |kept| kept.0.get(&slice.action).cloned()) {
        return Ok(known);
    }
    let (user, mut all) = entities::caller(caller)?;
    all.push(slice.action_entity.clone());
    let schema = cfg!(debug_assertions).then(|| policies.schema());
    let entities = Entities::from_entities(all, schema).map_err(|e| fault(&e, "none"))?;
    let known = Known { user, entities };
    policies.callers.of(caller, |kept| kept.0.insert(slice.action.clone(), known.clone()));
    Ok(known)
}

fn with(policies: &Policies, known: Entities, more: Vec<Entity>) -> Result<Entities> {
    let schema = cfg!(debug_assertions).then(|| policies.schema());
    known.add_entities(more, schema).map_err(|e| fault(&e, "none"))
}

fn request(policies: &Policies, slice: &Slice, user: EntityUid, resource: EntityUid, facts: Facts) -> Result<Request> {
    let schema = cfg!(debug_assertions).then(|| policies.schema());
    Request::new(user, slice.action.clone(), resource, facts, schema).map_err(|e| fault(&e, "none"))
}

fn evaluate(set: &PolicySet, request: &Request, entities: &Entities) -> Result<Verdict> {
    let response = Authorizer::new().is_authorized(request, set, entities);
    if let Some(AuthorizationError::PolicyEvaluationError(error)) = response.diagnostics().errors().next() {
        return Err(fault(error, error.policy_id().as_ref()));
    }
    Ok(Verdict {
        permitted: response.decision() == Decision::Allow,
        policies: response.diagnostics().reason().map(ToString::to_string).collect(),
    })
}

/// Why there is no answer: the cause of a fault, for the alarm.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Broken {
    /// The policy that cannot be evaluated; `none` when the question itself could not be put.
    pub(super) policy: String,
    text: String,
}

pub(super) fn fault(error: &dyn std::error::Error, policy: &str) -> Error {
    Error::unavailable("The rules of the service cannot be evaluated at the moment.", Duration::from_secs(5))
        .with_source(Broken { policy: policy.to_owned(), text: error.to_string() })
}
