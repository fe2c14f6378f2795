//! `fanlight db`: bring the database up to date, see where it stands, look for contradictions.

use serde_json::json;

use super::{Database, Exit, Output, output::complain};
use crate::{
    config::{Config, process_env},
    db::Db,
    error::Result,
};

/// Runs one of the database commands.
///
/// # Errors
/// When the database cannot be reached, or standard output is closed.
pub async fn run(command: &Database) -> Result<Exit> {
    let (Database::Migrate(args) | Database::Status(args) | Database::Check(args)) = command;
    let config = match Config::load(args.config.config.as_deref(), process_env) {
        Ok(config) => config,
        Err(faults) => {
            complain(&faults.to_string());
            return Ok(Exit::Configuration);
        }
    };
    let db = Db::connect(&config.database, &config.data_dir).await?;
    let out = Output::new(args.output.json);
    match command {
        Database::Migrate(_) => migrate(&db, &out).await,
        Database::Status(_) => status(&db, &out).await,
        Database::Check(_) => check(&db, &out).await,
    }
}

async fn migrate(db: &Db, out: &Output) -> Result<Exit> {
    let applied = db.migrate().await?;
    if out.is_json() {
        out.json(&json!({"applied": applied}))?;
        return Ok(Exit::Done);
    }
    for step in &applied {
        out.line(format!("applied {step}"))?;
    }
    out.line(out.good(if applied.is_empty() { "nothing to do" } else { "the database is up to date" }))?;
    Ok(Exit::Done)
}

async fn status(db: &Db, out: &Output) -> Result<Exit> {
    let status = db.schema().await?;
    let exit = if status.is_current() { Exit::Done } else { Exit::Failed };
    if out.is_json() {
        out.json(&status)?;
        return Ok(exit);
    }
    let numbers = |steps: &[i64]| steps.iter().map(i64::to_string).collect::<Vec<_>>();
    let cell = |steps: Vec<String>| if steps.is_empty() { "none".to_owned() } else { steps.join("\n") };
    let rows = [
        vec!["applied".to_owned(), cell(status.applied.clone())],
        vec!["pending".to_owned(), cell(status.pending.clone())],
        vec!["unknown to this version".to_owned(), cell(numbers(&status.unknown))],
        vec!["changed since".to_owned(), cell(numbers(&status.changed))],
    ];
    out.table(&["migrations", "steps"], rows)?;
    if !status.is_current() {
        out.line(out.bad("not up to date: run `fanlight db migrate`"))?;
    }
    Ok(exit)
}

async fn check(db: &Db, out: &Output) -> Result<Exit> {
    let findings = db.check().await?;
    let exit = if findings.is_empty() { Exit::Done } else { Exit::Failed };
    if out.is_json() {
        out.json(&json!({"findings": findings}))?;
        return Ok(exit);
    }
    for finding in &findings {
        out.line(out.bad(finding))?;
    }
    if findings.is_empty() {
        out.line(out.good("no contradiction found; the quota ledger equals a recount"))?;
    }
    Ok(exit)
}
