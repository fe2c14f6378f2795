//! Commands, options and their help. Every command shows an example.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

const ABOUT: &str = "\
An image service for clouds: OpenStack Images API v2, with rules that you change while it runs.

Without a configuration, `fanlight serve` starts a complete development gateway on this machine: SQLite, two file \
stores, the shipped policies and plug-ins, no Keystone.";

const AFTER: &str = "\
Try it:
  fanlight serve
  openstack --os-auth-type admin_token --os-endpoint http://127.0.0.1:9292/v2 --os-token demo:demo:member image list

Before production:
  fanlight check --config /etc/fanlight.toml     every fault at once, with line and column
  fanlight db migrate --config /etc/fanlight.toml
  fanlight serve --config /etc/fanlight.toml

Environment (beats the file):
  FANLIGHT_CONFIG              the configuration file
  FANLIGHT_DATA_DIR            data_dir
  FANLIGHT_LISTEN              listen
  FANLIGHT_ADMIN_LISTEN        admin_listen
  FANLIGHT_DATABASE_URL        database.url
  FANLIGHT_KEYSTONE_PASSWORD   identity.password
  FANLIGHT_LOG                 log.filter
  NO_COLOR                     no colours

Exit codes:
  0  done      1  failed, or something is wrong      2  wrong usage
  3  the configuration has faults      4  the running gateway cannot be reached";

/// The command line of `fanlight`.
#[derive(Debug, Parser)]
#[command(name = "fanlight", version, about = "An image service for clouds", long_about = ABOUT, after_help = AFTER)]
#[command(arg_required_else_help = true, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a gateway until SIGTERM or Ctrl-C; SIGHUP loads rules and stores anew
    #[command(after_help = "Examples:\n  fanlight serve\n  fanlight serve --config /etc/fanlight.toml\n  \
                            FANLIGHT_DATA_DIR=/tmp/try fanlight serve --listen 127.0.0.1:9393")]
    Serve(Serve),
    /// Check a configuration and report every fault at once
    #[command(after_help = "Examples:\n  fanlight check --config /etc/fanlight.toml\n  \
                            fanlight check --config /etc/fanlight.toml --json | jq '.faults[].key'")]
    Check(Check),
    /// Create, inspect and verify the database
    #[command(
        subcommand,
        after_help = "Examples:\n  fanlight db status --config /etc/fanlight.toml\n  \
                                        fanlight db migrate --config /etc/fanlight.toml"
    )]
    Db(Database),
    /// See why an image would go to which store
    #[command(
        subcommand,
        after_help = "Example:\n  fanlight placement explain --project blue --size 20GiB \
                                        --property class=ssd"
    )]
    Placement(Placement),
    /// Check, test, explain and compare policies; try, activate and take them back
    #[command(
        subcommand,
        after_help = "Examples:\n  fanlight policy check policies\n  fanlight policy test policies\n  \
                                        fanlight policy explain --decision ID\n  fanlight policy shadow start ./next\n  \
                                        fanlight policy activate\n  fanlight policy rollback"
    )]
    Policy(super::Policy),
    /// See and reload the rules of the running gateway
    #[command(
        subcommand,
        after_help = "Examples:\n  fanlight rules status\n  fanlight rules reload --json\n  \
                                        fanlight rules reload --accept-removals"
    )]
    Rules(Rules),
    /// See, drain, add and remove stores; compare what they hold with the database
    #[command(
        subcommand,
        after_help = "Examples:\n  fanlight store list\n  fanlight store state beta draining\n  \
                                        fanlight store reload\n  fanlight store scrub --sample 20"
    )]
    Store(super::Store),
    /// Print the version
    #[command(after_help = "Example:\n  fanlight version")]
    Version,
}

/// Where the configuration is.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML); without one, the development gateway
    #[arg(long, short, value_name = "FILE", env = "FANLIGHT_CONFIG")]
    pub config: Option<PathBuf>,
}

/// For people or for scripts.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Output {
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

/// `serve`
#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Address of the API, in place of `listen`
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

/// `check`
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: Output,
}

/// `db …`
#[derive(Debug, Clone, Subcommand)]
pub enum Database {
    /// Bring the database up to date; safe to repeat, and to run beside running gateways
    Migrate(Check),
    /// Show which migrations are applied
    Status(Check),
    /// Look for rows that contradict each other
    Check(Check),
}

/// `placement …`
#[derive(Debug, Clone, Subcommand)]
pub enum Placement {
    /// Rank the stores for an invented image, with the reason for each; changes nothing
    Explain(Explain),
}

/// `placement explain`
#[derive(Debug, Clone, Args)]
pub struct Explain {
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Project that uploads
    #[arg(long, value_name = "ID")]
    pub project: String,
    /// Role of the caller; may be repeated
    #[arg(long = "role", value_name = "NAME", default_value = "member")]
    pub roles: Vec<String>,
    /// Size, for instance `20GiB`; unknown if not given
    #[arg(long, value_name = "SIZE", value_parser = super::output::parse_size)]
    pub size: Option<u64>,
    /// Property of the image, for instance `class=ssd`; may be repeated
    #[arg(long = "property", value_name = "KEY=VALUE", value_parser = key_value)]
    pub properties: Vec<(String, String)>,
    /// Store that the user asks for
    #[arg(long, value_name = "ID")]
    pub store: Option<String>,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: Output,
}

/// `rules …`
#[derive(Debug, Clone, Subcommand)]
pub enum Rules {
    /// Show the generation in force, and the faults of the last candidate
    Status(Check),
    /// Load policies and plug-ins anew; if anything is wrong, the old ones go on serving
    Reload(Reload),
}

/// `rules reload`
#[derive(Debug, Clone, Args)]
pub struct Reload {
    /// Policies that are in force and not in the folder any more are gone on purpose
    #[arg(long)]
    pub accept_removals: bool,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: Output,
}

pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    if key.is_empty() { Err("the key is empty".into()) } else { Ok((key.to_owned(), value.to_owned())) }
}
