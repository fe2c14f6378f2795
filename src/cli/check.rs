//! `fanlight check`: the same reading of configuration, policies and plug-ins as `serve`, with a report.

use serde_json::json;

use crate::{
    config::{Config, Faults, process_env},
    error::Result,
    rules::{Fault, Rulebook},
};

use super::{Check, Exit, Output};

/// Reads the configuration and reports its faults and what is worth a look.
///
/// # Errors
/// When standard output is closed.
pub fn run(args: &Check) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let loaded = Config::load(args.config.config.as_deref(), process_env);
    let rules = match &loaded {
        Ok(config) => Rulebook::verify(&config.rules, &config.data_dir)?,
        Err(_) => Vec::new(),
    };
    let exit = if loaded.is_ok() && rules.is_empty() { Exit::Done } else { Exit::Configuration };
    if out.is_json() {
        out.json(&as_json(&loaded, &rules))?;
        return Ok(exit);
    }
    for fault in &rules {
        out.line(out.bad(&fault.to_string()))?;
    }
    match &loaded {
        Ok(config) => {
            out.line(out.good("the configuration is good"))?;
            if rules.is_empty() {
                out.line(out.good("policies and plug-ins are good"))?;
            }
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

fn as_json(loaded: &Result<Config, Faults>, rules: &[Fault]) -> serde_json::Value {
    match loaded {
        Ok(config) => {
            json!({"ok": rules.is_empty(), "faults": [], "rules": rules, "warnings": config.warnings()})
        }
        Err(faults) => json!({"ok": false, "faults": faults.faults, "rules": [], "warnings": []}),
    }
}
