//! The set of stores: what may be configured, and how it bears stores that hang or fail.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fanlight::{
    Kind,
    authz::Permit,
    config::{self, Backend, StoreState},
    store::{Capabilities, Entry, Object, Reader, Room, Store, StoreError, StoreErrorKind, Stores, Writer},
};

fn config(path: &Path) -> config::Store {
    config::Store {
        description: None,
        weight: 0,
        labels: BTreeMap::new(),
        default: false,
        state: StoreState::Up,
        backend: Backend::File { path: path.to_owned() },
    }
}

async fn refused(stores: &[(&str, config::Store)]) -> String {
    let stores = stores.iter().map(|(id, s)| ((*id).to_owned(), s.clone())).collect();
    let error = Stores::open(&stores).await.expect_err("refused");
    assert_eq!(error.kind(), Kind::Invalid);
    error.message().to_owned()
}

#[tokio::test]
async fn ids_order_and_default() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = |name: &str| (name.to_owned(), config(&dir.path().join(name)));
    let mut all = BTreeMap::from([store("beta"), store("alpha"), store("g.A_-1")]);
    let stores = Stores::open(&all).await.expect("opens");
    assert_eq!(stores.iter().map(|e| e.id().to_owned()).collect::<Vec<_>>(), ["alpha", "beta", "g.A_-1"]);
    assert_eq!(stores.default_store().id(), "alpha");
    assert!(stores.get("none").is_none());
    let figures = stores.get("beta").expect("there").figures();
    assert!(figures.healthy && figures.total > 0 && figures.free <= figures.total);
    all.get_mut("beta").expect("there").default = true;
    assert_eq!(Stores::open(&all).await.expect("opens").default_store().id(), "beta");
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let good = |name: &str| config(&dir.path().join(name));
    for id in ["", "a b", "a/b", "ä", &"a".repeat(65)] {
        assert!(refused(&[(id, good("x"))]).await.contains("store id"), "{id}");
    }
    assert!(refused(&[("os_glance_staging_store", good("x"))]).await.contains("reserved"));
    assert!(refused(&[]).await.contains("no store"));
    let default = config::Store { default: true, ..good("a") };
    assert!(
        refused(&[("a", default.clone()), ("b", config::Store { default: true, ..good("b") })]).await.contains("both")
    );
    assert!(refused(&[("a", good("../x"))]).await.contains(".."));
    std::fs::create_dir(dir.path().join("real")).expect("made");
    std::os::unix::fs::symlink(dir.path().join("real"), dir.path().join("alias")).expect("linked");
    assert!(refused(&[("a", good("real")), ("b", good("alias"))]).await.contains("same folder"));
    assert!(refused(&[("a", good("real")), ("b", good("./real/"))]).await.contains("same folder"));
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_kept_with_its_reason_and_heals() {
    let dir = tempfile::tempdir().expect("a folder");
    let blocked = dir.path().join("blocked");
    std::fs::write(&blocked, "a file").expect("written");
    let all = BTreeMap::from([
        ("bad".to_owned(), config(&blocked.join("images"))),
        ("good".to_owned(), config(&dir.path().join("good"))),
    ]);
    let stores = Stores::open(&all).await.expect("the service starts");
    let bad = stores.get("bad").expect("kept");
    assert!(!bad.health().healthy);
    assert!(bad.health().reason.expect("a reason").contains("probe"), "{:?}", bad.health());
    assert!(stores.get("good").expect("there").health().healthy);
    std::fs::remove_file(&blocked).expect("removed");
    stores.refresh().await;
    assert!(bad.health().healthy, "{:?}", bad.health());
    assert_eq!(bad.health().reason, None);
}

/// A back end whose probe answers after a while, or never.
struct Slow {
    delay: Duration,
    asked: AtomicU32,
}

