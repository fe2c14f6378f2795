//! `fanlight policy import`: an operator's rules of Glance as policies, with a proof.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Serialize;

use super::{Exit, Output, args::Import, fmt::standard_form, read_file, report};
use crate::{
    authz::Policies,
    error::Result,
    import::{self, Files, Finding, Outcome, Rules, Stricter},
    rules::Fault,
};

/// What became of one rule.
#[derive(Debug, Serialize)]
struct Row {
    rule: String,
    source: String,
    result: &'static str,
    why: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    rules: Vec<Row>,
    questions: u64,
    differences: usize,
    files: Vec<String>,
}

/// Converts, proves and writes.
///
/// # Errors
/// When standard output is closed.
pub(super) fn run(args: &Import) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let (rules, files, outcomes) = match convert(args) {
        Ok(converted) => converted,
        Err(faults) => return report(&out, &faults),
    };
    let bytes: Vec<_> = files.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes())).collect();
    let policies = match Policies::load(&bytes) {
        Ok(policies) => policies,
        Err(faults) => return report(&out, &faults),
    };
    let findings = import::prove(&rules, &policies, args.prove)?;
    if let Some(folder) = args.out.as_deref().filter(|_| !args.dry_run)
        && let Err(fault) = save(folder, &files, args.force)
    {
        return report(&out, &[fault]);
    }
    let rows: Vec<Row> =
        outcomes.iter().map(|(name, outcome)| row(&rules, name, outcome, findings.get(name))).collect();
    let differences = findings.values().filter(|f| f.different.is_some()).count();
    let refused = rows.iter().any(|row| row.result == "not convertible");
    let names = files.iter().map(|(name, _)| name.clone()).collect();
    show(&out, args, &files, Report { rules: rows, questions: args.prove, differences, files: names }, &findings)?;
    Ok(if refused || differences > 0 { Exit::Failed } else { Exit::Done })
}

type Converted = (Rules, Files, Vec<(String, Outcome)>);

fn convert(args: &Import) -> Result<Converted, Vec<Fault>> {
    let text = |path: &Path| {
        let (name, bytes) = read_file(path)?;
        let text = String::from_utf8(bytes).map_err(|_| Fault::new(&name, None, "is not UTF-8"))?;
        Ok((name, text))
    };
    let mut rules = Rules::glance().map_err(|fault| vec![fault])?;
    if let Some(path) = &args.policy {
        let (name, text) = text(path).map_err(|fault: Fault| vec![fault])?;
        rules.read(&name, &text).map_err(|fault| vec![fault])?;
    }
    let (mut files, outcomes) = import::write(&rules).map_err(|why| vec![Fault::new("rules", None, why)])?;
    if let Some(path) = &args.property_protections {
        let (name, text) = text(path).map_err(|fault: Fault| vec![fault])?;
        let policies = import::protections(&name, &text, args.protections_mode, &rules)?;
        files.retain(|(name, _)| name != import::PROPERTIES);
        files.push((import::PROPERTIES.into(), policies));
    }
    for (name, text) in &mut files {
        *text = standard_form(text).map_err(|why| vec![Fault::new(name.as_str(), None, why)])?;
    }
    Ok((rules, files, outcomes))
}

fn row(rules: &Rules, name: &str, outcome: &Outcome, finding: Option<&Finding>) -> Row {
    let place = rules.get(name).and_then(|rule| rule.place.as_ref());
    let source = place.map_or_else(|| "Glance 33".into(), |(file, line)| format!("{file}:{line}"));
    // That a token without a project gets nothing holds for every rule, and is said once.
    let stricter: Vec<String> = finding
        .map(|f| f.stricter.keys().filter(|s| **s != Stricter::NoProject).map(|s| s.text().to_owned()).collect())
        .unwrap_or_default();
    let (result, why) = match outcome {
        Outcome::Refused(why) => ("not convertible", vec![why.clone()]),
        _ if finding.is_some_and(|f| f.different.is_some()) => ("different", Vec::new()),
        Outcome::Nobody => ("same", vec!["nobody is permitted".into()]),
        Outcome::Part => ("same", vec!["a part of other rules".into()]),
        Outcome::Unused => ("unused", vec!["Glance has no rule of this name, and no rule refers to it".into()]),
        Outcome::Converted if stricter.is_empty() => ("same", Vec::new()),
        Outcome::Converted => ("stricter", stricter),
    };
    Row { rule: name.to_owned(), source, result, why }
}

