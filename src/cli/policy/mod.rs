//! `fanlight policy`: policies from the first try to the day they are taken back.

use std::{fs, path::Path};

use crate::{
    authz::Policies,
    config::{Config, process_env},
    error::Result,
    rules::{self, Fault},
};

use super::{Exit, Output, output::complain};

mod activate;
mod args;
mod check;
mod diff;
mod explain;
mod fmt;
mod import;
mod live;
mod shadow;
mod test;

pub use args::Policy;
pub use fmt::standard_form;

use args::Source;

/// Runs one of the subcommands.
///
/// # Errors
/// When standard output is closed.
pub async fn run(command: &Policy) -> Result<Exit> {
    match command {
        Policy::Check(args) => check::run(args),
        Policy::Test(args) => test::run(args),
        Policy::Explain(args) => explain::run(args).await,
        Policy::Diff(args) => diff::run(args),
        Policy::Fmt(args) => fmt::run(args),
        Policy::Import(args) => import::run(args),
        Policy::Shadow(command) => shadow::run(command).await,
        Policy::Activate(args) => activate::activate(args).await,
        Policy::Rollback(args) => activate::rollback(args).await,
    }
}

/// Policies, and where they come from.
struct Found {
    /// `None` for the shipped ones.
    folder: Option<std::path::PathBuf>,
    files: Vec<(String, Vec<u8>)>,
}

impl Found {
    fn load(&self) -> Result<Policies, Vec<Fault>> {
        Policies::load(&self.files)
    }
}

/// The files of a folder, of the configured folder, or else the shipped ones.
fn find(source: &Source) -> Result<Found, Vec<Fault>> {
    let folder = match &source.folder {
        Some(folder) => Some(folder.clone()),
        None => {
            let config = Config::load(source.config.config.as_deref(), process_env)
                .map_err(|faults| vec![Fault::new("configuration", None, faults.to_string())])?;
            let configured = config.rules.policies.clone();
            configured.or_else(|| Some(config.data_dir.join("policies")).filter(|folder| folder.exists()))
        }
    };
    let files = match &folder {
        Some(folder) => rules::read_deciding(folder).map_err(|fault| vec![fault])?,
        None => Policies::shipped().into_iter().filter(|(name, _)| name.ends_with(".cedar")).collect(),
    };
    Ok(Found { folder, files })
}

fn load(source: &Source) -> Result<(Found, Policies), Vec<Fault>> {
    let found = find(source)?;
    let policies = found.load()?;
    Ok((found, policies))
}

/// Reports faults of input files: as a list, or as JSON.
fn report(out: &Output, faults: &[Fault]) -> Result<Exit> {
    if out.is_json() {
        out.json(&serde_json::json!({"ok": false, "faults": faults}))?;
    } else {
        for fault in faults {
            complain(&out.bad(&fault.to_string()));
        }
    }
    Ok(Exit::Failed)
}

/// A file that the operator named.
fn read_file(path: &Path) -> Result<(String, Vec<u8>), Fault> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(|e| Fault::new(&name, None, e.to_string()))?;
    Ok((name, bytes))
}

#[cfg(test)]
mod tests;
