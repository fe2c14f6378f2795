//! `fanlight policy check`: everything that can be known of policies without asking them anything.

use serde_json::json;

use super::{Exit, Output, args::Check, find, report};
use crate::{authz, error::Result};

/// Parses, validates and reviews.
///
/// # Errors
/// When standard output is closed.
pub(super) fn run(args: &Check) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let policies = match find(&args.source).and_then(|found| found.load()) {
        Ok(policies) => policies,
        Err(faults) => return report(&out, &faults),
    };
    let faults = authz::review(&policies);
    if !faults.is_empty() {
        return report(&out, &faults);
    }
    if out.is_json() {
        out.json(&json!({"ok": true, "faults": [], "policies": policies.ids()}))?;
    } else {
        out.line(out.good(&format!("{} policies are good", policies.ids().len())))?;
    }
    Ok(Exit::Done)
}
