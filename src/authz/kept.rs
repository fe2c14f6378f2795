//! What is worked out once for each caller and kept with a generation of policies.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::context::Caller;

/// Callers at most; one more, and all are forgotten.
const CALLERS_MAX: usize = 1024;
/// Bytes of all that is kept, about; beyond, all is forgotten. Roles and names of properties are chosen by others.
const BYTES_MAX: usize = 16 << 20;

/// What can be kept knows about how many bytes it takes, without counting them anew.
pub(super) trait Weighed: Default {
    /// About the bytes of it.
    fn bytes(&self) -> usize;
}

/// Something of each caller. Everything in it follows from the policies and the caller, so it never grows stale.
pub(super) struct Kept<T>(Mutex<State<T>>);

struct State<T> {
    callers: HashMap<Caller, T>,
    bytes: usize,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(State { callers: HashMap::new(), bytes: 0 }))
    }
}

impl<T: Weighed> Kept<T> {
    /// Looks at or changes what is kept of `caller`. Nobody else can meanwhile, so `look` must be short.
    pub(super) fn of<R>(&self, caller: &Caller, look: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.state();
        let State { callers, bytes } = &mut *state;
        let own = match callers.get_mut(caller) {
            Some(own) => own,
            None => {
                if callers.len() >= CALLERS_MAX {
                    callers.clear();
                    *bytes = 0;
                }
                *bytes += of_caller(caller);
                callers.entry(caller.clone()).or_default()
            }
        };
        let before = own.bytes();
        let outcome = look(own);
        *bytes = (*bytes + own.bytes()).saturating_sub(before);
        if *bytes > BYTES_MAX {
            callers.clear();
            *bytes = 0;
        }
        outcome
    }

    /// What was changed half by a thread that panicked is still a true answer or none.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_caller(caller: &Caller) -> usize {
    let Caller { user_id, project_id, project_domain_id, user_domain_id, domain_id, roles, service_roles } = caller;
    let ids = [project_id, project_domain_id, user_domain_id, domain_id].into_iter().flatten();
    let roles = roles.iter().chain(service_roles).map(|role| role.len() + 64);
    256 + user_id.len() + ids.map(String::len).sum::<usize>() + roles.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::{Action, names::Names};

    #[test]
    fn neither_many_callers_nor_long_names_take_more_than_the_bound() {
        let kept = Kept::<Names>::default();
        let most = |kept: &Kept<Names>| {
            let state = kept.state();
            let sum: usize = state.callers.iter().map(|(caller, names)| of_caller(caller) + names.bytes()).sum();
            assert_eq!(state.bytes, sum, "the count is right");
            (state.callers.len(), state.bytes)
        };
        let (mut callers, mut bytes) = (0, 0);
        for n in 0..3 * CALLERS_MAX {
            let caller = Caller { user_id: n.to_string(), ..Caller::default() };
            kept.of(&caller, |names| names.learn(Action::ReadProperty, [("a", true)].into_iter()));
            callers = callers.max(kept.state().callers.len());
        }
        assert_eq!(callers, CALLERS_MAX);
        for n in 0..40 {
            let caller = Caller { user_id: n.to_string(), ..Caller::default() };
            for action in [Action::ReadProperty, Action::UpdateProperty] {
                let long: Vec<String> = (0..5000).map(|n| format!("{n:0>255}")).collect();
                kept.of(&caller, |names| names.learn(action, long.iter().map(|name| (name.as_str(), true))));
                bytes = bytes.max(most(&kept).1);
            }
        }
        assert!(bytes > BYTES_MAX / 2 && bytes <= BYTES_MAX, "{bytes}");
        let known = kept.of(&Caller { user_id: "39".into(), ..Caller::default() }, |names| {
            names.known(Action::ReadProperty, &["never learnt"])
        });
        assert_eq!(known, [None]);
    }
}
