//! The queue of deletions: each try belongs to one gateway, and those that cannot be done keep no others waiting.

use std::{collections::BTreeSet, time::Duration};

use super::{active, on_each, permit};

#[test]
fn what_cannot_be_deleted_keeps_nothing_waiting_and_is_tried_by_one_gateway() {
    on_each(|db, kind| async move {
        let mut all = BTreeSet::new();
        for _ in 0..130 {
            let image = active(&db, Some("p"), 1).await;
            let notes = db.delete_image(&permit(), &image, &[]).await.expect("deleted");
            all.extend(notes.into_iter().map(|d| d.id));
            if all.len() == 1 {
                assert_eq!(db.due_deletions(9).await.expect("none"), [], "its request has the first try, on {kind}");
            }
        }
        // The first pause, which is the shortest.
        tokio::time::sleep(Duration::from_millis(5200)).await;
        let mut taken = Vec::new();
        for _ in 0..10 {
            let mut gateways = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let db = db.clone();
                gateways.spawn(async move { db.due_deletions(40).await.expect("a round") });
            }
            taken.extend(gateways.join_all().await.into_iter().flatten().map(|d| d.id));
        }
        assert_eq!(taken.len(), all.len(), "nobody did any of them, and all had their turn, on {kind}");
        let distinct: BTreeSet<_> = taken.iter().cloned().collect();
        assert_eq!(distinct.len(), taken.len(), "one gateway each, on {kind}");
        assert_eq!(db.due_deletions(40).await.expect("none"), []);
        assert_eq!(db.waiting_deletions().await.expect("a number"), 130, "they stay noted");
        for id in &all {
            db.deletion_done(&permit(), id).await.expect("done");
        }
        assert_eq!(db.waiting_deletions().await.expect("a number"), 0);
    });
}
