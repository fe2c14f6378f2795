//! `fanlight policy activate` and `rollback`.

use std::path::{Path, PathBuf};

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::{
    cli::{
        Check, ConfigArgs, Exit, Output, OutputArgs,
        gateway::{ask, plain},
        output::complain,
    },
    error::{Error, Result},
};

/// `policy activate`
#[derive(Debug, Clone, Args)]
pub struct Activate {
    /// Folder of policies on this machine; without it, the candidate of `policy shadow`
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Where the configuration is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// For people or for scripts.
    #[command(flatten)]
    pub output: OutputArgs,
}

pub(super) async fn activate(args: &Activate) -> Result<Exit> {
    let body = args.folder.as_deref().map(body).transpose()?;
    exchange(&args.config, &Output::new(args.output.json), "/rules/activate", body).await
}

pub(super) async fn rollback(args: &Check) -> Result<Exit> {
    exchange(&args.config, &Output::new(args.output.json), "/rules/rollback", None).await
}

async fn exchange(config: &ConfigArgs, out: &Output, path: &str, body: Option<Value>) -> Result<Exit> {
    let (status, answer) = match ask(config, Method::POST, path, body).await {
        Ok(answered) => answered,
        Err(exit) => return Ok(exit),
    };
    if out.is_json() {
        out.json(&answer)?;
    } else if status.is_success() {
        let unchanged = answer.get("result").is_some_and(|result| result == "unchanged");
        let already = if unchanged { " already" } else { "" };
        let generation = plain(answer.get("generation").unwrap_or(&Value::Null));
        out.line(out.good(&format!("generation {generation} is in force{already}")))?;
    } else {
        out.line(out.bad("refused; the old policies go on serving"))?;
        complain_of(&answer);
    }
    Ok(if status.is_success() { Exit::Done } else { Exit::Failed })
}

/// The request's body: the gateway has another working directory, so the folder is named in full.
pub(super) fn body(folder: &Path) -> Result<Value> {
    let full = folder.canonicalize();
    let full = full.map_err(|e| Error::invalid(format!("there is no folder `{}`: {e}", folder.display())))?;
    Ok(json!({"folder": full}))
}

/// One line for each fault, as compilers write them.
pub(super) fn complain_of(answer: &Value) {
    for fault in answer.get("faults").and_then(Value::as_array).into_iter().flatten() {
        let part = |key| fault.get(key).map(plain).unwrap_or_default();
        let line = fault.get("line").and_then(Value::as_u64).map_or_else(String::new, |line| format!(":{line}"));
        complain(&format!("{}{line}: {}", part("file"), part("text")));
    }
}
