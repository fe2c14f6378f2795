//! `fanlight store inventory` and `fanlight store scrub`: a process of its own, beside gateways that serve.

use std::{
    io::IsTerminal,
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::args::{Inventory, Scrub};
use crate::{
    cli::{Exit, Output, human_size, output::complain},
    config::{Config, process_env},
    db::Db,
    error::{Error, Result},
    scrub::{self, FindingKind, Options, Progress, Report, StoreReport},
    store::Set,
};

/// Findings of a table; the JSON has all.
const SHOWN: usize = 100;
/// Between two lines of progress.
const PAUSE: Duration = Duration::from_secs(2);

pub(super) async fn inventory(args: &Inventory) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let options = Options { store: args.id.clone(), older_than: Duration::ZERO, ..Options::default() };
    let report = match look(args.config.config.as_deref(), &options).await? {
        Ok(report) => report,
        Err(exit) => return Ok(exit),
    };
    if out.is_json() {
        out.json(&report)?;
    } else {
        out.table(COUNTS, report.stores.iter().map(counts))?;
        faults(&out, &report)?;
    }
    let unseen = report.stores.iter().any(|store| store.error.is_some());
    Ok(if unseen { Exit::Failed } else { Exit::Done })
}

pub(super) async fn scrub(args: &Scrub) -> Result<Exit> {
    let out = Output::new(args.output.json);
    let options = Options {
        store: args.id.clone(),
        rehash: if args.all { usize::MAX } else { args.sample },
        older_than: args.older_than,
        delete_orphans: args.delete_orphans,
    };
    let report = match look(args.config.config.as_deref(), &options).await? {
        Ok(report) => report,
        Err(exit) => return Ok(exit),
    };
    if out.is_json() {
        out.json(&report)?;
    } else {
        out.line(render(&out, &report))?;
    }
    Ok(if report.is_well() { Exit::Done } else { Exit::Failed })
}

/// Opens what the configuration names and runs the scrubber.
async fn look(file: Option<&Path>, options: &Options) -> Result<Result<Report, Exit>> {
    let config = match Config::load(file, process_env) {
        Ok(config) => config,
        Err(faults) => {
            complain(&faults.to_string());
            return Ok(Err(Exit::Configuration));
        }
    };
    if let Some(id) = options.store.as_ref().filter(|id| !config.stores.contains_key(*id)) {
        let known: Vec<_> = config.stores.keys().map(String::as_str).collect();
        complain(&format!("there is no store `{id}`; there are: {}", known.join(", ")));
        return Ok(Err(Exit::Usage));
    }
    let db = Db::connect(&config.database, &config.data_dir).await?;
    if !db.schema().await?.is_current() {
        return Err(Error::invalid("the database is not up to date: run `fanlight db migrate`"));
    }
    // No store is probed: a probe may make a folder that is missing, and that it is missing is what people must learn.
    let set = Set::build(&config.stores, None)?;
    let told = Mutex::new(Instant::now());
    let visible = std::io::stderr().is_terminal();
    let progress = |p: Progress<'_>| {
        let Ok(mut told) = told.lock() else { return };
        if visible && (told.elapsed() > PAUSE || p.done == p.of) {
            *told = Instant::now();
            complain(&format!("{}: {} of {} objects hashed, {}", p.store, p.done, p.of, human_size(p.bytes)));
        }
    };
    scrub::run(&db, &set, options, &progress).await.map(Ok)
}

const COUNTS: &[&str] = &["store", "type", "objects", "bytes", "finished", "partial", "known", "orphans", "lost"];

fn counts(store: &StoreReport) -> Vec<String> {
    let unseen = store.error.is_some();
    let number = |n: u64| if unseen { "-".to_owned() } else { n.to_string() };
    vec![
        store.store.clone(),
        store.kind.clone(),
        number(store.objects),
        if unseen { "-".into() } else { human_size(store.bytes) },
        number(store.finished),
        number(store.partial),
        number(store.known),
        number(store.of_kind(FindingKind::Orphan) as u64),
        number(store.of_kind(FindingKind::Lost) as u64),
    ]
}

/// Stores that could not be looked at, and those that should be there.
fn faults(out: &Output, report: &Report) -> Result<()> {
    for line in problems(report) {
        out.line(out.bad(&line))?;
    }
    Ok(())
}

fn problems(report: &Report) -> Vec<String> {
    let unseen = report.stores.iter().filter_map(|s| s.error.as_ref().map(|e| format!("{}: {e}", s.store)));
    let unconfigured = report.unconfigured.iter();
    let missing = unconfigured.map(|(id, images)| format!("{id}: {images} images lie there, and it is not configured"));
    unseen.chain(missing).collect()
}

/// The report for people.
pub(super) fn render(out: &Output, report: &Report) -> String {
    let mut lines = vec![super::super::output::table(COUNTS, report.stores.iter().map(counts))];
    let all: Vec<_> = report.stores.iter().flat_map(|s| s.findings.iter().map(move |f| (s, f))).collect();
    if !all.is_empty() {
        let rows = all.iter().take(SHOWN).map(|(store, f)| {
            let word = f.kind.as_str();
            let word = if f.deleted { format!("{word}, removed") } else { word.to_owned() };
            let size = f.size.map_or_else(|| "-".to_owned(), human_size);
            vec![store.store.clone(), word, f.name.clone(), size, f.detail.clone()]
        });
        lines.push(super::super::output::table(&["store", "finding", "object", "size", "detail"], rows));
        if all.len() > SHOWN {
            lines.push(format!("… and {} more; --json has all", all.len() - SHOWN));
        }
    }
    lines.extend(problems(report).iter().map(|line| out.bad(line)));
    let sum = |of: fn(&StoreReport) -> u64| report.stores.iter().map(of).sum::<u64>();
    lines.push(format!("{} objects hashed, {}", sum(|s| s.hashed), human_size(sum(|s| s.hashed_bytes))));
    let young = sum(|s| s.young);
    if young > 0 {
        lines.push(format!("{young} unknown objects are too young to be judged"));
    }
    let orphans = all.iter().filter(|(_, f)| f.kind == FindingKind::Orphan && !f.deleted).count();
    if orphans > 0 && report.dry_run {
        lines.push(format!("nothing was changed; `--delete-orphans` removes {orphans} orphans"));
    }
    lines.push(if report.is_well() { out.good("all is well") } else { out.bad("something is wrong") });
    lines.join("\n")
}
