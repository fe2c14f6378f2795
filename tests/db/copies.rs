//! The queue of copies on each database: who may work on what, and a ledger that agrees after every step.

use std::time::Duration;

use fanlight::{
    Kind,
    db::{CopyLease, CopyState, Db},
    image::Image,
    notify,
    quota::Limits,
};
use jiff::Timestamp;

use super::{active, image, on_each, permit};

const LEASE: Duration = Duration::from_secs(60);

async fn begin(db: &Db, image: &Image, stores: &[&str], most: Option<u64>) -> fanlight::Result<String> {
    let targets: Vec<_> = stores.iter().map(|s| (*s).to_owned()).collect();
    let limits = Limits { size_total: most, ..Limits::default() };
    let begun = db.begin_copy(&permit(), &image.id, &targets, &limits).await;
    agrees(db).await;
    begun.map(|copy| copy.id)
}

async fn agrees(db: &Db) {
    assert_eq!(db.check().await.expect("a check"), Vec::<String>::new());
}

async fn take(db: &Db, node: &str, boot: &str) -> Option<CopyLease> {
    db.take_copy(node, boot, LEASE).await.expect("an answer")
}

async fn usage(db: &Db, project: &str) -> (u64, u64) {
    let all = db.usage(project).await.expect("usage");
    all.get("image_size_total").map_or((0, 0), |u| (u.in_use, u.reserved))
}

async fn state(db: &Db, id: &str) -> CopyState {
    db.copy(id).await.expect("an answer").expect("a copy").state
}

#[test]
fn published_in_one_transaction() {
    on_each(|db, _| async move {
        let one = active(&db, Some("p"), 100).await;
        let over = begin(&db, &one, &["beta"], Some(199)).await.expect_err("over the limit");
        assert_eq!((over.kind(), usage(&db, "p").await), (Kind::TooLarge, (100, 0)));
        let id = begin(&db, &one, &["beta", "gamma"], Some(200)).await.expect("fits");
        assert_eq!(usage(&db, "p").await, (100, 100));
        for stores in [&["beta"][..], &["alpha"], &["alpha", "beta"], &[]] {
            assert_eq!(begin(&db, &one, stores, None).await.expect_err("taken").kind(), Kind::Conflict, "{stores:?}");
        }
        let copy = take(&db, "n1", "b1").await.expect("ours");
        assert_eq!((copy.store.as_str(), copy.others.len(), copy.state), ("beta", 1, CopyState::Running));
        assert_eq!(take(&db, "n1", "b1").await, None);
        assert_eq!(take(&db, "n2", "b9").await, None);
        db.touch_copy(&copy, 60, Some("alpha")).await.expect("ours");
        let seen = db.copy(&id).await.expect("an answer").expect("it");
        assert_eq!((seen.done, seen.total, seen.source.as_deref()), (60, 100, Some("alpha")));
        let events = [notify::image_event("image.update", &one)];
        let after = db.publish_copy(&permit(), &copy, Some("alpha"), "file:///b", &events).await.expect("published");
        assert_eq!(after.locations.iter().map(|l| l.store.as_str()).collect::<Vec<_>>(), ["alpha", "beta"]);
        assert!(after.version > one.version);
        let told = db.pending_events(10).await.expect("events");
        assert_eq!(told.iter().map(|e| e.event_type.as_str()).collect::<Vec<_>>(), ["image.update"]);
        assert_eq!((usage(&db, "p").await, state(&db, &id).await), ((200, 0), CopyState::Done));
        assert_eq!(db.touch_copy(&copy, 60, None).await.expect_err("over").kind(), Kind::Gone);
        assert_eq!(db.cancel_copy(&permit(), &id).await.expect_err("over").kind(), Kind::Conflict);
        agrees(&db).await;
        assert_eq!(db.prune_copies(&permit(), Timestamp::UNIX_EPOCH).await.expect("pruned"), 0);
        assert_eq!(db.prune_copies(&permit(), Timestamp::MAX).await.expect("pruned"), 1);
    });
}

