//! `fanlight store copy` and `fanlight store copies`.

use std::{
    io::{IsTerminal, Write, stderr},
    time::Duration,
};

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    args::{Copies, Copy},
    list::refused,
};
use crate::{
    cli::{ConfigArgs, Exit, Output, gateway::ask, human_size, output::complain},
    db::{CopyState, Transfer},
    error::{Error, Result},
};

/// Pause between questions of `--wait`.
const LOOK: Duration = Duration::from_millis(500);
/// Cells of the bar.
const BAR: u64 = 30;

/// The answer of `GET /copies`.
#[derive(Deserialize)]
struct All {
    copies: Vec<Transfer>,
}

pub(super) async fn copy(args: &Copy) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let wish = json!({"image": args.image, "store": args.store});
    let answer = match ask(&args.config, Method::POST, "/copies", Some(wish)).await {
        Ok((StatusCode::ACCEPTED, answer)) => answer,
        Ok((status, answer)) => return refused(&out, status, &answer),
        Err(exit) => return Ok(exit),
    };
    if args.wait {
        let begun: Transfer = serde_json::from_value(answer).map_err(Error::internal)?;
        return wait(&out, &args.config, &begun.id).await;
    }
    if out.is_json() {
        out.json(&answer)?;
    } else {
        let copy: Transfer = serde_json::from_value(answer).map_err(Error::internal)?;
        out.line(format!("copy {} of {} to store {} is queued", copy.id, human_size(copy.total), copy.store))?;
    }
    Ok(Exit::Done)
}

/// Shows how far the copy is until it has ended. The bar is for a terminal only: elsewhere a line for each change of
/// state is enough. It goes to standard error, so that standard output has the outcome alone.
async fn wait(out: &Output, config: &ConfigArgs, id: &str) -> Result<Exit> {
    let bar = stderr().is_terminal() && !out.is_json();
    let mut told: Option<CopyState> = None;
    loop {
        let answer = match ask(config, Method::GET, &format!("/copies/{id}"), None).await {
            Ok((StatusCode::OK, answer)) => answer,
            Ok((status, answer)) => return refused(out, status, &answer),
            Err(exit) => return Ok(exit),
        };
        let copy: Transfer = serde_json::from_value(answer.clone()).map_err(Error::internal)?;
        if bar {
            // Clears the line behind it: the one before may have been longer.
            let _ = write!(stderr(), "\r{}\u{1b}[K", progress(&copy, true));
        } else if told != Some(copy.state) && !out.is_json() {
            complain(&progress(&copy, false));
        }
        told = Some(copy.state);
        if copy.state.is_over() {
            if bar {
                complain("");
            }
            return ended(out, &copy, &answer);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn ended(out: &Output, copy: &Transfer, answer: &Value) -> Result<Exit> {
    let reason = copy.error.as_deref().unwrap_or("given up on request");
    match (out.is_json(), copy.state) {
        (true, _) => out.json(answer)?,
        (false, CopyState::Done) => {
            let text = format!("image {} is in store {} ({})", copy.image_id, copy.store, human_size(copy.total));
            out.line(out.good(&text))?;
        }
        (false, state) => out.line(out.bad(&format!("copy {} is {state}: {reason}", copy.id)))?,
    }
    Ok(if copy.state == CopyState::Done { Exit::Done } else { Exit::Failed })
}

/// For instance `running  12 MiB of 48 MiB (25 %)  alpha → beta`.
fn progress(copy: &Transfer, bar: bool) -> String {
    let cells = u128::from(copy.done) * u128::from(BAR) / u128::from(copy.total.max(1));
    let full = usize::try_from(cells).unwrap_or(usize::MAX).min(usize::try_from(BAR).unwrap_or(usize::MAX));
    let bar = match bar {
        true => format!("[{}{}] ", "#".repeat(full), ".".repeat(usize::try_from(BAR).unwrap_or(full) - full)),
        false => String::new(),
    };
    let from = copy.source.as_deref().map_or(String::new(), |source| format!("{source} → "));
    let trouble = copy.error.as_deref().map_or(String::new(), |error| format!("  last trouble: {error}"));
    format!(
        "{:<10} {bar}{} of {} ({} %)  {from}{}{trouble}",
        copy.state.as_str(),
        human_size(copy.done),
        human_size(copy.total),
        percent(copy),
        copy.store
    )
}

fn percent(copy: &Transfer) -> u128 {
    match copy.total {
        0 if copy.state == CopyState::Done => 100,
        total => u128::from(copy.done) * 100 / u128::from(total.max(1)),
    }
}

pub(super) async fn copies(args: &Copies) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let (method, path) = match &args.cancel {
        Some(id) => (Method::DELETE, format!("/copies/{}", plain(id)?)),
        None => (Method::GET, "/copies".to_owned()),
    };
    let (status, answer) = match ask(&args.config, method, &path, None).await {
        Ok(answer) => answer,
        Err(exit) => return Ok(exit),
    };
    if !status.is_success() {
        return refused(&out, status, &answer);
    }
    if out.is_json() {
        out.json(&answer)?;
        return Ok(Exit::Done);
    }
    let all = match args.cancel {
        Some(_) => vec![serde_json::from_value(answer).map_err(Error::internal)?],
        None => serde_json::from_value::<All>(answer).map_err(Error::internal)?.copies,
    };
    out.table(&["copy", "image", "from", "to", "state", "done", "of", "%", "last trouble"], all.iter().map(row))?;
    Ok(Exit::Done)
}

/// The id goes into a path.
fn plain(id: &str) -> Result<&str> {
    let good = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if good { Ok(id) } else { Err(Error::invalid(format!("`{}` is not the id of a copy", id.escape_debug()))) }
}

fn row(copy: &Transfer) -> Vec<String> {
    vec![
        copy.id.clone(),
        copy.image_id.clone(),
        copy.source.clone().unwrap_or_else(|| "-".into()),
        copy.store.clone(),
        copy.state.to_string(),
        human_size(copy.done),
        human_size(copy.total),
        percent(copy).to_string(),
        copy.error.clone().unwrap_or_else(|| "-".into()),
    ]
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn transfer(done: u64, total: u64, state: CopyState) -> Transfer {
        Transfer {
            id: "019ac1f2".into(),
            image_id: "6b0f3b5e".into(),
            source: Some("alpha".into()),
            store: "beta".into(),
            others: vec![],
            done,
            total,
            state,
            error: None,
            node: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn progress_in_one_line() {
        let half = transfer(24 << 20, 48 << 20, CopyState::Running);
        insta::assert_snapshot!(progress(&half, true), @"running    [###############...............] 24 MiB of 48 MiB (50 %)  alpha → beta");
        insta::assert_snapshot!(progress(&half, false), @"running    24 MiB of 48 MiB (50 %)  alpha → beta");
        let huge = transfer(u64::MAX, u64::MAX, CopyState::Done);
        assert!(progress(&huge, true).contains(&"#".repeat(30)));
        let empty = transfer(0, 0, CopyState::Done);
        assert_eq!(percent(&empty), 100);
    }

    #[test]
    fn ids_stay_in_their_segment() {
        assert!(plain("019ac1f2-7f6e").is_ok());
        for id in ["", "../rules", "a/b", "a?b", "ä"] {
            assert!(plain(id).is_err(), "{id}");
        }
    }
}
