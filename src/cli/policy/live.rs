//! Explanations by the running gateway, and what its log remembers of a decision that the gateway has forgotten.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    super::{gateway::ask_as, output::complain},
    Exit, Output,
    args::Explain,
    explain::{principal, show},
};
use crate::{
    authz::Explanation,
    config::{Config, Identity},
    error::{Error, Result},
};

#[derive(Deserialize)]
struct Explained {
    reason: String,
    hidden: Option<String>,
    explanation: Option<Explanation>,
}

/// Explains a question about an image of the gateway.
///
/// # Errors
/// When standard output is closed.
pub(super) async fn question(args: &Explain, image: &str) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let wish = json!({
        "principal": principal(args),
        "action": args.action,
        "image": image,
        "member": args.member,
        "property": args.property,
        "store": args.store,
    });
    explain(args, &out, wish).await
}

/// Explains a decision of the gateway.
///
/// # Errors
/// When standard output is closed.
pub(super) async fn decision(args: &Explain, id: &str) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let exit = match ask(args, Method::GET, &format!("/decisions/{id}"), None).await {
        Ok((StatusCode::OK, answer)) => return show_all(&out, answer),
        Ok((_, answer)) => stop(Exit::Failed, &message(&answer)),
        Err(exit) => exit,
    };
    match &args.log {
        Some(log) => from_log(args, &out, log, id).await,
        None => Ok(exit),
    }
}

fn show_all(out: &Output, answer: Value) -> Result<Exit> {
    if out.is_json() {
        return out.json(&answer).map(|()| Exit::Done);
    }
    let all: Vec<Explained> = serde_json::from_value(answer).map_err(Error::internal)?;
    for one in all {
        match one.explanation {
            Some(explanation) if explanation.reason == one.reason => show(out, &explanation)?,
            Some(explanation) => {
                out.line(&one.reason)?;
                show(out, &explanation)?;
            }
            None => out.line(&one.reason)?,
        }
        if let Some(hidden) = one.hidden {
            out.line(format!(
                "an image that stays hidden is said not to be there (404), and `get_image` is denied: {hidden}"
            ))?;
        }
    }
    Ok(Exit::Done)
}

/// The line says who, what and which; the facts of the image are those of now.
async fn from_log(args: &Explain, out: &Output, log: &Path, id: &str) -> Result<Exit> {
    let line = match find(log, id) {
        Ok(Some(line)) => line,
        Ok(None) => return Ok(stop(Exit::Failed, &format!("`{id}` is not in `{}`", log.display()))),
        Err(error) => return Ok(stop(Exit::Failed, &format!("cannot read `{}`: {error}", log.display()))),
    };
    let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
    if !out.is_json() {
        let generation = line.get("generation").and_then(Value::as_u64).unwrap_or_default();
        out.line(format!(
            "{}: user `{}` of project `{}` asked for `{}` on `{}`; generation {generation} answered {} by {}",
            text("timestamp"),
            text("user"),
            text("project"),
            text("action"),
            text("resource"),
            text("outcome"),
            text("policies"),
        ))?;
        out.line("with the facts and the rules of now:")?;
    }
    explain(args, out, wish(&line)).await
}

/// The line of the log that is about this decision or request.
fn find(log: &Path, id: &str) -> std::io::Result<Option<Map<String, Value>>> {
    for line in BufReader::new(File::open(log)?).lines() {
        let line = line?;
        if !line.contains(id) {
            continue;
        }
        let Ok(fields) = serde_json::from_str::<Map<String, Value>>(&line) else { continue };
        let is = |key: &str| fields.get(key).and_then(Value::as_str) == Some(id);
        if fields.contains_key("outcome") && (is("decision") || is("request_id")) {
            return Ok(Some(fields));
        }
    }
    Ok(None)
}

