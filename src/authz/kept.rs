//! What is worked out once for each caller and kept with a generation of policies.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::context::Caller;

/// Callers at most; one more, and all are forgotten.
const CALLERS_MAX: usize = 1024;

/// Something of each caller. Everything in it follows from the policies and the caller, so it never grows stale.
pub(super) struct Kept<T>(Mutex<HashMap<Caller, T>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Default> Kept<T> {
    /// Looks at or changes what is kept of `caller`. Nobody else can meanwhile, so `look` must be short.
    pub(super) fn of<R>(&self, caller: &Caller, look: impl FnOnce(&mut T) -> R) -> R {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = kept.get_mut(caller) {
            return look(own);
        }
        if kept.len() >= CALLERS_MAX {
            kept.clear();
        }
        look(kept.entry(caller.clone()).or_default())
    }
}
