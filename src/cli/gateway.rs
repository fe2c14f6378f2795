//! Questions of commands to the admin listener of the running gateway.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use crate::{
    config::{Config, process_env},
    error::{Error, Result},
};

use super::{ConfigArgs, Exit, output::complain};

/// A reload compiles plug-ins.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer at most.
const ANSWER_MAX: usize = 4 << 20;

/// Asks the gateway that runs with this configuration.
///
/// # Errors
/// How the command ends when there is no answer; people have been told why.
pub(super) async fn ask(
    args: &ConfigArgs,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<(StatusCode, Value), Exit> {
    ask_as(args, |_| Ok(HeaderMap::new()), method, path, body).await
}

/// As [`ask`], with the headers that prove to this gateway who asks.
///
/// # Errors
/// As [`ask`], or when there is nothing to prove it with.
pub(super) async fn ask_as(
    args: &ConfigArgs,
    credentials: impl FnOnce(&Config) -> Result<HeaderMap, String>,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<(StatusCode, Value), Exit> {
    let config = Config::load(args.config.as_deref(), process_env).map_err(|faults| {
        complain(&faults.to_string());
        Exit::Configuration
    })?;
    let url = format!("http://{}{path}", config.admin_listen);
    let headers = credentials(&config).map_err(|problem| {
        complain(&problem);
        Exit::Failed
    })?;
    call(method, &url, headers, body).await.map_err(|problem| {
        complain(&format!("no gateway answers at {url}: {problem:?}\n    help: start one with `fanlight serve`"));
        Exit::Unreachable
    })
}

async fn call(method: Method, url: &str, headers: HeaderMap, body: Option<Value>) -> Result<(StatusCode, Value)> {
    crate::telemetry::install_crypto();
    let text = |e: reqwest::Error| Error::internal(e.without_url());
    // The admin listener is this machine's own: no proxy stands between.
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(text)?;
    let mut request = client.request(method, url).headers(headers);
    if let Some(body) = &body {
        request = request.json(body);
    }
    let mut answer = request.send().await.map_err(text)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(text)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_MAX {
            return Err(Error::internal("the answer is too long"));
        }
    }
    Ok((answer.status(), serde_json::from_slice(&body).map_err(Error::internal)?))
}

/// A value in one cell: lists as lines, nothing quoted.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Array(all) if all.is_empty() => "none".into(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join("\n"),
        Value::Object(all) => all.iter().map(|(k, v)| format!("{k}={}", plain(v))).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