#[test]
fn a_dead_holder_is_fenced() {
    on_each(|db, _| async move {
        let one = active(&db, Some("p"), 100).await;
        begin(&db, &one, &["beta"], None).await.expect("queued");
        let dead = db.take_copy("n1", "b1", Duration::from_secs(60)).await.expect("an answer").expect("ours");
        db.touch_copy(&dead, 40, None).await.expect("ours");
        // Another node has to wait for the lease; the same node after a restart does not.
        assert_eq!(take(&db, "n2", "b1").await, None);
        let heir = take(&db, "n1", "b2").await.expect("taken over");
        assert_eq!((heir.done, heir.state), (40, CopyState::Running));
        for outcome in [
            db.touch_copy(&dead, 50, None).await.map(drop),
            db.retry_copy(&dead, 0, "late", 1, LEASE).await,
            db.fail_copy(&permit(), &dead, "late", false).await,
            db.publish_copy(&permit(), &dead, None, "file:///late", &[]).await.map(drop),
        ] {
            assert_eq!(outcome.expect_err("fenced").kind(), Kind::Gone);
        }
        db.retry_copy(&heir, 70, "down", 3, Duration::ZERO).await.expect("ours");
        let next = db.take_copy("n2", "b1", Duration::ZERO).await.expect("an answer").expect("waits no longer");
        assert_eq!((next.done, next.attempts), (70, 3));
        tokio::time::sleep(Duration::from_millis(5)).await;
        let last = take(&db, "n3", "b1").await.expect("the lease is over");
        db.retry_copy(&last, 70, "down", 4, LEASE).await.expect("ours");
        assert_eq!(take(&db, "n3", "b1").await, None, "waits");
        agrees(&db).await;
    });
}

#[test]
fn given_up_in_every_way() {
    on_each(|db, _| async move {
        let one = active(&db, Some("p"), 100).await;
        // Failed by its holder.
        let id = begin(&db, &one, &["beta"], None).await.expect("queued");
        let copy = take(&db, "n1", "b1").await.expect("ours");
        db.fail_copy(&permit(), &copy, "full", false).await.expect("ours");
        assert_eq!((usage(&db, "p").await, state(&db, &id).await), ((100, 0), CopyState::Failing));
        assert_eq!(begin(&db, &one, &["beta"], None).await.expect_err("bytes are there").kind(), Kind::Conflict);
        db.retry_copy(&copy, 0, "cannot remove", 1, Duration::ZERO).await.expect("ours");
        let copy = take(&db, "n2", "b1").await.expect("to be removed");
        assert_eq!(copy.state, CopyState::Failing);
        db.end_copy(&permit(), &copy).await.expect("ours");
        assert_eq!(state(&db, &id).await, CopyState::Failed);
        // Cancelled while it runs: the holder is told.
        let id = begin(&db, &one, &["beta"], None).await.expect("free again");
        let copy = take(&db, "n1", "b1").await.expect("ours");
        db.cancel_copy(&permit(), &id).await.expect("cancelled");
        assert_eq!(usage(&db, "p").await, (100, 0));
        assert_eq!(db.touch_copy(&copy, 1, None).await.expect("ours"), CopyState::Cancelling);
        let late = db.publish_copy(&permit(), &copy, None, "file:///b", &[]).await.expect_err("cancelled");
        assert_eq!(late.kind(), Kind::Gone);
        db.end_copy(&permit(), &copy).await.expect("ours");
        assert_eq!(state(&db, &id).await, CopyState::Cancelled);
        agrees(&db).await;
        // The image is deleted: one copy runs, one waits.
        let [first, second] = [begin(&db, &one, &["beta"], None).await, begin(&db, &one, &["gamma"], None).await];
        let copy = take(&db, "n1", "b1").await.expect("ours");
        assert_eq!(usage(&db, "p").await, (100, 200));
        let now = db.image(&one.id).await.expect("an answer").expect("it");
        db.delete_image(&permit(), &now, &[]).await.expect("deleted");
        agrees(&db).await;
        assert_eq!(usage(&db, "p").await, (0, 0));
        assert_eq!(state(&db, &first.expect("queued")).await, CopyState::Cancelling);
        assert_eq!(state(&db, &second.expect("queued")).await, CopyState::Cancelled, "nobody wrote a byte of it");
        assert_eq!(db.touch_copy(&copy, 1, None).await.expect("ours"), CopyState::Cancelling);
        assert_eq!(take(&db, "n2", "b1").await, None);
        db.end_copy(&permit(), &copy).await.expect("ours");
        agrees(&db).await;
    });
}

