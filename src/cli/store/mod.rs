//! `fanlight store`: the stores of the running gateway, and what they hold.

use crate::error::Result;

use super::Exit;

mod args;
mod change;
mod copy;
mod list;
mod scrub;

pub use args::Store;

/// Runs one of the subcommands.
///
/// # Errors
/// When the database of an inventory cannot be reached, or standard output is closed.
pub async fn run(command: &Store) -> Result<Exit> {
    match command {
        Store::List(args) => list::run(args).await,
        Store::State(args) => change::state(args).await,
        Store::Reload(args) => change::reload(args).await,
        Store::Copy(args) => copy::copy(args).await,
        Store::Copies(args) => copy::copies(args).await,
        Store::Inventory(args) => scrub::inventory(args).await,
        Store::Scrub(args) => scrub::scrub(args).await,
    }
}

#[cfg(test)]
mod tests;
