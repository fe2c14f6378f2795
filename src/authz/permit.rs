//! Proof that the gate was asked.

use super::Action;
use crate::error::{Error, Result};

/// Proof that an action was permitted. Only this module's siblings mint one, and every mutating function of
/// `db` and `store` asks for it, so that a mutation without a decision does not compile.
#[derive(Debug, Clone)]
pub struct Permit {
    action: Action,
    image: Option<String>,
    decision: String,
}

impl Permit {
    pub(super) fn new(action: Action, image: Option<&str>, decision: String) -> Self {
        Self { action, image: image.map(str::to_owned), decision }
    }

    /// For background work (reaper, scrubber, outbox), which acts for nobody. Logged as a decision, with its reason.
    pub fn system(reason: &'static str) -> Self {
        tracing::info!(target: "fanlight::decision", reason, outcome = "system", "background work permitted");
        Self { action: Action::System, image: None, decision: format!("system:{reason}") }
    }

    /// What was permitted.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Id of the decision, as in the decision log.
    pub fn decision(&self) -> &str {
        &self.decision
    }

    /// Refuses to be used on another image than the one it was given for.
    ///
    /// # Errors
    /// `Internal`: it is a defect of the caller.
    pub fn covers(&self, image: &str) -> Result<()> {
        match &self.image {
            Some(id) if id != image => {
                Err(Error::internal(format!("permit {} is for image {id}, used on {image}", self.decision)))
            }
            _ => Ok(()),
        }
    }
}
