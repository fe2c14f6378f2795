//! What people read.

use std::collections::BTreeMap;

use clap::Parser;

use super::{change, scrub};
use crate::{
    app::Reload,
    cli::{Cli, Command, Output},
    config::{Fault, StoreState},
    scrub::{Finding, FindingKind, Report, StoreReport},
};

fn parse(line: &str) -> Result<super::Store, clap::Error> {
    match Cli::try_parse_from(line.split(' '))?.command {
        Command::Store(command) => Ok(command),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_state_is_named_or_reset() {
    let super::Store::State(args) = parse("fanlight store state a draining").unwrap() else { panic!() };
    assert_eq!((args.id.as_str(), args.state, args.reset), ("a", Some(StoreState::Draining), false));
    assert!(parse("fanlight store state a --reset").is_ok());
    for bad in ["fanlight store state a", "fanlight store state a down", "fanlight store state a up --reset"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert!(parse("fanlight store scrub --all --sample 3").is_err());
    assert!(parse("fanlight store scrub --older-than yesterday").is_err());
    let super::Store::Scrub(args) = parse("fanlight store scrub a --older-than 90m").unwrap() else { panic!() };
    assert_eq!((args.older_than.as_secs(), args.sample, args.delete_orphans), (5400, 10, false));
}

#[test]
fn a_reload_is_told_in_a_sentence() {
    let out = Output::uncoloured();
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    let loaded = Reload::Loaded { added: ids(&["c", "d"]), changed: ids(&[]), removed: ids(&["a"]) };
    assert_eq!(change::sentence(&out, &loaded), "in force: added c, d; removed a");
    let fault = Fault {
        file: "f.toml".into(),
        line: Some(3),
        column: Some(1),
        key: "store.a".into(),
        problem: "is wrong".into(),
        help: "mend it".into(),
    };
    insta::assert_snapshot!(change::sentence(&out, &Reload::Refused { faults: vec![fault] }), @"
    f.toml:3:1: `store.a`: is wrong
        help: mend it
    nothing was loaded; the stores before go on serving
    ");
}

#[test]
fn a_report_for_people() {
    let finding = |kind, name: &str, deleted| Finding {
        kind,
        name: name.into(),
        size: Some(2048),
        detail: "so it is".into(),
        deleted,
    };
    let store = |id: &str, findings, error| StoreReport {
        store: id.into(),
        kind: "file".into(),
        objects: 4,
        finished: 3,
        partial: 1,
        bytes: 5 << 20,
        known: 2,
        young: 1,
        hashed: 2,
        hashed_bytes: 4096,
        error,
        findings,
    };
    let findings = vec![
        finding(FindingKind::Orphan, "11111111-1111-4111-8111-111111111111", false),
        finding(FindingKind::Lost, "22222222-2222-4222-8222-222222222222", false),
    ];
    let report = Report {
        stores: vec![store("alpha", findings, None), store("beta", Vec::new(), Some("no answer".into()))],
        unconfigured: BTreeMap::from([("old".to_owned(), 3)]),
        dry_run: true,
    };
    insta::assert_snapshot!(scrub::render(&Output::uncoloured(), &report), @"
    ┌───────┬──────┬─────────┬───────┬──────────┬─────────┬───────┬─────────┬──────┐
    │ store ┆ type ┆ objects ┆ bytes ┆ finished ┆ partial ┆ known ┆ orphans ┆ lost │
    ╞═══════╪══════╪═════════╪═══════╪══════════╪═════════╪═══════╪═════════╪══════╡
    │ alpha ┆ file ┆ 4       ┆ 5 MiB ┆ 3        ┆ 1       ┆ 2     ┆ 1       ┆ 1    │
    │ beta  ┆ file ┆ -       ┆ -     ┆ -        ┆ -       ┆ -     ┆ -       ┆ -    │
    └───────┴──────┴─────────┴───────┴──────────┴─────────┴───────┴─────────┴──────┘
    ┌───────┬─────────┬──────────────────────────────────────┬───────┬──────────┐
    │ store ┆ finding ┆ object                               ┆ size  ┆ detail   │
    ╞═══════╪═════════╪══════════════════════════════════════╪═══════╪══════════╡
    │ alpha ┆ orphan  ┆ 11111111-1111-4111-8111-111111111111 ┆ 2 KiB ┆ so it is │
    │ alpha ┆ lost    ┆ 22222222-2222-4222-8222-222222222222 ┆ 2 KiB ┆ so it is │
    └───────┴─────────┴──────────────────────────────────────┴───────┴──────────┘
    beta: no answer
    old: 3 images lie there, and it is not configured
    4 objects hashed, 8 KiB
    2 unknown objects are too young to be judged
    nothing was changed; `--delete-orphans` removes 1 orphans
    something is wrong
    ");
    let removed = vec![finding(FindingKind::Orphan, "a", true), finding(FindingKind::Foreign, "b", false)];
    let well = Report { stores: vec![store("alpha", removed, None)], unconfigured: BTreeMap::new(), dry_run: false };
    assert!(well.is_well() && !report.is_well());
    assert!(scrub::render(&Output::uncoloured(), &well).ends_with("all is well"));
}
