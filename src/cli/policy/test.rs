//! `fanlight policy test`: cases as data, and the policies that no case reaches.

use super::{Exit, Found, Output, args::Test, load, read_file, report};
use crate::{
    authz::{
        Policies,
        cases::{self, Case, Report, Tried},
    },
    error::Result,
    rules::{self, Fault},
};

/// Asks every case; good when all have the expected answer and every policy has decided one.
///
/// # Errors
/// When standard output is closed.
pub(super) fn run(args: &Test) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let loaded = load(&args.source).and_then(|(found, policies)| Ok((policies, read(args, &found)?)));
    let (policies, cases) = match loaded {
        Ok(loaded) => loaded,
        Err(faults) => return report(&out, &faults),
    };
    let tried = match cases::run(&policies, &cases) {
        Ok(tried) => tried,
        Err(error) => return report(&out, &[Fault::new("tests", None, error.message())]),
    };
    let good = tried.failed().next().is_none() && tried.uncovered.is_empty();
    if out.is_json() {
        out.json(&tried)?;
    } else {
        show(&out, &tried)?;
    }
    Ok(if good { Exit::Done } else { Exit::Failed })
}

fn read(args: &Test, found: &Found) -> Result<Vec<Case>, Vec<Fault>> {
    let files = match &found.folder {
        _ if !args.cases.is_empty() => args.cases.iter().map(|path| read_file(path)).collect::<Result<_, _>>(),
        Some(folder) if folder.join("tests").is_dir() => rules::read_files(&folder.join("tests"), &["toml"]),
        Some(_) => Ok(Vec::new()),
        None => Ok(Policies::shipped_cases()),
    };
    let cases = cases::read(&files.map_err(|fault| vec![fault])?)?;
    if cases.is_empty() {
        return Err(vec![Fault::new(
            "tests",
            None,
            "there is no case: write them into tests/*.toml beside the policies",
        )]);
    }
    Ok(cases)
}

fn show(out: &Output, tried: &Report) -> Result<()> {
    let failed: Vec<_> = tried.failed().map(row).collect();
    let failures = failed.len();
    if failures > 0 {
        out.table(&["case", "at", "expected", "answer"], failed)?;
    }
    for id in &tried.uncovered {
        out.line(out.bad(&format!("no case is decided by `{id}`")))?;
    }
    let covered = tried.policies - tried.uncovered.len();
    let text =
        format!("{} cases, {failures} failed; {covered} of {} policies covered", tried.cases.len(), tried.policies);
    out.line(if failures == 0 && covered == tried.policies { out.good(&text) } else { out.bad(&text) })
}

fn row(tried: &Tried) -> Vec<String> {
    let by = |outcome: String, ids: Vec<&str>| match ids.as_slice() {
        [] => outcome,
        ids => format!("{outcome} by {}", ids.join(", ")),
    };
    let wanted = tried.expected_policies.iter().flatten().map(String::as_str).collect();
    let got = tried.answer.policies.iter().map(String::as_str).collect();
    vec![
        tried.name.clone(),
        tried.at.clone(),
        by(tried.expected.to_string(), wanted),
        by(tried.answer.outcome.to_string(), got),
    ]
}
