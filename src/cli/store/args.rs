//! Options of `fanlight store`.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::{
    cli::{Check, ConfigArgs, OutputArgs, output::parse_duration},
    config::StoreState,
};

/// `store …`
#[derive(Debug, Clone, Subcommand)]
pub enum Store {
    /// Show the stores of the running gateway: state, health, room and load
    #[command(after_help = "Examples:\n  fanlight store list\n  \
                            fanlight store list --json | jq '.stores[] | select(.healthy | not)'")]
    List(Check),
    /// Change whether a store takes part, for every gateway on the database and beyond restarts
    #[command(after_help = "Examples:\n  fanlight store state beta draining\n  fanlight store state beta --reset")]
    State(State),
    /// Read the stores of the configuration file anew; if anything is wrong, those before go on serving
    #[command(after_help = "Examples:\n  fanlight store reload\n  fanlight store reload --json | jq .added")]
    Reload(Check),
    /// Copy an image to another store, in the background of the running gateway
    #[command(
        after_help = "Examples:\n  fanlight store copy 6b0f3b5e-9a53-4f6b-8a4e-3a6d5d1c2f10 --store beta --wait\n  \
                            fanlight store copy 6b0f3b5e-9a53-4f6b-8a4e-3a6d5d1c2f10    placement chooses the store"
    )]
    Copy(Copy),
    /// Show copies between stores, the newest first, or cancel one
    #[command(after_help = "Examples:\n  fanlight store copies\n  \
                            fanlight store copies --json | jq '.copies[] | select(.state == \"running\")'\n  \
                            fanlight store copies --cancel 019ac1f2-7f6e-7c1a-9d0e-1f2a3b4c5d6e")]
    Copies(Copies),
    /// Count what stores hold, and what of it the database knows; asks no gateway
    #[command(after_help = "Examples:\n  fanlight store inventory\n  fanlight store inventory beta --json")]
    Inventory(Inventory),
    /// Look for orphans, losses and damage; changes nothing unless told to, and runs beside gateways that serve
    #[command(after_help = "Examples:\n  fanlight store scrub\n  fanlight store scrub beta --all\n  \
                            fanlight store scrub --delete-orphans --older-than 24h")]
    Scrub(Scrub),
}

/// `store state`
#[derive(Debug, Clone, Args)]
pub struct State {
    /// Store
    #[arg(value_name = "ID")]
    pub id: String,
    /// up, draining (reads only, is being emptied) or read-only
    #[arg(value_name = "STATE", value_parser = state, required_unless_present = "reset", conflicts_with = "reset")]
    pub state: Option<StoreState>,
    /// Go back to the state that the configuration says
    #[arg(long)]
    pub reset: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `store copy`
#[derive(Debug, Clone, Args)]
pub struct Copy {
    /// Image
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Store to copy to; without one, placement chooses
    #[arg(long, value_name = "ID")]
    pub store: Option<String>,
    /// Stay until the copy has ended, and show how far it is
    #[arg(long)]
    pub wait: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `store copies`
#[derive(Debug, Clone, Args)]
pub struct Copies {
    /// Give up this copy, and remove what it wrote
    #[arg(long, value_name = "COPY")]
    pub cancel: Option<String>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `store inventory`
#[derive(Debug, Clone, Args)]
pub struct Inventory {
    /// Only this store
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `store scrub`
#[derive(Debug, Clone, Args)]
pub struct Scrub {
    /// Only this store
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Objects of each store that are read and hashed, drawn at random
    #[arg(long, value_name = "N", default_value_t = 10, conflicts_with = "all")]
    pub sample: usize,
    /// Read and hash every object
    #[arg(long)]
    pub all: bool,
    /// Remove orphans; without it, nothing is changed
    #[arg(long)]
    pub delete_orphans: bool,
    /// Leave unknown objects alone that are younger: their row may be about to be written
    #[arg(long, value_name = "AGE", default_value = "1h", value_parser = parse_duration)]
    pub older_than: Duration,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: OutputArgs,
}

fn state(text: &str) -> Result<StoreState, String> {
    let found = StoreState::ALL.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| format!("one of {}", StoreState::ALL.map(StoreState::as_str).join(", ")))
}
