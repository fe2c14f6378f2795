//! Who asks: the first argument of every use case.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    authz::{Journal, Shadow},
    rules::Ruleset,
};

/// The caller of one request, and the generation of rules that decides it from start to end.
#[derive(Clone)]
pub struct Context {
    /// `req-…`, adopted from the caller or made here; at most 64 characters.
    pub request_id: String,
    /// The identity that was proven, or nobody.
    pub caller: Caller,
    /// The rules this request began with. Kept to its end, whatever is swapped in meanwhile.
    pub rules: Arc<Ruleset>,
    /// Candidate rules that are asked beside them and change nothing.
    pub shadow: Option<Arc<Shadow>>,
    /// Where refusals are kept, so that they can be explained.
    pub journal: Arc<Journal>,
}

/// A proven identity. The default is nobody: no user, no project, no role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Keystone's user id.
    pub user_id: String,
    /// The project of the token's scope.
    pub project_id: Option<String>,
    /// The domain that the project is in.
    pub project_domain_id: Option<String>,
    /// The domain that the user is in.
    pub user_domain_id: Option<String>,
    /// The domain of a domain-scoped token.
    pub domain_id: Option<String>,
    /// Role names, lower-cased (Keystone compares them without case).
    pub roles: BTreeSet<String>,
    /// Roles of the service token, kept apart: they never become roles of the user.
    pub service_roles: BTreeSet<String>,
}

impl Context {
    /// The project of the caller, empty for a caller without one.
    pub fn project(&self) -> Option<&str> {
        self.caller.project_id.as_deref()
    }
}