#[test]
fn a_full_store_is_left_for_one_without_the_image() {
    on_each(|db, _| async move {
        let one = active(&db, None, 100).await;
        let id = begin(&db, &one, &["beta", "gamma", "delta"], None).await.expect("queued");
        let mut copy = take(&db, "n1", "b1").await.expect("ours");
        begin(&db, &one, &["gamma"], None).await.expect("queued");
        assert!(db.move_copy(&mut copy, "beta is full").await.expect("ours"));
        assert_eq!((copy.store.as_str(), copy.others.len()), ("delta", 0), "gamma is taken");
        let seen = db.copy(&id).await.expect("an answer").expect("it");
        assert_eq!((seen.store.as_str(), seen.error.as_deref()), ("delta", Some("beta is full")));
        assert!(!db.move_copy(&mut copy, "delta too").await.expect("ours"));
        agrees(&db).await;
    });
}

#[test]
fn a_new_owner_takes_over_what_is_reserved() {
    on_each(|db, _| async move {
        let one = active(&db, Some("p"), 100).await;
        begin(&db, &one, &["beta"], None).await.expect("queued");
        let mut given = db.image(&one.id).await.expect("an answer").expect("it");
        for (owner, p, q) in [(Some("q"), (0, 0), (100, 100)), (None, (0, 0), (0, 0)), (Some("p"), (100, 100), (0, 0))]
        {
            given.owner = owner.map(str::to_owned);
            given = db.save_image(&permit(), &given, &[]).await.expect("given");
            assert_eq!((usage(&db, "p").await, usage(&db, "q").await), (p, q), "{owner:?}");
            agrees(&db).await;
        }
        let copy = take(&db, "n1", "b1").await.expect("ours");
        db.publish_copy(&permit(), &copy, None, "file:///b", &[]).await.expect("published");
        assert_eq!(usage(&db, "p").await, (200, 0));
        // What waits to be removed from a store keeps its name there.
        let now = db.image(&one.id).await.expect("an answer").expect("it");
        let beta = now.locations.iter().find(|l| l.store == "beta").expect("a copy");
        let gone = db.remove_location(&permit(), &now, &beta.id, &[]).await.expect("removed");
        assert_eq!(begin(&db, &one, &["beta"], None).await.expect_err("waits").kind(), Kind::Conflict);
        db.deletion_done(&permit(), &gone.id).await.expect("done");
        begin(&db, &one, &["beta"], None).await.expect("free");
    });
}

#[test]
fn many_takers_get_each_copy_once() {
    on_each(|db, kind| async move {
        let mut ids = Vec::new();
        for _ in 0..6 {
            let one = active(&db, Some("p"), 1).await;
            ids.push(begin(&db, &one, &["beta"], None).await.expect("queued"));
        }
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..12 {
            let db = db.clone();
            tasks.spawn(async move { take(&db, &format!("n{n}"), "b").await.map(|copy| copy.id) });
        }
        let mut taken: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        taken.sort();
        let before = taken.len();
        taken.dedup();
        assert_eq!(taken.len(), before, "taken twice on {kind}");
        while let Some(copy) = take(&db, "rest", "b").await {
            taken.push(copy.id);
        }
        taken.sort();
        assert_eq!(taken, ids, "on {kind}");
        let queued = super::create(&db, &image(Some("p"))).await;
        assert_eq!(begin(&db, &queued, &["beta"], None).await.expect_err("no data").kind(), Kind::Conflict);
    });
}
