//! `fanlight policy`: policies from the first try to the day they are taken back.

use clap::Subcommand;

use crate::error::Result;

use super::{Check, Exit};

mod activate;
mod shadow;

pub use activate::Activate;
pub use shadow::Shadow;

/// `policy …`
#[derive(Debug, Clone, Subcommand)]
pub enum Policy {
    /// Ask candidate policies beside those in force, and see what they would answer otherwise
    #[command(
        subcommand,
        after_help = "Examples:\n  fanlight policy shadow start ./next\n  fanlight policy shadow status --json | jq \
                      '.differences[]'\n  fanlight policy shadow stop"
    )]
    Shadow(Shadow),
    /// Put policies in force: the candidate's, or those of a folder; what was in force is kept
    #[command(after_help = "Examples:\n  fanlight policy activate\n  fanlight policy activate ./next")]
    Activate(Activate),
    /// Put the previous policies back in force; again for the ones before, ten steps at most
    #[command(after_help = "Example:\n  fanlight policy rollback")]
    Rollback(Check),
}

/// Asks the gateway that runs with this configuration.
///
/// # Errors
/// When a folder cannot be found, or standard output is closed.
pub async fn run(command: &Policy) -> Result<Exit> {
    match command {
        Policy::Shadow(command) => shadow::run(command).await,
        Policy::Activate(args) => activate::activate(args).await,
        Policy::Rollback(args) => activate::rollback(args).await,
    }
}
