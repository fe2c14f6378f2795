//! What a caller may see, as a condition on images: the policies of `get_image` partially evaluated for the caller.

use std::sync::Arc;

use cedar_policy::{
    Context as Facts, Effect, Entities, PartialEntities, PartialEntityUid, PartialRequest, Policy, TpeResponse,
};

use super::{Action, Policies, decide, entities, policies::Kind};
use crate::{
    context::{Caller, Context},
    error::{Error, Result},
    image::query::{Condition, Grant},
};

mod translate;

/// Which images the caller may see (`get_image`).
///
/// # Errors
/// `Unavailable` when a policy errors whatever the image is.
pub fn grant(ctx: &Context) -> Result<Arc<Grant>> {
    let policies = &ctx.rules.policies;
    if let Some(grant) = policies.grants.of(&ctx.caller, |kept| kept.clone()) {
        return Ok(grant);
    }
    let project = ctx.project().filter(|p| !p.is_empty());
    let condition = condition(policies, &ctx.caller).inspect_err(super::alarm)?;
    let grant = Arc::new(Grant::new(&condition, project));
    policies.grants.of(&ctx.caller, |kept| *kept = Some(grant.clone()));
    Ok(grant)
}

fn condition(policies: &Policies, caller: &Caller) -> Result<Condition> {
    let slice = decide::find(policies, Action::GetImage, Kind::Image)?;
    if slice.unconditional.is_some() {
        return Ok(Condition::constant(true));
    }
    let schema = policies.schema();
    let (user, all) = entities::caller(caller)?;
    let all = Entities::from_entities(all, None).map_err(|e| decide::fault(&e, "none"))?;
    let known = PartialEntities::from_concrete(all, schema).map_err(|e| decide::fault(&e, "none"))?;
    let request = PartialRequest::new(
        PartialEntityUid::from_concrete(user),
        slice.action.clone(),
        PartialEntityUid::new(entities::type_name("Image")?, None),
        Some(Facts::empty()),
        schema,
    )
    .map_err(|e| decide::fault(&e, "none"))?;
    let response = slice.set.tpe(&request, &known, schema).map_err(|e| decide::fault(&e, "none"))?;
    permitted(&response, caller)
}

/// Some permit holds, and no forbid does.
fn permitted(response: &TpeResponse<'_>, caller: &Caller) -> Result<Condition> {
    if let Some(id) = response.error_permits().chain(response.error_forbids()).next() {
        return Err(decide::fault(&Error::internal("it fails for every image"), id.as_ref()));
    }
    let always = |some: bool| some.then(|| Condition::constant(true));
    let mut permits: Vec<Condition> = always(response.true_permits().next().is_some()).into_iter().collect();
    let mut forbids: Vec<Condition> = always(response.true_forbids().next().is_some()).into_iter().collect();
    for policy in response.residual_policies() {
        let condition = residual(&policy, caller);
        match policy.effect() {
            Effect::Permit => permits.push(condition),
            Effect::Forbid => forbids.push(condition),
        }
    }
    // A policy that cannot be translated may be one that errors, which a simpler form of the whole would hide.
    let (permits, forbids) = (permits.into_iter().collect(), forbids.into_iter().collect());
    Ok(Condition::All([Condition::Any(permits), Condition::Any(forbids).negated()].into()))
}

/// The condition of a residual policy, which has nothing but one `when` clause.
fn residual(policy: &Policy, caller: &Caller) -> Condition {
    match policy.to_pst() {
        Ok(tree) => {
            let clauses = tree.body().clauses().iter();
            Condition::All(clauses.map(|clause| translate::clause(clause, caller)).collect())
        }
        Err(_) => Condition::Unknown,
    }
}

#[cfg(test)]
mod tests;
