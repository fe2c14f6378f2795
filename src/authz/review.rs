//! Policies that pass validation and yet can never decide anything.

use cedar_policy::{Effect, Policy, PolicyId};

use super::{Policies, policies::Slice};
use crate::rules::Fault;

/// Policies that other policies make pointless: wherever one of them could apply, an unconditional `forbid` denies
/// anyway, or an unconditional policy of the same effect has decided already.
#[must_use]
pub fn review(policies: &Policies) -> Vec<Fault> {
    let mut faults: Vec<Fault> = policies.all().filter_map(|policy| pointless(policies, policy)).collect();
    faults.sort();
    faults
}

fn pointless(policies: &Policies, policy: &Policy) -> Option<Fault> {
    let own: Vec<&Slice> =
        policies.slices().map(|(_, _, slice)| slice).filter(|s| s.set.policy(policy.id()).is_some()).collect();
    let mut masks: Vec<&PolicyId> = own.iter().map(|slice| mask(slice, policy)).collect::<Option<_>>()?;
    masks.sort();
    masks.dedup();
    let (Some(place), false) = (policies.place(policy), masks.is_empty()) else { return None };
    let names: Vec<_> = masks.iter().map(|id| format!("`{id}`")).collect();
    let text = format!(
        "`{}` decides nothing: {} always applies; remove one or give it a condition",
        policy.id(),
        names.join(" and ")
    );
    Some(Fault::new(&place.file, Some(place.line), text))
}

/// The policy that makes `policy` pointless in one slice.
fn mask<'s>(slice: &'s Slice, policy: &Policy) -> Option<&'s PolicyId> {
    let forbids = |id: &PolicyId| slice.set.policy(id).is_some_and(|p| p.effect() == Effect::Forbid);
    let others = || slice.absolute.iter().filter(|id| *id != policy.id());
    // Of two unconditional twins, the one that comes later is the pointless one.
    let counts = |id: &&PolicyId| !slice.absolute.contains(policy.id()) || *id < policy.id();
    others()
        .find(|id| forbids(id) && (policy.effect() == Effect::Permit || counts(id)))
        .or_else(|| others().find(|id| forbids(id) == (policy.effect() == Effect::Forbid) && counts(id)))
}
