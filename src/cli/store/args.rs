//! Options of `fanlight store`.

use clap::Subcommand;

use crate::cli::Check;

/// `store …`
#[derive(Debug, Clone, Subcommand)]
pub enum Store {
    /// Show the stores of the running gateway: state, health, room and load
    #[command(after_help = "Examples:\n  fanlight store list\n  \
                            fanlight store list --json | jq '.stores[] | select(.healthy | not)'")]
    List(Check),
}