#[async_trait]
impl Store for Slow {
    fn capabilities(&self) -> Capabilities {
        Capabilities { write: false, random_read: false }
    }
    async fn probe(&self) -> Result<Room, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.delay).await;
        Ok(Room { total: 10, free: 5 })
    }
    async fn create(&self, _: &Permit, _: &str, _: Option<u64>) -> Result<Box<dyn Writer>, StoreError> {
        Err(StoreError::permanent(StoreErrorKind::Denied, "read only"))
    }
    async fn resume(&self, _: &Permit, _: &str, _: u64, _: u64) -> Result<Box<dyn Writer>, StoreError> {
        Err(StoreError::permanent(StoreErrorKind::Denied, "read only"))
    }
    fn name_of(&self, _: &str) -> Result<String, StoreError> {
        Err(StoreError::permanent(StoreErrorKind::BadUrl, "empty"))
    }
    async fn in_use(&self, _: &str) -> Result<bool, StoreError> {
        Ok(false)
    }
    async fn open(&self, _: &str) -> Result<Box<dyn Reader>, StoreError> {
        Err(StoreError::permanent(StoreErrorKind::NotFound, "empty"))
    }
    async fn delete(&self, _: &Permit, _: &str) -> Result<(), StoreError> {
        Err(StoreError::permanent(StoreErrorKind::NotFound, "empty"))
    }
    async fn discard(&self, _: &Permit, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
    async fn list(&self) -> Result<Vec<Object>, StoreError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_hanging_store_blocks_nothing_and_is_asked_once() {
    let hanging = Arc::new(Slow { delay: Duration::from_secs(1_000_000), asked: AtomicU32::new(0) });
    let quick = Arc::new(Slow { delay: Duration::ZERO, asked: AtomicU32::new(0) });
    let dir = Path::new("/nowhere");
    let stores = Stores::of([
        Entry::new("hanging", config(dir), "test", Arc::clone(&hanging) as Arc<dyn Store>),
        Entry::new("quick", config(dir), "test", Arc::clone(&quick) as Arc<dyn Store>),
    ])
    .expect("good entries");
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        stores.refresh().await;
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let health = stores.get("hanging").expect("there").health();
    assert!(!health.healthy && health.reason.expect("a reason").contains("no answer"));
    assert_eq!(hanging.asked.load(Ordering::SeqCst), 1);
    assert!(stores.get("quick").expect("there").health().healthy);
    assert_eq!(quick.asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn state_and_uploads_are_seen_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let all = BTreeMap::from([("a".to_owned(), config(&dir.path().join("a")))]);
    let stores = Stores::open(&all).await.expect("opens");
    let entry = stores.get("a").expect("there");
    assert_eq!(entry.figures().state, StoreState::Up);
    entry.set_state(Some(StoreState::Draining));
    assert_eq!((entry.state(), entry.figures().state), (StoreState::Draining, StoreState::Draining));
    let (one, two) = (entry.enter(), entry.enter());
    assert_eq!(entry.figures().in_flight, 2);
    drop((one, two));
    assert_eq!(entry.figures().in_flight, 0);
}

#[tokio::test]
async fn a_store_that_fails_a_call_is_suspect_until_it_answers() {
    let quick = Arc::new(Slow { delay: Duration::from_millis(50), asked: AtomicU32::new(0) });
    let entry = Entry::new("quick", config(Path::new("/nowhere")), "test", Arc::clone(&quick) as Arc<dyn Store>);
    let stores = Stores::of([entry]).expect("a good entry");
    stores.refresh().await;
    let entry = stores.get("quick").expect("there");
    assert!(entry.health().healthy);
    let latency = entry.health().latency;

    // Not the store's fault.
    for kind in [StoreErrorKind::NotFound, StoreErrorKind::AlreadyExists, StoreErrorKind::InUse, StoreErrorKind::BadUrl]
    {
        assert_eq!(entry.failed(StoreError::permanent(kind, "no")).kind, kind);
    }
    assert!(entry.health().healthy);
    assert_eq!(quick.asked.load(Ordering::SeqCst), 1);

    entry.failed(StoreError::temporary(StoreErrorKind::Unavailable, "cut"));
    let health = entry.health();
    assert_eq!((health.healthy, health.reason.as_deref()), (false, Some("a call failed: cut")));
    assert_eq!(health.latency, latency, "nothing was measured");
    // No round runs here: it was asked at once.
    for _ in 0..200 {
        if entry.health().healthy {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(entry.health().healthy, "{:?}", entry.health());
    assert_eq!(quick.asked.load(Ordering::SeqCst), 2);

    entry.failed(StoreError::permanent(StoreErrorKind::NoSpace, "full"));
    assert!(entry.health().healthy, "a full store is well; its room is asked anew");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(quick.asked.load(Ordering::SeqCst), 3);
}
