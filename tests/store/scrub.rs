//! The scrubber on file stores: what it finds, what it leaves alone, and that it bears gateways that serve.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use fanlight::scrub::{self, FindingKind, Options, Report};

use futures_util::StreamExt;

use crate::support::{ALICE, TestApp};

async fn scrub(app: &TestApp, options: Options) -> Report {
    let set = app.app.stores.current();
    scrub::run(&app.app.db, &set, &options, &|_| {}).await.unwrap()
}

/// Everything is old enough.
fn all() -> Options {
    Options { rehash: usize::MAX, older_than: Duration::ZERO, ..Options::default() }
}

fn found(report: &Report) -> Vec<(FindingKind, String)> {
    let mut all: Vec<_> = report.stores.iter().flat_map(|s| &s.findings).map(|f| (f.kind, f.name.clone())).collect();
    all.sort_by_key(|(kind, name)| (kind.as_str(), name.clone()));
    all
}

fn path(app: &TestApp, name: &str) -> PathBuf {
    app.folder().join("stores/alpha").join(name)
}

/// Names and bytes of everything in the stores.
fn contents(app: &TestApp) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for store in ["alpha", "beta"] {
        for entry in fs::read_dir(app.folder().join("stores").join(store)).unwrap() {
            let path = entry.unwrap().path();
            all.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    all.sort();
    all
}

fn id() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[tokio::test]
async fn a_good_store_is_well() {
    let app = TestApp::new().await;
    app.active(ALICE, "a", b"data").await;
    app.active(ALICE, "b", b"more data").await;
    app.queued(ALICE, "c").await;
    let report = scrub(&app, all()).await;
    assert!(report.is_well(), "{report:#?}");
    let alpha = &report.stores[0];
    assert_eq!((alpha.objects, alpha.known, alpha.hashed, alpha.hashed_bytes), (2, 2, 2, 13));
    let one = scrub(&app, Options { rehash: 1, ..all() }).await;
    assert_eq!(one.stores[0].hashed, 1);
    let none = scrub(&app, Options { store: Some("beta".into()), ..all() }).await;
    assert_eq!((none.stores.len(), none.stores[0].objects), (1, 0));
}

#[tokio::test]
async fn everything_that_is_wrong_is_found_and_a_dry_run_changes_nothing() {
    let app = TestApp::new().await;
    let [gone, short, flipped, cut, good] = [
        app.active(ALICE, "1", b"gone").await,
        app.active(ALICE, "2", b"short").await,
        app.active(ALICE, "3", b"flipped").await,
        app.active(ALICE, "4", b"cut").await,
        app.active(ALICE, "5", b"good").await,
    ];
    let queued = app.queued(ALICE, "6").await;
    let (orphan, partial) = (id(), id());
    fs::remove_file(path(&app, &gone)).unwrap();
    fs::write(path(&app, &short), "shor").unwrap();
    fs::write(path(&app, &flipped), "fl1pped").unwrap();
    fs::rename(path(&app, &cut), path(&app, &format!(".{cut}.partial"))).unwrap();
    fs::write(path(&app, &format!(".{good}.partial")), "x").unwrap();
    fs::write(path(&app, &orphan), "orphan").unwrap();
    fs::write(path(&app, &format!(".{partial}.partial")), "part").unwrap();
    fs::write(path(&app, &queued), "claimed by nobody").unwrap();
    fs::write(path(&app, "README.txt"), "hello").unwrap();
    let before = contents(&app);

    let report = scrub(&app, all()).await;
    let mut expected = vec![
        (FindingKind::Corrupt, flipped),
        (FindingKind::Foreign, "README.txt".into()),
        (FindingKind::Leftover, good),
        (FindingKind::Lost, cut),
        (FindingKind::Lost, gone),
        (FindingKind::Orphan, orphan.clone()),
        (FindingKind::Orphan, partial.clone()),
        (FindingKind::Unregistered, queued.clone()),
        (FindingKind::WrongSize, short),
    ];
    expected.sort_by_key(|(kind, name)| (kind.as_str(), name.clone()));
    assert_eq!(found(&report), expected);
    assert!(!report.is_well() && report.dry_run);
    assert_eq!(contents(&app), before, "a dry run changes nothing");

    let report = scrub(&app, Options { delete_orphans: true, ..all() }).await;
    assert_eq!(found(&report), expected, "told once more");
    let deleted: Vec<_> = report.stores[0].findings.iter().filter(|f| f.deleted).map(|f| f.name.clone()).collect();
    assert_eq!(deleted.len(), 2);
    let after = contents(&app);
    let rest: Vec<_> = before
        .into_iter()
        .filter(|(p, _)| {
            let name = p.file_name().unwrap().to_string_lossy().into_owned();
            !name.contains(&orphan) && !name.contains(&partial)
        })
        .collect();
    assert_eq!(after, rest, "orphans are gone, and nothing else");
}

#[tokio::test]
async fn young_objects_and_noted_deletions_are_left_alone() {
    let app = TestApp::new().await;
    let orphan = id();
    fs::write(path(&app, &orphan), "young").unwrap();
    let hour = Options { delete_orphans: true, older_than: Duration::from_secs(3600), ..all() };
    let report = scrub(&app, hour.clone()).await;
    assert!(report.is_well(), "{report:#?}");
    assert_eq!(report.stores[0].young, 1);
    let old = std::time::SystemTime::now() - Duration::from_secs(7200);
    fs::File::options().write(true).open(path(&app, &orphan)).unwrap().set_modified(old).unwrap();
    let report = scrub(&app, hour).await;
    assert!(report.is_well() && report.stores[0].findings[0].deleted, "{report:#?}");
    assert!(!path(&app, &orphan).exists());

    // An object that waits for the collector is spoken for.
    let id = app.active(ALICE, "a", b"data").await;
    let image = app.app.db.image(&id).await.unwrap().unwrap();
    let permit = fanlight::authz::Permit::system("test");
    app.app.db.delete_image(&permit, &image, &[]).await.unwrap();
    let report = scrub(&app, Options { delete_orphans: true, ..all() }).await;
    assert!(report.is_well() && report.stores[0].known == 1, "{report:#?}");
    assert!(path(&app, &id).exists());
}

#[tokio::test]
async fn a_store_that_is_gone_is_reported_and_not_made_again() {
    let app = TestApp::new().await;
    app.active(ALICE, "a", b"data").await;
    fs::remove_dir_all(app.folder().join("stores/alpha")).unwrap();
    let report = scrub(&app, Options { delete_orphans: true, ..all() }).await;
    assert!(!report.is_well());
    let alpha = &report.stores[0];
    assert!(alpha.error.as_ref().unwrap().contains("cannot be listed") && alpha.findings.is_empty(), "{alpha:?}");
    assert_eq!(report.stores[1].error, None, "the others are looked through");
    assert!(!app.folder().join("stores/alpha").exists());

    let set = fanlight::store::Stores::open(
        &app.app.config.stores.iter().filter(|(id, _)| *id == "beta").map(|(id, s)| (id.clone(), s.clone())).collect(),
    )
    .await
    .unwrap();
    let report = scrub::run(&app.app.db, &set.current(), &all(), &|_| {}).await.unwrap();
    assert_eq!(report.unconfigured.get("alpha"), Some(&1));
    assert!(!report.is_well());
}

/// Uploads in pieces, a read and a delete, until it is told to stop.
async fn work(app: Arc<TestApp>, stop: Arc<AtomicBool>, rounds: Arc<AtomicU32>) {
    while !stop.load(Ordering::Relaxed) {
        let id = app.queued(ALICE, "load").await;
        let chunks = futures_util::stream::iter(0..4).then(|_| async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[7; 5000]))
        });
        let put = app.upload(&id, ALICE, axum::body::Body::from_stream(chunks)).await;
        assert_eq!(put.outcome(), "204");
        assert_eq!(app.get(&format!("/v2/images/{id}/file"), ALICE).await.bytes().len(), 20_000);
        assert_eq!(app.delete(&format!("/v2/images/{id}"), ALICE).await.status.as_u16(), 204);
        rounds.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whenever the scrubber looks, nothing of what runs is an orphan or a loss, and it removes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_runs_meanwhile_is_never_a_finding() {
    let app = Arc::new(TestApp::new().await);
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let load: Vec<_> = (0..4).map(|_| tokio::spawn(work(app.clone(), stop.clone(), rounds.clone()))).collect();
    let (mut seen, mut looks, begun) = (0, 0, Instant::now());
    while looks < 100 || rounds.load(Ordering::Relaxed) < 40 {
        assert!(begun.elapsed() < Duration::from_secs(120), "{looks} looks, {rounds:?} rounds of work");
        let report = scrub(&app, Options { delete_orphans: true, ..all() }).await;
        assert!(report.is_well(), "{report:#?}");
        seen += report.stores.iter().map(|s| s.objects).sum::<u64>();
        looks += 1;
    }
    stop.store(true, Ordering::Relaxed);
    for worker in load {
        worker.await.unwrap();
    }
    assert!(seen > 20, "{seen} objects seen in {looks} looks");
}
