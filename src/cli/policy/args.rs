//! Subcommands and options of `fanlight policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    super::{ConfigArgs, OutputArgs, args::key_value},
    activate::Activate,
    shadow::Shadow,
};
use crate::{authz::Action, import::Mode};

/// `policy …`
#[derive(Debug, Clone, Subcommand)]
pub enum Policy {
    /// Find what is wrong with a folder of policies: every fault at once, warnings included
    #[command(after_help = "Examples:\n  fanlight policy check policies\n  fanlight policy check policies --json")]
    Check(Check),
    /// Ask the questions of test files, and say which policies none of them reaches
    #[command(after_help = "Examples:\n  fanlight policy test policies\n  \
                            fanlight policy test policies --cases more/*.toml --json\n\n\
                            Exit code 1 when a case fails or a policy decides no case.")]
    Test(Test),
    /// Say why an answer is as it is: the policies that decide, or what is missing
    #[command(after_help = "Examples:\n  fanlight policy explain --project green --role member --action delete_image \
                            --with owner=blue\n  \
                            fanlight policy explain --decision 0198c0de5f6b7c3e9d1f2a3b4c5d6e7f\n  \
                            fanlight policy explain --decision req-6f1d0e9a-3c1b-4b7e-8f57-0d4a1c2b3e4f\n  \
                            fanlight policy explain --project green --role member --action get_image --image ID")]
    Explain(Box<Explain>),
    /// Report the answers that change between two folders of policies
    #[command(after_help = "Examples:\n  fanlight policy diff policies candidate\n  \
                            fanlight policy diff policies candidate --requests requests.jsonl --json\n\n\
                            Exit codes: 0 no answer changes, 1 some do, 2 the folders cannot be compared.")]
    Diff(Diff),
    /// Bring policies into their standard form, comments kept
    #[command(after_help = "Examples:\n  fanlight policy fmt policies\n  fanlight policy fmt --check policies")]
    Fmt(Fmt),
    /// Turn Glance's policy.yaml and property protections into policies, and prove that they answer alike
    #[command(after_help = "Examples:\n  fanlight policy import --policy /etc/glance/policy.yaml --out ./imported\n  \
                            fanlight policy import --policy policy.yaml --property-protections \
                            property-protections.conf --protections-mode roles --out ./imported\n  \
                            fanlight policy import --prove 1000000 --json\n\n\
                            Rules that the file does not have are those of Glance 33. Exit code 1 when a rule has no \
                            counterpart (nobody is permitted then) or an answer differs.")]
    Import(Import),
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
    Rollback(super::super::Check),
}

/// Which policies.
#[derive(Debug, Clone, Default, Args)]
pub struct Source {
    /// Folder of policies; without one, the folder that the configuration names, or else the shipped policies
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `policy check`
#[derive(Debug, Clone, Args)]
pub struct Check {
    /// Which policies.
    #[command(flatten)]
    pub source: Source,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `policy import`
#[derive(Debug, Clone, Default, Args)]
pub struct Import {
    /// Rules file of oslo.policy, YAML or JSON; without one, the rules of Glance 33 as they are
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Glance's `property_protection_file`
    #[arg(long, value_name = "FILE")]
    pub property_protections: Option<PathBuf>,
    /// Glance's `property_protection_rule_format`
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Mode::Roles, requires = "property_protections")]
    pub protections_mode: Mode,
    /// Folder to write the policies into
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write over a folder that exists, and even what may permit more than the original
    #[arg(long, requires = "out")]
    pub force: bool,
    /// Print the policies and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Random questions that both sides answer
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub prove: u64,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `policy test`
#[derive(Debug, Clone, Args)]
pub struct Test {
    /// Which policies.
    #[command(flatten)]
    pub source: Source,
    /// Files of cases; without any, `tests/*.toml` in the folder of policies
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub cases: Vec<PathBuf>,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `policy explain`
#[derive(Debug, Clone, Default, Args)]
pub struct Explain {
    /// Which policies.
    #[command(flatten)]
    pub source: Source,
    /// What is asked for, such as `get_image`
    #[arg(long, value_name = "NAME", required_unless_present_any = ["decision", "case"])]
    pub action: Option<Action>,
    /// User who asks
    #[arg(long, value_name = "ID", default_value = "user")]
    pub user: String,
    /// Project of the user's token
    #[arg(long, value_name = "ID")]
    pub project: Option<String>,
    /// Domain of user and project
    #[arg(long, value_name = "ID")]
    pub domain: Option<String>,
    /// Role of the user; may be repeated
    #[arg(long = "role", value_name = "NAME")]
    pub roles: Vec<String>,
    /// Role of the service token; may be repeated
    #[arg(long = "service-role", value_name = "NAME")]
    pub service_roles: Vec<String>,
    /// Fact of an invented image: `owner=blue`, `property.os_distro=debian`, `member.green=accepted`; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub with: Vec<(String, String)>,
    /// An image of the running gateway
    #[arg(long, value_name = "ID", conflicts_with = "with")]
    pub image: Option<String>,
    /// The membership of this project in the image
    #[arg(long, value_name = "PROJECT", conflicts_with_all = ["property", "store"])]
    pub member: Option<String>,
    /// A custom property of the image
    #[arg(long, value_name = "NAME", conflicts_with = "store")]
    pub property: Option<String>,
    /// A store
    #[arg(long, value_name = "ID")]
    pub store: Option<String>,
    /// File with cases as for `policy test`: each is explained
    #[arg(long, value_name = "FILE", conflicts_with_all = ["action", "decision", "image", "with"])]
    pub case: Option<PathBuf>,
    /// A decision of the running gateway, by the id in `X-Fanlight-Decision` or by the request's id
    #[arg(long, value_name = "ID", conflicts_with_all = ["action", "image", "with"])]
    pub decision: Option<String>,
    /// Log to find the decision in when the gateway has forgotten it
    #[arg(long, value_name = "FILE", requires = "decision")]
    pub log: Option<PathBuf>,
    /// Token for the running gateway
    #[arg(long, value_name = "TOKEN", env = "OS_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `policy diff`
#[derive(Debug, Clone, Args)]
pub struct Diff {
    /// Folder of policies as they are
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// Folder of policies as they would be
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Recorded requests, a line of JSON each; without them, requests are made up from what the policies speak of
    #[arg(long, value_name = "FILE")]
    pub requests: Option<PathBuf>,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `policy fmt`
#[derive(Debug, Clone, Args)]
pub struct Fmt {
    /// Folders or files
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Change nothing; exit code 1 when something is not in the standard form
    #[arg(long)]
    pub check: bool,
}
