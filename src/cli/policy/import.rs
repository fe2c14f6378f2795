//! `fanlight policy import`: an operator's rules of Glance as policies, with a proof.

use std::{fs, path::Path};

use serde::Serialize;

use super::{Exit, Output, args::Import, fmt::standard_form, read_file, report};
use crate::{
    authz::Policies,
    error::Result,
    import::{self, Files, Finding, Findings, Original, Outcome, Protections, Rules, Stricter},
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
    differences: u64,
    files: Vec<String>,
    written: bool,
}

/// Converts, proves and writes.
///
/// # Errors
/// When standard output is closed.
pub(super) fn run(args: &Import) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let converted = match convert(args) {
        Ok(converted) => converted,
        Err(faults) => return report(&out, &faults),
    };
    let policies = match converted.load() {
        Ok(policies) => policies,
        Err(faults) => return report(&out, &faults),
    };
    let findings = import::prove(converted.original(), &policies, args.prove)?;
    let rows = rows(args, &converted, &findings);
    let has = |result: &str| rows.iter().any(|row| row.result == result);
    let (refused, wider) = (has(REFUSED), has(DIFFERENT) || has(LOOSER));
    let folder = args.out.as_deref().filter(|_| !args.dry_run && (!wider || args.force));
    if let Some(folder) = folder
        && let Err(fault) = save(folder, &converted.files, args.force)
    {
        return report(&out, &[fault]);
    }
    let report = Report {
        rules: rows,
        questions: args.prove,
        differences: findings.values().map(|f| f.differences).sum(),
        files: converted.files.iter().map(|(name, _)| name.clone()).collect(),
        written: folder.is_some(),
    };
    show(&out, args, &converted.files, report, &findings)?;
    Ok(if refused || wider { Exit::Failed } else { Exit::Done })
}

/// What was read and what became of it.
struct Converted {
    rules: Rules,
    protections: Option<Protections>,
    files: Files,
    outcomes: Vec<(String, Outcome)>,
}

impl Converted {
    fn original(&self) -> Original<'_> {
        Original { rules: &self.rules, protections: self.protections.as_ref() }
    }

    fn load(&self) -> Result<Policies, Vec<Fault>> {
        let bytes: Vec<_> = self.files.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes())).collect();
        Policies::load(&bytes)
    }
}

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
    let mut protections = None;
    if let Some(path) = &args.property_protections {
        let (name, text) = text(path).map_err(|fault: Fault| vec![fault])?;
        let read = Protections::read(&name, &text, args.protections_mode)?;
        files.retain(|(name, _)| name != import::PROPERTIES);
        files.push((import::PROPERTIES.into(), read.policies(&rules)?));
        protections = Some(read);
    }
    for (name, text) in &mut files {
        *text = standard_form(text).map_err(|why| vec![Fault::new(name.as_str(), None, why)])?;
    }
    Ok(Converted { rules, protections, files, outcomes })
}

/// What a rule can come to, beside `same`, `stricter` and `unused`.
const REFUSED: &str = "not convertible";
const DIFFERENT: &str = "different";
const LOOSER: &str = "looser";

/// A row for each rule, and for each operation on protected properties.
fn rows(args: &Import, converted: &Converted, findings: &Findings) -> Vec<Row> {
    let rules = &converted.rules;
    let mut rows: Vec<Row> =
        converted.outcomes.iter().map(|(name, outcome)| row(rules, name, outcome, findings.get(name))).collect();
    if let Some(path) = &args.property_protections {
        let source = path.display().to_string();
        let own = findings.iter().filter(|(name, _)| !rows.iter().any(|row| row.rule == **name));
        let own: Vec<Row> = own.map(|(name, finding)| property_row(name, &source, finding)).collect();
        rows.extend(own);
    }
    rows
}

fn row(rules: &Rules, name: &str, outcome: &Outcome, finding: Option<&Finding>) -> Row {
    let place = rules.get(name).and_then(|rule| rule.place.as_ref());
    let source = place.map_or_else(|| "Glance 33".into(), |(file, line)| format!("{file}:{line}"));
    let stricter = finding.map(reasons).unwrap_or_default();
    let remarks = import::remarks(rules, name);
    let (result, mut why) = match outcome {
        Outcome::Refused(why) => (REFUSED, vec![why.clone()]),
        _ if finding.is_some_and(|f| f.differences > 0) => (DIFFERENT, Vec::new()),
        Outcome::Nobody => ("same", vec!["nobody is permitted".into()]),
        Outcome::Part => ("same", vec!["a part of other rules".into()]),
        Outcome::Unused => ("unused", vec!["Glance has no rule of this name, and no rule refers to it".into()]),
        Outcome::Converted if !remarks.looser.is_empty() => (LOOSER, remarks.looser),
        Outcome::Converted if stricter.is_empty() => ("same", Vec::new()),
        Outcome::Converted => ("stricter", stricter),
    };
    why.extend(remarks.notes);
    Row { rule: name.to_owned(), source, result, why }
}

