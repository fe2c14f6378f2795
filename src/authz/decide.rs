//! One evaluation. An error in any policy is a fault: Cedar would skip that policy, and a skipped `forbid` permits.

use std::time::Duration;

use cedar_policy::{Authorizer, Context as Facts, Decision, Entities, Entity, EntityUid, Request};

use super::{
    Action, Policies, Resource, entities,
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
    let (user, mut all) = entities::caller(caller)?;
    let asked = entities::asked(resource)?;
    all.extend(asked.entities);
    let all = gather(policies, slice, all)?;
    evaluate(policies, slice, user, asked.uid, asked.facts, &all)
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
    let (user, mut all) = entities::caller(caller)?;
    let (image_uid, entity) = entities::image(image)?;
    all.push(entity);
    let mut uids = Vec::with_capacity(names.len());
    for name in names {
        let (it, entity) = entities::property(&image_uid, name)?;
        uids.push(it);
        all.push(entity);
    }
    let all = gather(policies, slice, all)?;
    uids.into_iter()
        .map(|it| evaluate(policies, slice, user.clone(), it, Facts::empty(), &all).map(|v| v.permitted))
        .collect()
}

pub(super) fn find(policies: &Policies, action: Action, kind: Kind) -> Result<&Slice> {
    policies
        .slice(action, kind)
        .ok_or_else(|| Error::internal(format!("action `{action}` does not apply to `{}`", kind.as_str())))
}

fn gather(policies: &Policies, slice: &Slice, mut all: Vec<Entity>) -> Result<Entities> {
    all.push(slice.action_entity.clone());
    let schema = cfg!(debug_assertions).then(|| policies.schema());
    Entities::from_entities(all, schema).map_err(|e| fault(&e))
}

fn evaluate(
    policies: &Policies,
    slice: &Slice,
    user: EntityUid,
    resource: EntityUid,
    facts: Facts,
    all: &Entities,
) -> Result<Verdict> {
    let schema = cfg!(debug_assertions).then(|| policies.schema());
    let request = Request::new(user, slice.action.clone(), resource, facts, schema).map_err(|e| fault(&e))?;
    let response = Authorizer::new().is_authorized(&request, &slice.set, all);
    if let Some(error) = response.diagnostics().errors().next() {
        return Err(fault(error));
    }
    Ok(Verdict {
        permitted: response.decision() == Decision::Allow,
        policies: response.diagnostics().reason().map(ToString::to_string).collect(),
    })
}

pub(super) fn fault(error: &dyn std::error::Error) -> Error {
    Error::unavailable("The rules of the service cannot be evaluated at the moment.", Duration::from_secs(5))
        .with_source(error.to_string())
}
