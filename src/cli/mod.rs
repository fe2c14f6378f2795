//! The command line: what `fanlight --help` teaches, and how commands speak to people and to scripts.

mod args;
pub mod banner;
mod check;
mod db;
mod dispatch;
mod gateway;
mod output;
mod placement;
mod policy;
mod rules;
mod serve;
mod store;

pub use self::{
    args::{Check, Cli, Command, ConfigArgs, Database, Explain, Output as OutputArgs, Placement, Rules, Serve},
    output::{Output, human_size},
};
pub use check::run as check;
pub use dispatch::main;
pub use policy::{Policy, run as policy, standard_form};
pub use rules::run as rules;
pub use store::{Store, run as store};

/// How a command ended; documented in `fanlight --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, and nothing is wrong.
    Done = 0,
    /// It ran and failed, or found something wrong.
    Failed = 1,
    /// It could not be done with what was given.
    Usage = 2,
    /// The configuration has faults.
    Configuration = 3,
    /// The running gateway cannot be reached.
    Unreachable = 4,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests;
