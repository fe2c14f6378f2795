//! Objects that are there before an image has them: one image each, charged, and left alone by whoever cleans up.

use fanlight::{Kind, image::Status, quota::Limits};

use super::{active, begin, create, image, on_each, permit, published};

const URL: &str = "rbd://cluster/images/one/snap";

#[test]
fn a_claim_is_an_upload_that_imports() {
    on_each(|db, kind| async move {
        let image = create(&db, &image(Some("p"))).await;
        let claim = db.begin_claim(&permit(), &image, begin(Some(7), Limits::default()), URL).await.expect("begun");
        assert_eq!(claim.claims.as_deref(), Some(URL));
        assert_eq!(db.image(&image.id).await.expect("a read").expect("it").status, Status::Importing, "on {kind}");
        assert_eq!(db.usage("p").await.expect("usage")["image_size_total"].reserved, 7);
        let taken = db.stale_uploads("n1", "b2").await.expect("the former run's");
        assert_eq!(taken.iter().map(|t| t.claims.as_deref()).collect::<Vec<_>>(), [Some(URL)]);
        let late = db.publish_upload(&permit(), &claim, &published(7), &[]).await.expect_err("fenced");
        assert_eq!(late.kind(), Kind::Gone);
        db.fail_upload(&permit(), &taken[0], &[]).await.expect("given back");
        let queued = db.image(&image.id).await.expect("a read").expect("it");
        assert_eq!(queued.status, Status::Queued);
        let claim = db.begin_claim(&permit(), &queued, begin(Some(7), Limits::default()), URL).await.expect("again");
        let done = db.publish_upload(&permit(), &claim, &published(7), &[]).await.expect("published");
        assert_eq!((done.status, done.locations.len()), (Status::Active, 1));
        assert_eq!(db.recount().await.expect("a recount"), []);
    });
}

#[test]
fn two_images_cannot_claim_one_object() {
    on_each(|db, kind| async move {
        let (one, two) = (create(&db, &image(Some("p"))).await, create(&db, &image(Some("q"))).await);
        let claim = db.begin_claim(&permit(), &one, begin(Some(1), Limits::default()), URL).await.expect("the first");
        let again = async || db.begin_claim(&permit(), &two, begin(Some(1), Limits::default()), URL).await;
        assert_eq!(again().await.expect_err("claimed").kind(), Kind::Conflict, "on {kind}");
        let mut done = published(1);
        done.url = URL.into();
        let held = db.publish_upload(&permit(), &claim, &done, &[]).await.expect("published");
        assert_eq!(again().await.expect_err("held").kind(), Kind::Conflict, "on {kind}");
        db.delete_image(&permit(), &held, &[]).await.expect("deleted");
        assert_eq!(again().await.expect_err("to be deleted").kind(), Kind::Conflict, "on {kind}");
        for note in db.deletions(9).await.expect("notes") {
            db.deletion_done(&permit(), &note.id).await.expect("done");
        }
        let claim = again().await.expect("free");
        db.fail_upload(&permit(), &claim, &[]).await.expect("given back");
        assert_eq!(db.recount().await.expect("a recount"), []);
    });
}

#[test]
fn many_claims_of_one_object_have_one_winner() {
    on_each(|db, kind| async move {
        let mut claims = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (db, image) = (db.clone(), create(&db, &image(Some("p"))).await);
            claims.spawn(async move {
                let claim = db.begin_claim(&permit(), &image, begin(Some(1), Limits::default()), URL).await;
                claim.map_err(|e| e.kind())
            });
        }
        let all = claims.join_all().await;
        assert_eq!(all.iter().filter(|c| c.is_ok()).count(), 1, "on {kind}");
        for claim in all {
            match claim {
                Ok(claim) => db.fail_upload(&permit(), &claim, &[]).await.expect("given back"),
                Err(kind) => assert_eq!(kind, Kind::Conflict),
            }
        }
    });
}

#[test]
fn an_active_image_adopts_a_copy_and_pays_for_it() {
    on_each(|db, _| async move {
        let image = active(&db, Some("p"), 10).await;
        let limits = |most| Limits { size_total: Some(most), ..Limits::default() };
        let adopt = async |store: &str, url: &str, most| {
            let now = db.image(&image.id).await.expect("a read").expect("it");
            db.adopt_location(&permit(), &now, store, url, &limits(most), &[]).await
        };
        assert_eq!(adopt("beta", URL, 19).await.expect_err("over the quota").kind(), Kind::TooLarge);
        assert_eq!(adopt("alpha", URL, 99).await.expect_err("a copy is there").kind(), Kind::Conflict);
        assert_eq!(adopt("beta", "file:///data/x", 99).await.expect_err("the same object").kind(), Kind::Conflict);
        let two = adopt("beta", URL, 20).await.expect("a second copy");
        assert_eq!(two.locations.len(), 2);
        assert_eq!(db.usage("p").await.expect("usage")["image_size_total"].in_use, 20);
        let stale = db.adopt_location(&permit(), &image, "gamma", "x://y", &limits(99), &[]).await;
        assert_eq!(stale.expect_err("as it was before").kind(), Kind::Conflict);
        db.remove_location(&permit(), &two, &two.locations[1].id, &[]).await.expect("removed");
        assert_eq!(adopt("beta", URL, 99).await.expect_err("to be deleted").kind(), Kind::Conflict);
        assert_eq!(db.recount().await.expect("a recount"), []);
    });
}
