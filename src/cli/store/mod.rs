//! `fanlight store`: the stores of the running gateway, and what they hold.

use crate::error::Result;

use super::Exit;

mod args;
mod list;

pub use args::Store;

/// Runs one of the subcommands.
///
/// # Errors
/// When standard output is closed.
pub async fn run(command: &Store) -> Result<Exit> {
    match command {
        Store::List(args) => list::run(args).await,
    }
}