/// The question of a line.
fn wish(line: &Map<String, Value>) -> Value {
    let text = |key: &str| line.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    // Sets stand in the log as `{"a", "b"}`.
    let set = |key: &str| {
        let list = text(key).unwrap_or("{}").replacen('{', "[", 1).replace('}', "]");
        serde_json::from_str::<Value>(&list).unwrap_or_else(|_| json!([]))
    };
    let mut wish = json!({
        "principal": {
            "user": text("user").unwrap_or_default(),
            "project": text("project"),
            "roles": set("roles"),
            "service_roles": set("service_roles"),
        },
        "action": text("action"),
    });
    let mut parts = text("resource").unwrap_or_default().splitn(4, '/');
    if let Some(fields) = wish.as_object_mut() {
        while let (Some(kind), Some(id)) = (parts.next(), parts.next()) {
            fields.insert(kind.to_owned(), id.into());
        }
    }
    wish
}

fn stop(exit: Exit, text: &str) -> Exit {
    complain(text);
    exit
}

fn message(answer: &Value) -> String {
    answer.get("message").and_then(Value::as_str).map_or_else(|| answer.to_string(), str::to_owned)
}

async fn ask(args: &Explain, method: Method, path: &str, body: Option<Value>) -> Result<(StatusCode, Value), Exit> {
    let who = |config: &Config| credentials(&config.identity, args.token.as_deref());
    ask_as(&args.source.config, who, method, path, body).await
}

async fn explain(args: &Explain, out: &Output, wish: Value) -> Result<Exit> {
    match ask(args, Method::POST, "/explain", Some(wish)).await {
        Ok((StatusCode::OK, answer)) if out.is_json() => out.json(&answer).map(|()| Exit::Done),
        Ok((StatusCode::OK, answer)) => {
            show(out, &serde_json::from_value(answer).map_err(Error::internal)?).map(|()| Exit::Done)
        }
        Ok((_, answer)) => Ok(stop(Exit::Failed, &message(&answer))),
        Err(exit) => Ok(exit),
    }
}

/// Whoever reads the configuration is an operator: where it says that headers are believed, they are sent. Keystone
/// believes a token alone.
fn credentials(identity: &Identity, token: Option<&str>) -> Result<HeaderMap, String> {
    let help = "give an administrator's token: --token or OS_TOKEN, from `openstack token issue -f value -c id`";
    let token = match (identity, token) {
        (_, Some(token)) => token,
        (Identity::Dev, None) => "admin",
        (Identity::TrustedHeaders { .. }, None) => {
            let all = [
                ("x-identity-status", "Confirmed"),
                ("x-user-id", "operator"),
                ("x-project-id", "operator"),
                ("x-roles", "admin,member,reader"),
            ];
            let header = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
            return Ok(all.into_iter().map(header).collect());
        }
        (Identity::Keystone(_), None) => return Err(help.into()),
    };
    let mut value = HeaderValue::try_from(token).map_err(|_| help.to_owned())?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(HeaderName::from_static("x-auth-token"), value)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_becomes_the_question_again() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let line = r#"{"timestamp":"t","level":"INFO","decision":"d1","action":"read_property",
            "resource":"image/i1/property/a/b","outcome":"deny","policies":"[]","generation":3,"user":"bob",
            "project":"green","roles":"{\"member\", \"reader\"}","service_roles":"{}","request_id":"req-1"}"#;
        std::fs::write(&log, format!("not json d1\n{{\"x\":\"d1\"}}\n{}\n", line.replace('\n', ""))).unwrap();
        for id in ["d1", "req-1"] {
            let found = wish(&find(&log, id).unwrap().unwrap());
            assert_eq!(found["principal"]["roles"], json!(["member", "reader"]));
            assert_eq!(found["principal"]["service_roles"], json!([]));
            assert_eq!((&found["image"], &found["property"]), (&json!("i1"), &json!("a/b")));
        }
        assert!(find(&log, "d2").unwrap().is_none());
    }

    #[test]
    fn a_token_is_asked_for_only_where_nothing_else_is_believed() {
        assert_eq!(credentials(&Identity::Dev, None).unwrap()["x-auth-token"], "admin");
        let trusted = Identity::TrustedHeaders { peers: Vec::new() };
        assert_eq!(credentials(&trusted, None).unwrap()["x-identity-status"], "Confirmed");
        assert_eq!(credentials(&trusted, Some("t")).unwrap().len(), 1);
        assert!(credentials(&Identity::Dev, Some("a\nb")).is_err());
    }
}
