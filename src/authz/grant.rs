//! What a caller may see, as a condition on images: the policies of `get_image` partially evaluated for the caller.

use std::{collections::HashSet, sync::Arc};

use cedar_policy::{
    Context as Facts, Effect, Entities, PartialEntities, PartialEntityUid, PartialRequest, Policy, PolicySet,
    TpeResponse,
};

use super::{Action, Policies, Resource, decide, entities, kept::Weighed, policies::Kind};
use crate::{
    context::{Caller, Context},
    error::{Error, Result},
    image::{
        Image,
        query::{Condition, Grant},
    },
};

mod translate;

/// Which images a caller may see (`get_image`).
#[derive(Debug, Clone)]
pub struct Sight {
    /// As far as a database can be told.
    pub grant: Arc<Grant>,
    /// What partial evaluation has left of the policies: the same answers at less cost, most do not concern the caller.
    left: Arc<PolicySet>,
}

impl Weighed for Option<Sight> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, |sight| sight.grant.weight() * 128 + sight.left.num_of_policies() * 4096)
    }
}

impl Sight {
    /// Whether the caller of `ctx`, whose sight this is, may see an image: the word of the policies on a single row.
    ///
    /// # Errors
    /// `Unavailable` when a policy errors.
    pub fn shows(&self, ctx: &Context, image: &Image) -> Result<bool> {
        // A candidate is compared by what decides otherwise, too.
        if ctx.shadow.is_some() {
            return super::allows(ctx, Action::GetImage, Resource::Image(image));
        }
        decide::decide_left(&ctx.rules.policies, &self.left, &ctx.caller, image).inspect_err(super::alarm)
    }
}

/// What the caller may see. While there is a candidate, the grant is that of both: what only the candidate would show is
/// looked at too, and reported.
///
/// # Errors
/// `Unavailable` when a policy errors whatever the image is.
pub fn sight(ctx: &Context) -> Result<Sight> {
    let own = of(&ctx.rules.policies, &ctx.caller).inspect_err(super::alarm)?;
    let candidate = ctx.shadow.as_ref().and_then(|shadow| of(shadow.policies(), &ctx.caller).ok());
    Ok(match candidate {
        Some(other) => Sight { grant: Arc::new(own.grant.union(&other.grant)), ..own },
        None => own,
    })
}

fn of(policies: &Policies, caller: &Caller) -> Result<Sight> {
    if let Some(sight) = policies.grants.of(caller, |kept| kept.clone()) {
        return Ok(sight);
    }
    let project = caller.project_id.as_deref().filter(|p| !p.is_empty());
    let (condition, left) = condition(policies, caller)?;
    let sight = Sight { grant: Arc::new(Grant::new(&condition, project)), left: Arc::new(left) };
    policies.grants.of(caller, |kept| *kept = Some(sight.clone()));
    Ok(sight)
}

/// The condition, and the policies that it is of.
fn condition(policies: &Policies, caller: &Caller) -> Result<(Condition, PolicySet)> {
    let slice = decide::find(policies, Action::GetImage, Kind::Image)?;
    if slice.unconditional.is_some() {
        return Ok((Condition::constant(true), slice.set.clone()));
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
    Ok((permitted(&response, caller)?, left(&response)?))
}

/// What can still hold.
fn left(response: &TpeResponse<'_>) -> Result<PolicySet> {
    let never: HashSet<_> = response.false_permits().chain(response.false_forbids()).collect();
    let left = response.policies().filter(|policy| !never.contains(policy.id()));
    PolicySet::from_policies(left).map_err(|e| decide::fault(&e, "none"))
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
