//! `fanlight store list`.

use std::time::Duration;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    cli::{
        Check, Exit, Output,
        gateway::{ask, plain},
        human_size,
        output::complain,
    },
    error::{Error, Result},
    store::Status,
};

/// The answer of `GET /stores`.
#[derive(Deserialize)]
pub(super) struct All {
    pub stores: Vec<Status>,
}

pub(super) async fn run(args: &Check) -> Result<Exit> {
    let out = Output::new(args.output.json);
    match ask(&args.config, Method::GET, "/stores", None).await {
        Ok((StatusCode::OK, answer)) => show(&out, answer),
        Ok((status, answer)) => refused(&out, status, &answer),
        Err(exit) => Ok(exit),
    }
}

fn show(out: &Output, answer: Value) -> Result<Exit> {
    if out.is_json() {
        out.json(&answer)?;
        return Ok(Exit::Done);
    }
    let all: All = serde_json::from_value(answer).map_err(Error::internal)?;
    out.table(HEAD, all.stores.iter().map(|status| row(out, status)))?;
    Ok(Exit::Done)
}

pub(super) const HEAD: &[&str] = &["store", "type", "state", "health", "total", "free", "uploads", "latency"];

pub(super) fn row(out: &Output, s: &Status) -> Vec<String> {
    let default = if s.default { " (default)" } else { "" };
    let state = if s.state == s.configured_state { String::new() } else { " (changed)".to_owned() };
    let health = match (&s.reason, s.healthy) {
        (_, true) => out.good("ok"),
        (Some(reason), false) => out.bad(&format!("down: {reason}")),
        (None, false) => out.bad("down"),
    };
    // A total of 0 says that the store does not know its room.
    let room = |bytes| if s.total == 0 { "-".to_owned() } else { human_size(bytes) };
    vec![
        format!("{}{default}", s.id),
        s.kind.clone(),
        format!("{}{state}", s.state.as_str()),
        health,
        room(s.total),
        room(s.free),
        s.in_flight.to_string(),
        format!("{:.1?}", Duration::from_micros(u64::from(s.latency_us))),
    ]
}

/// The gateway says no: its words for people, all of it for scripts.
pub(super) fn refused(out: &Output, status: StatusCode, answer: &Value) -> Result<Exit> {
    if out.is_json() {
        out.json(answer)?;
    } else {
        let message = answer.get("message").map_or_else(|| plain(answer), plain);
        complain(&out.bad(&format!("the gateway answers {status}: {message}")));
    }
    Ok(Exit::Failed)
}
