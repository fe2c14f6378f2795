//! Rulesets: policies and plug-ins as one immutable, numbered generation behind one swappable pointer.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    authz::Policies,
    wasm::{Engine, Plugins},
};

mod activate;
mod book;
mod candidate;
mod folder;
mod history;
mod removal;
mod watch;

pub use book::{Outcome, Rulebook, Status};
pub use candidate::CandidateStatus;
pub use folder::{read_deciding, read_files};
pub use removal::Removals;

/// One generation of rules. A request takes it at its start and keeps it to its end.
pub struct Ruleset {
    /// Counts up with every swap, from 1.
    pub generation: u64,
    /// Who may do what.
    pub policies: Policies,
    /// What ranks stores.
    pub plugins: Plugins,
    /// sha256 over all files of this generation, hex.
    pub digest: String,
    /// When it was put in force.
    pub loaded_at: Timestamp,
}

impl Ruleset {
    /// The shipped policies and plug-ins as generation 1, without any folder.
    ///
    /// # Errors
    /// When they do not pass their own checks.
    pub fn shipped(engine: &Engine) -> Result<Self, Vec<Fault>> {
        folder::Files { policies: Policies::shipped(), plugins: Plugins::shipped() }.check(
            1,
            engine,
            &Plugins::default(),
        )
    }
}

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// File name within its folder, or the folder.
    pub file: String,
    /// Line, from 1, where one can be named.
    pub line: Option<usize>,
    /// What is wrong.
    pub text: String,
}

impl Fault {
    /// A fault in `file`.
    pub fn new(file: impl Into<String>, line: Option<usize>, text: impl Into<String>) -> Self {
        Self { file: file.into(), line, text: text.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.text),
            None => write!(f, "{}: {}", self.file, self.text),
        }
    }
}

#[cfg(test)]
mod tests;
