//! `fanlight store state` and `fanlight store reload`.

use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    args::State,
    list::{HEAD, refused, row},
};
use crate::{
    app::Reload,
    cli::{Check, Exit, Output, gateway::ask},
    config::StoreState,
    db::Holds,
    error::{Error, Result},
    store::Status,
};

/// The answer of `PUT /stores/{id}/state`.
#[derive(Deserialize)]
struct Changed {
    store: Status,
    holds: Holds,
}

pub(super) async fn state(args: &State) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let path = format!("/stores/{}/state", utf8_percent_encode(&args.id, NON_ALPHANUMERIC));
    match ask(&args.config, Method::PUT, &path, Some(json!({"state": args.state}))).await {
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
    let Changed { store, holds } = serde_json::from_value(answer).map_err(Error::internal)?;
    out.table(HEAD, [row(out, &store)])?;
    if store.state == StoreState::Draining {
        out.line(match holds.is_empty() {
            true => out.good("nothing refers to it: it can be taken out of the file, then `fanlight store reload`"),
            false => format!("it holds {holds}"),
        })?;
    }
    Ok(Exit::Done)
}

pub(super) async fn reload(args: &Check) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let (status, answer) = match ask(&args.config, Method::POST, "/stores/reload", None).await {
        Ok(answered) => answered,
        Err(exit) => return Ok(exit),
    };
    let exit = if status.is_success() { Exit::Done } else { Exit::Failed };
    match serde_json::from_value(answer.clone()) {
        Ok(outcome) if !out.is_json() => out.line(sentence(&out, &outcome))?,
        Ok(_) => out.json(&answer)?,
        Err(_) => return refused(&out, status, &answer),
    }
    Ok(exit)
}

/// What a reload did, for people.
pub(super) fn sentence(out: &Output, outcome: &Reload) -> String {
    match outcome {
        Reload::Unchanged => out.good("the configuration says what is in force already"),
        Reload::Loaded { added, changed, removed } => {
            let part = |word: &str, ids: &[String]| format!("{word} {}", ids.join(", "));
            let parts = [("added", added), ("changed", changed), ("removed", removed)];
            let parts: Vec<_> = parts.iter().filter(|(_, ids)| !ids.is_empty()).map(|(w, ids)| part(w, ids)).collect();
            out.good(&format!("in force: {}", parts.join("; ")))
        }
        Reload::Refused { faults } => {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            out.bad(&format!("{}\nnothing was loaded; the stores before go on serving", faults.join("\n")))
        }
    }
}
