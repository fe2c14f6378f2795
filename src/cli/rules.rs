//! `fanlight rules`: asks the admin listener of the running gateway.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;

use crate::{
    config::{Config, process_env},
    error::{Error, Result},
};

use super::{Exit, Output, Rules, output::complain};

/// A reload compiles plug-ins.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer at most.
const ANSWER_MAX: usize = 4 << 20;

/// Shows or reloads the rules of the gateway that runs with this configuration.
///
/// # Errors
/// When the configuration has faults, or standard output is closed.
pub async fn run(command: &Rules) -> Result<Exit> {
    let (method, path, args) = match command {
        Rules::Status(args) => (Method::GET, "/rules", args),
        Rules::Reload(args) => (Method::POST, "/rules/reload", args),
    };
    let config = match Config::load(args.config.config.as_deref(), process_env) {
        Ok(config) => config,
        Err(faults) => {
            complain(&faults.to_string());
            return Ok(Exit::Configuration);
        }
    };
    let url = format!("http://{}{path}", config.admin_listen);
    match ask(method, &url).await {
        Ok((status, answer)) => show(&Output::new(args.output.json), status, &answer),
        Err(problem) => {
            complain(&format!("no gateway answers at {url}: {problem}\n    help: start one with `fanlight serve`"));
            Ok(Exit::Unreachable)
        }
    }
}

async fn ask(method: Method, url: &str) -> Result<(StatusCode, Value), String> {
    crate::telemetry::install_crypto();
    let text = |e: reqwest::Error| Error::internal(e.without_url());
    let call = async {
        // The admin listener is this machine's own: no proxy stands between.
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(text)?;
        let mut answer = client.request(method, url).send().await.map_err(text)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(text)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_MAX {
                return Err(Error::internal("the answer is too long"));
            }
        }
        Ok((answer.status(), serde_json::from_slice(&body).map_err(Error::internal)?))
    };
    call.await.map_err(|e| format!("{e:?}"))
}

fn show(out: &Output, status: StatusCode, answer: &Value) -> Result<Exit> {
    if out.is_json() {
        out.json(answer)?;
    } else {
        let rows = answer.as_object().into_iter().flatten().map(|(key, value)| vec![key.clone(), plain(value)]);
        out.table(&["rules", "now"], rows)?;
        let verdict = match status {
            StatusCode::OK => out.good("in force"),
            StatusCode::CONFLICT => out.bad("the new rules have faults; the old ones go on serving"),
            other => out.bad(&format!("the gateway answers {other}")),
        };
        out.line(verdict)?;
    }
    Ok(if status.is_success() { Exit::Done } else { Exit::Failed })
}

/// A value in one cell: lists as lines, nothing quoted.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Array(all) if all.is_empty() => "none".into(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join("\n"),
        Value::Object(all) => all.iter().map(|(k, v)| format!("{k}={}", plain(v))).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
