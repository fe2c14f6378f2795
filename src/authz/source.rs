//! From files to named, validated policies; every refusal says file and line.

use std::collections::{BTreeMap, HashMap};

use cedar_policy::{Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;

use crate::rules::Fault;

/// Where a policy is written: file, line, and the whole text of the file.
struct Origin<'a> {
    file: &'a str,
    text: &'a str,
    line: usize,
}

/// Where a policy is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) line: usize,
}

/// Places by policy id.
pub(super) type Places = HashMap<PolicyId, Place>;

/// Parses and validates all files together: an `@id` is unique among all of them.
pub(super) fn parse(files: &[&(String, Vec<u8>)], schema: &Schema) -> Result<(PolicySet, Places), Vec<Fault>> {
    let mut faults = Vec::new();
    let mut origins: HashMap<PolicyId, Origin<'_>> = HashMap::new();
    let mut all = PolicySet::new();
    for (file, bytes) in files {
        let Ok(text) = std::str::from_utf8(bytes) else {
            faults.push(Fault::new(file, None, "the file is not UTF-8"));
            continue;
        };
        match text.parse::<PolicySet>() {
            Ok(set) => add_file(file, text, &set, &mut all, &mut origins, &mut faults),
            Err(errors) => faults.extend(errors.iter().map(|e| fault(file, text, e, None))),
        }
    }
    if faults.is_empty() && all.is_empty() {
        faults.push(Fault::new("*.cedar", None, "there is no policy: everything would be denied"));
    }
    let result = Validator::new(schema.clone()).validate(&all, ValidationMode::Strict);
    let errors = result.validation_errors().map(|e| (e.policy_id(), e as &dyn Diagnostic));
    let warnings = result.validation_warnings().map(|w| (w.policy_id(), w as &dyn Diagnostic));
    for (id, diagnostic) in errors.chain(warnings) {
        faults.push(match origins.get(id) {
            Some(o) => fault(o.file, o.text, diagnostic, Some(o.line)),
            None => Fault::new("*.cedar", None, diagnostic.to_string()),
        });
    }
    if faults.is_empty() {
        let place = |o: Origin<'_>| Place { file: o.file.to_owned(), line: o.line };
        Ok((all, origins.into_iter().map(|(id, o)| (id, place(o))).collect()))
    } else {
        faults.sort();
        Err(faults)
    }
}

/// Moves the policies of one file into `all`, under their `@id`.
fn add_file<'a>(
    file: &'a str,
    text: &'a str,
    set: &PolicySet,
    all: &mut PolicySet,
    origins: &mut HashMap<PolicyId, Origin<'a>>,
    faults: &mut Vec<Fault>,
) {
    for template in set.templates() {
        let line = text.find(template.to_string().trim()).map(|at| line_of(text, at));
        faults.push(Fault::new(file, line, "templates (`?principal`, `?resource`) are not supported"));
    }
    // The parser numbers policies in the order of the text; a policy's text is found after the one before it.
    let numbered: BTreeMap<usize, &Policy> = set.policies().map(|p| (number(p.id()), p)).collect();
    let mut from = 0;
    for policy in numbered.values() {
        let source = policy.to_string();
        let at = text.get(from..).and_then(|rest| rest.find(source.trim())).map_or(from, |i| from + i);
        from = at + source.trim().len();
        let line = line_of(text, at);
        let Some(name) = policy.annotation("id").filter(|name| !name.is_empty()) else {
            faults.push(Fault::new(file, Some(line), "the policy has no `@id(\"…\")`: decisions could not name it"));
            continue;
        };
        let id = PolicyId::new(name);
        if let Some(first) = origins.get(&id) {
            let text = format!("`@id(\"{name}\")` is taken by {}:{}", first.file, first.line);
            faults.push(Fault::new(file, Some(line), text));
            continue;
        }
        if let Err(error) = all.add(policy.new_id(id.clone())) {
            faults.push(Fault::new(file, Some(line), error.to_string()));
            continue;
        }
        origins.insert(id, Origin { file, text, line });
    }
}

fn number(id: &PolicyId) -> usize {
    let id: &str = id.as_ref();
    id.trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|b| *b == b'\n').count()
}

fn fault(file: &str, text: &str, diagnostic: &dyn Diagnostic, fallback: Option<usize>) -> Fault {
    let line = diagnostic
        .labels()
        .and_then(|mut labels| labels.next())
        .map(|label| line_of(text, label.offset()))
        .or(fallback);
    let mut message = diagnostic.to_string();
    if let Some(help) = diagnostic.help() {
        message = format!("{message} ({help})");
    }
    Fault::new(file, line, message)
}
