//! `fanlight policy fmt`: the standard form of policies, as the formatter of Cedar writes it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cedar_policy_formatter::{Config, policies_str_to_pretty};

use super::{Exit, Output, args::Fmt, report};
use crate::{error::Result, rules::Fault};

/// Wide enough for a role check on one line.
const FORM: Config = Config { line_width: 100, indent_width: 2 };

/// Formats files in place, or says which ones would change.
///
/// # Errors
/// When standard output is closed.
pub(super) fn run(args: &Fmt) -> Result<Exit> {
    let out = Output::new(false);
    let (mut changed, mut faults) = (Vec::new(), Vec::new());
    for path in &args.paths {
        for file in files(path, &mut faults) {
            match format(&file, args.check) {
                Ok(true) => changed.push(file),
                Ok(false) => {}
                Err(fault) => faults.push(fault),
            }
        }
    }
    for file in &changed {
        let verdict = if args.check { out.bad("is not in the standard form") } else { out.good("formatted") };
        out.line(format!("{}: {verdict}", file.display()))?;
    }
    if !faults.is_empty() {
        return report(&out, &faults);
    }
    Ok(if args.check && !changed.is_empty() { Exit::Failed } else { Exit::Done })
}

/// A file, or the policies of a folder.
fn files(path: &Path, faults: &mut Vec<Fault>) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    match fs::read_dir(path) {
        Ok(entries) => {
            let all = entries.filter_map(|entry| entry.ok().map(|e| e.path()));
            let mut files: Vec<_> = all.filter(|p| p.extension().is_some_and(|e| e == "cedar")).collect();
            files.sort();
            files
        }
        Err(error) => {
            faults.push(Fault::new(path.display().to_string(), None, error.to_string()));
            Vec::new()
        }
    }
}

/// Whether the file is not in the standard form; puts it into it unless it is only to be looked at.
fn format(path: &Path, only_look: bool) -> Result<bool, Fault> {
    let fault = |text: String| Fault::new(path.display().to_string(), None, text);
    let text = fs::read_to_string(path).map_err(|e| fault(e.to_string()))?;
    let pretty = standard_form(&text).map_err(fault)?;
    if pretty == text {
        return Ok(false);
    }
    if !only_look {
        // Beside it first: a reader never sees half of a file.
        let beside = path.with_extension("cedar.new");
        fs::write(&beside, pretty).and_then(|()| fs::rename(&beside, path)).map_err(|e| fault(e.to_string()))?;
    }
    Ok(true)
}

/// The standard form of policies.
///
/// # Errors
/// What is wrong with the text.
pub fn standard_form(text: &str) -> Result<String, String> {
    policies_str_to_pretty(text, &FORM).map_err(|error| match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    })
}
