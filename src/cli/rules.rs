//! `fanlight rules`: the rules of the running gateway.

use http::{Method, StatusCode};
use serde_json::Value;

use crate::error::Result;

use super::{
    Exit, Output, Rules,
    gateway::{ask, plain},
};

/// Shows or reloads the rules of the gateway that runs with this configuration.
///
/// # Errors
/// When standard output is closed.
pub async fn run(command: &Rules) -> Result<Exit> {
    let (method, path, config, output) = match command {
        Rules::Status(args) => (Method::GET, "/rules", &args.config, args.output),
        Rules::Reload(args) => {
            let path = if args.accept_removals { "/rules/reload?accept_removals=true" } else { "/rules/reload" };
            (Method::POST, path, &args.config, args.output)
        }
    };
    match ask(config, method, path, None).await {
        Ok((status, answer)) => show(&Output::new(output.json), status, &answer),
        Err(exit) => Ok(exit),
    }
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
