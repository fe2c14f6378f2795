//! What is wrong with a configuration: every fault with its place, so that one run shows all of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One fault of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The file, or `environment`.
    pub file: String,
    /// Line from 1; absent for a fault of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column in characters from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// Dotted key, or name of the variable. Empty for text that is not TOML.
    pub key: String,
    /// What is wrong, with the limit that was crossed.
    pub problem: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": `{}`", self.key)?;
        }
        write!(f, ": {}", self.problem)?;
        if !self.help.is_empty() {
            write!(f, "\n    help: {}", self.help)?;
        }
        Ok(())
    }
}

/// All faults of a configuration, in the order of the file. Never empty when returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// The faults.
    pub faults: Vec<Fault>,
}

impl Faults {
    /// Sorted by place; faults of the environment come last.
    pub(super) fn sorted(mut faults: Vec<Fault>) -> Self {
        faults.sort_by(|a, b| {
            let place = |f: &Fault| (f.line.is_none(), f.line, f.column);
            place(a).cmp(&place(b)).then_with(|| a.key.cmp(&b.key))
        });
        faults.dedup();
        Self { faults }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(f, "{fault}")?;
        }
        match self.faults.len() {
            1 => f.write_str("the configuration has 1 fault"),
            n => write!(f, "the configuration has {n} faults"),
        }
    }
}

impl std::error::Error for Faults {}

impl From<Faults> for crate::Error {
    fn from(faults: Faults) -> Self {
        Self::invalid(faults.to_string())
    }
}
