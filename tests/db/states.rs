//! The state machine under many writers: only moves of the table, and one winner of each compare-and-set.

use std::collections::BTreeMap;

use fanlight::{Kind, image::Status};

use super::{create, image, on_each, permit};

#[test]
fn only_moves_of_the_table_with_one_winner_each() {
    on_each(|db, kind| async move {
        let image = create(&db, &image(Some("p"))).await;
        let mut writers = tokio::task::JoinSet::new();
        for seed in 0..32_usize {
            let (db, id) = (db.clone(), image.id.clone());
            writers.spawn(async move {
                let mut won = Vec::new();
                for round in 0..6_usize {
                    let now = db.image(&id).await.expect("a read").expect("it");
                    let to = Status::ALL[(seed * 7 + round * 5) % 8];
                    match db.set_status(&permit(), &now, to, &[]).await {
                        Ok(after) => won.push((after.version, now.status, to)),
                        Err(e) => assert_eq!(e.kind(), Kind::Conflict),
                    }
                }
                won
            });
        }
        let mut history = BTreeMap::new();
        while let Some(won) = writers.join_next().await {
            for (version, from, to) in won.expect("no panic") {
                assert!(from.may_become(to), "{from:?} to {to:?} on {kind}");
                assert_eq!(history.insert(version, (from, to)), None, "two winners of version {version} on {kind}");
            }
        }
        let mut status = Status::Queued;
        for (from, to) in history.values() {
            assert_eq!(*from, status, "a gap in {history:?} on {kind}");
            status = *to;
        }
        let last = db.image(&image.id).await.expect("a read").expect("it");
        assert_eq!(last.status, status);
        db.delete_image(&permit(), &last, &[]).await.expect("deleted");
    });
}
