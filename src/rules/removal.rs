//! Policies that vanish from the folder. A lost file, or one cut off between two policies, leaves rules that are valid
//! and permit more than before when a `forbid` was among what is gone. So nothing vanishes but by the operator's word.

use super::{Fault, folder::Files};
use crate::authz::Policies;

/// What a reload does when policies of the generation in force are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removals {
    /// The old generation serves on; the faults name what is gone.
    Refused,
    /// The operator means it.
    Accepted,
}

/// A fault for each file from which policies have gone.
pub(super) fn vanished(now: &Policies, next: &Policies, files: &Files) -> Vec<Fault> {
    let gone = now.missing_in(next).into_iter();
    gone.map(|(file, ids)| {
        let ids = format!("`{}`", ids.join("`, `"));
        let text = if files.policies.iter().any(|(name, _)| *name == file) {
            format!("no longer holds {ids}; if that is meant, `fanlight rules reload --accept-removals`")
        } else {
            format!("the file is gone, and {ids} with it; if that is meant, `fanlight rules reload --accept-removals`")
        };
        Fault::new(file, None, text)
    })
    .collect()
}
