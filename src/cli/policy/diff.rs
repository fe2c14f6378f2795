//! `fanlight policy diff`: what a change of policies would change, before it is made.

use super::{Exit, Output, args::Diff, read_file, report};
use crate::{
    authz::{
        Policies, Question,
        diff::{self, Difference},
    },
    error::Result,
    rules::{self, Fault},
};

/// Recorded requests at most.
const REQUESTS_MAX: usize = 1_000_000;

/// Asks both folders and reports what differs.
///
/// # Errors
/// When standard output is closed.
pub(super) fn run(args: &Diff) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let found = match compare(args) {
        Ok(found) => found,
        Err(faults) => return report(&out, &faults).map(|_| Exit::Usage),
    };
    let exit = if found.changed == 0 { Exit::Done } else { Exit::Failed };
    if out.is_json() {
        out.json(&found)?;
    } else {
        show(&out, &found)?;
    }
    Ok(exit)
}

fn compare(args: &Diff) -> Result<Difference, Vec<Fault>> {
    let load = |folder| {
        let files = rules::read_deciding(folder).map_err(|fault| vec![fault])?;
        let at = |fault: Fault| Fault { file: folder.join(&fault.file).display().to_string(), ..fault };
        Policies::load(&files).map_err(|faults| faults.into_iter().map(at).collect::<Vec<_>>())
    };
    let (old, new) = (load(&args.old)?, load(&args.new)?);
    let fault = |e: crate::Error| vec![Fault::new("requests", None, e.message())];
    match &args.requests {
        Some(path) => {
            let (name, bytes) = read_file(path).map_err(|fault| vec![fault])?;
            let questions = recorded(&name, &bytes).map_err(|fault| vec![fault])?;
            diff::compare(&old, &new, questions.into_iter()).map_err(fault)
        }
        None => {
            let questions = diff::generate(&old, &new).map_err(fault)?;
            diff::compare(&old, &new, questions).map_err(fault)
        }
    }
}

fn recorded(name: &str, bytes: &[u8]) -> Result<Vec<Question>, Fault> {
    let lines = bytes.split(|b| *b == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    let mut all = Vec::new();
    for (number, line) in lines {
        if all.len() == REQUESTS_MAX {
            return Err(Fault::new(name, Some(number + 1), format!("more than {REQUESTS_MAX} requests")));
        }
        all.push(serde_json::from_slice(line).map_err(|e| Fault::new(name, Some(number + 1), e.to_string()))?);
    }
    Ok(all)
}

fn show(out: &Output, found: &Difference) -> Result<()> {
    if found.changed > 0 {
        let rows = found.changes.iter().map(|change| {
            let example = change.examples.first();
            vec![
                change.action.to_string(),
                format!("{} → {}", change.old.outcome, change.new.outcome),
                change.count.to_string(),
                example.map(|e| e.question.who()).unwrap_or_default(),
                example.map(|e| e.question.which()).unwrap_or_default(),
                example.map(|e| format!("{}; so far {}", e.new_reason, e.old_reason)).unwrap_or_default(),
            ]
        });
        out.table(&["what", "answer", "how many", "for instance who", "which", "why"], rows)?;
    }
    let text = format!("{} requests asked, {} answers change", found.asked, found.changed);
    out.line(if found.changed == 0 { out.good(&text) } else { out.bad(&text) })
}