fn show(
    out: &Output,
    args: &Import,
    files: &Files,
    report: Report,
    findings: &BTreeMap<String, Finding>,
) -> Result<()> {
    if out.is_json() {
        return out.json(&report);
    }
    if args.dry_run {
        for (name, text) in files {
            out.line(format!("// {name}\n{text}"))?;
        }
    }
    out.table(
        &["rule", "source", "result", "why"],
        report.rules.iter().map(|r| vec![r.rule.clone(), r.source.clone(), r.result.into(), r.why.join("; ")]),
    )?;
    let count = |result: &str| report.rules.iter().filter(|row| row.result == result).count();
    out.line(format!(
        "{} rules: {} same, {} stricter, {} not convertible; {} random questions, {} with another answer",
        report.rules.len(),
        count("same"),
        count("stricter"),
        count("not convertible"),
        report.questions,
        report.differences,
    ))?;
    if findings.values().any(|f| f.stricter.contains_key(&Stricter::NoProject)) {
        out.line(format!("everywhere: {}", Stricter::NoProject.text()))?;
    }
    match &args.out {
        Some(folder) if !args.dry_run => out.line(format!(
            "written to {0}; try them beside what is in force: fanlight policy shadow start {0}",
            folder.display()
        )),
        _ => out.line("nothing is written; name a folder with --out"),
    }
}

/// Writes into a folder that is not there yet, or over one that may be replaced.
fn save(folder: &Path, files: &Files, force: bool) -> Result<(), Fault> {
    let name = folder.display().to_string();
    if folder.exists() && !force {
        return Err(Fault::new(name, None, "exists already; name another folder, or add --force"));
    }
    let write = || {
        fs::create_dir_all(folder)?;
        files.iter().try_for_each(|(file, text)| fs::write(folder.join(file), text))
    };
    write().map_err(|e: std::io::Error| Fault::new(name, None, e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(folder: &Path, policy: &str) -> (Import, Result<Converted, Vec<Fault>>) {
        let path = folder.join("policy.yaml");
        fs::write(&path, policy).unwrap();
        let args = Import { policy: Some(path), ..Import::default() };
        let converted = convert(&args);
        (args, converted)
    }

    #[test]
    fn written_files_are_in_standard_form_and_load() {
        let folder = tempfile::tempdir().unwrap();
        let (_, converted) = import(folder.path(), "get_images: role:auditor\n");
        let (rules, files, outcomes) = converted.unwrap();
        let out = folder.path().join("out");
        save(&out, &files, false).unwrap();
        assert!(save(&out, &files, false).unwrap_err().text.contains("--force"));
        save(&out, &files, true).unwrap();
        let read = crate::rules::read_files(&out, &["cedar"]).unwrap();
        let policies = Policies::load(&read).map_err(|f| format!("{f:?}")).unwrap();
        let text = fs::read_to_string(out.join("glance-rules.cedar")).unwrap();
        assert!(text.contains("policy.yaml:1") && text.contains("principal.roles.contains(\"auditor\")"), "{text}");
        let findings = import::prove(&rules, &policies, 1_000).unwrap();
        assert!(findings.values().all(|f| f.different.is_none()));
        let (name, outcome) = outcomes.iter().find(|(name, _)| name == "get_image").unwrap();
        let row = row(&rules, name, outcome, findings.get(name));
        assert_eq!((row.result, row.source.as_str()), ("stricter", "Glance 33"));
    }

    #[test]
    fn a_file_that_is_no_rules_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (_, converted) = import(folder.path(), "- a\n");
        assert!(converted.unwrap_err()[0].file.ends_with("policy.yaml"));
    }
}