fn property_row(name: &str, source: &str, finding: &Finding) -> Row {
    let why = reasons(finding);
    let result = match (finding.differences, why.is_empty()) {
        (0, true) => "same",
        (0, false) => "stricter",
        _ => DIFFERENT,
    };
    Row { rule: name.to_owned(), source: source.to_owned(), result, why }
}

/// Why the policies are stricter. That a token without a project gets nothing holds for every rule, and is said once.
fn reasons(finding: &Finding) -> Vec<String> {
    finding.stricter.keys().filter(|s| **s != Stricter::NoProject).map(|s| s.text().to_owned()).collect()
}

fn show(out: &Output, args: &Import, files: &Files, report: Report, findings: &Findings) -> Result<()> {
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
        "{} rules: {} same, {} stricter, {} looser, {} not convertible; {} random questions, {} with another answer",
        report.rules.len(),
        count("same"),
        count("stricter"),
        count(LOOSER),
        count(REFUSED),
        report.questions,
        report.differences,
    ))?;
    if findings.values().any(|f| f.stricter.contains_key(&Stricter::NoProject)) {
        out.line(format!("everywhere: {}", Stricter::NoProject.text()))?;
    }
    match &args.out {
        Some(folder) if report.written => out.line(format!(
            "written to {0}; try them beside what is in force: fanlight policy shadow start {0}",
            folder.display()
        )),
        Some(_) if !args.dry_run => {
            out.line("nothing is written, as the policies may permit more than Glance; --force writes all the same")
        }
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
        let args = Import { policy: Some(path), out: Some(folder.join("out")), prove: 500, ..Import::default() };
        let converted = convert(&args);
        (args, converted)
    }

    #[test]
    fn what_may_permit_more_is_written_with_force_only() {
        let folder = tempfile::tempdir().unwrap();
        let (args, _) = import(folder.path(), "cache_list: service_roles:service\n");
        let out = folder.path().join("out");
        assert_eq!((run(&args).unwrap(), out.exists()), (Exit::Failed, false));
        let forced = Import { force: true, ..args };
        assert_eq!((run(&forced).unwrap(), out.exists()), (Exit::Failed, true));
        let (args, _) = import(folder.path(), "cache_list: role:service\n");
        fs::remove_dir_all(&out).unwrap();
        assert_eq!((run(&args).unwrap(), out.exists()), (Exit::Done, true));
        let (args, _) = import(folder.path(), "cache_list: http://elsewhere\n");
        fs::remove_dir_all(&out).unwrap();
        assert_eq!((run(&args).unwrap(), out.exists()), (Exit::Failed, true), "nobody is permitted then");
    }

    #[test]
    fn remarks_are_in_the_report() {
        let folder = tempfile::tempdir().unwrap();
        let (_, converted) = import(folder.path(), "cache_list: tenant:x or role:a\ncache_prune: service_roles:Big\n");
        let converted = converted.unwrap();
        let row = |name: &str| {
            let (_, outcome) = converted.outcomes.iter().find(|(n, _)| n == name).unwrap();
            row(&converted.rules, name, outcome, None)
        };
        assert_eq!((row("cache_list").result, row("cache_prune").result), ("same", "same"));
        assert!(row("cache_list").why[0].contains("no credential `tenant`"));
    }

    #[test]
    fn written_files_are_in_standard_form_and_load() {
        let folder = tempfile::tempdir().unwrap();
        let (args, converted) = import(folder.path(), "get_images: role:auditor\n");
        let (converted, out) = (converted.unwrap(), args.out.clone().unwrap());
        save(&out, &converted.files, false).unwrap();
        assert!(save(&out, &converted.files, false).unwrap_err().text.contains("--force"));
        save(&out, &converted.files, true).unwrap();
        let read = crate::rules::read_files(&out, &["cedar"]).unwrap();
        let policies = Policies::load(&read).map_err(|f| format!("{f:?}")).unwrap();
        let text = fs::read_to_string(out.join("glance-rules.cedar")).unwrap();
        assert!(text.contains("policy.yaml:1") && text.contains("principal.roles.contains(\"auditor\")"), "{text}");
        let findings = import::prove(converted.original(), &policies, 6_000).unwrap();
        assert!(findings.values().all(|f| f.different.is_none()));
        let rows = rows(&args, &converted, &findings);
        let row = rows.iter().find(|row| row.rule == "get_image").unwrap();
        assert_eq!((row.result, row.source.as_str()), ("stricter", "Glance 33"));
    }

    #[test]
    fn a_file_that_is_no_rules_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (_, converted) = import(folder.path(), "- a\n");
        assert!(converted.err().unwrap()[0].file.ends_with("policy.yaml"));
    }
}
