//! `fanlight policy shadow`: what a candidate would answer otherwise.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use http::{Method, StatusCode};
use serde_json::Value;

use super::activate::{body, complain_of};
use crate::{
    cli::{
        Check, ConfigArgs, Exit, Output, OutputArgs,
        gateway::{ask, plain},
    },
    error::Result,
};

/// `policy shadow …`
#[derive(Debug, Clone, Subcommand)]
pub enum Shadow {
    /// Ask the policies of a folder beside those in force, in place of any candidate before
    #[command(after_help = "Example:\n  fanlight policy shadow start ./next")]
    Start(Start),
    /// Show the candidate and what it would answer otherwise
    #[command(after_help = "Example:\n  fanlight policy shadow status")]
    Status(Check),
    /// Ask no candidate any more
    #[command(after_help = "Example:\n  fanlight policy shadow stop")]
    Stop(Check),
}

/// `policy shadow start`
#[derive(Debug, Clone, Args)]
pub struct Start {
    /// Folder of policies on this machine
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: OutputArgs,
}

pub(super) async fn run(command: &Shadow) -> Result<Exit> {
    let (method, config, output, body) = match command {
        Shadow::Start(args) => (Method::PUT, &args.config, args.output, Some(body(&args.folder)?)),
        Shadow::Status(args) => (Method::GET, &args.config, args.output, None),
        Shadow::Stop(args) => (Method::DELETE, &args.config, args.output, None),
    };
    let (status, answer) = match ask(config, method, "/rules/shadow", body).await {
        Ok(answered) => answered,
        Err(exit) => return Ok(exit),
    };
    let out = Output::new(output.json);
    if out.is_json() {
        out.json(&answer)?;
    } else {
        match (command, status) {
            (_, StatusCode::NOT_FOUND) => {
                out.line("there is no candidate; begin with `fanlight policy shadow start DIR`")?
            }
            (Shadow::Stop(_), StatusCode::OK) => out.line("no candidate is asked any more")?,
            (_, StatusCode::OK) => show(&out, &answer)?,
            _ => out.line(out.bad("refused; what was asked before is asked on"))?,
        }
        complain_of(&answer);
    }
    let faulty = answer.get("faults").and_then(Value::as_array).is_some_and(|faults| !faults.is_empty());
    Ok(if status.is_success() && !faulty { Exit::Done } else { Exit::Failed })
}

fn show(out: &Output, answer: &Value) -> Result<()> {
    let facts = ["folder", "digest", "since", "compared", "differing", "beyond", "refused_since"];
    let rows = facts.into_iter().filter_map(|key| Some(vec![key.to_owned(), plain(answer.get(key)?)]));
    out.table(&["candidate", "now"], rows)?;
    let differences = answer.get("differences").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if differences.is_empty() {
        return out.line(out.good("every answer was the same so far"));
    }
    let head = ["action", "resource", "old", "by", "new", "by", "count", "last seen with"];
    out.table(&head, differences.iter().map(row))
}

fn row(difference: &Value) -> Vec<String> {
    let at = |pointer: &str| difference.pointer(pointer).map(plain).unwrap_or_default();
    let last = format!(
        "{} of {}\n{}\n{}",
        at("/last/user"),
        at("/last/project"),
        at("/last/resource"),
        at("/last/request_id")
    );
    vec![
        at("/action"),
        at("/resource"),
        at("/old/answer"),
        at("/old/policies"),
        at("/new/answer"),
        at("/new/policies"),
        at("/count"),
        last,
    ]
}
