//! `fanlight check`: the same reading of the configuration as `serve`, with a report.

use serde_json::json;

use crate::{
    config::{Config, Faults, process_env},
    error::Result,
};

use super::{Check, Exit, Output};

/// Reads the configuration and reports its faults and what is worth a look.
///
/// # Errors
/// When standard output is closed.
pub fn run(args: &Check) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let loaded = Config::load(args.config.config.as_deref(), process_env);
    let exit = if loaded.is_ok() { Exit::Done } else { Exit::Configuration };
    if out.is_json() {
        out.json(&as_json(&loaded))?;
        return Ok(exit);
    }
    match &loaded {
        Ok(config) => {
            out.line(out.good("the configuration is good"))?;
            let warnings = config.warnings();
            if !warnings.is_empty() {
                out.line("worth a look:")?;
            }
            for warning in warnings {
                out.line(format!("  - {warning}"))?;
            }
        }
        Err(faults) => out.line(out.bad(&faults.to_string()))?,
    }
    Ok(exit)
}

fn as_json(loaded: &Result<Config, Faults>) -> serde_json::Value {
    match loaded {
        Ok(config) => json!({"ok": true, "faults": [], "warnings": config.warnings()}),
        Err(faults) => json!({"ok": false, "faults": faults.faults, "warnings": []}),
    }
}
