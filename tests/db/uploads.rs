//! Leases: what happens when holders come late, die, or lose their image.

use std::time::Duration;

use fanlight::{Kind, image::Status, quota::Limits};

use super::{active, begin, create, image, on_each, permit, published};

#[test]
fn a_published_upload_makes_the_image_active() {
    on_each(|db, kind| async move {
        let image = active(&db, Some("p"), 10).await;
        assert_eq!((image.status, image.size, image.locations.len()), (Status::Active, Some(10), 1), "on {kind}");
        assert_eq!(db.image(&image.id).await.expect("a read"), Some(image.clone()));
        let again = db.begin_upload(&permit(), &image, begin(None, Limits::default())).await.expect_err("active");
        assert_eq!(again.kind(), Kind::Conflict);
        let usage = db.usage("p").await.expect("usage");
        assert_eq!((usage["image_size_total"].in_use, usage["image_size_total"].reserved), (10, 0));
    });
}

#[test]
fn a_failed_upload_leaves_the_image_queued_and_can_fail_twice() {
    on_each(|db, _| async move {
        let image = create(&db, &image(Some("p"))).await;
        let upload = db.begin_upload(&permit(), &image, begin(None, Limits::default())).await.expect("begun");
        for _ in 0..2 {
            db.fail_upload(&permit(), &upload, &[]).await.expect("failed");
        }
        let read = db.image(&image.id).await.expect("a read").expect("the image");
        assert_eq!(read.status, Status::Queued);
        assert_eq!(db.recount().await.expect("a recount"), []);
        let late = db.publish_upload(&permit(), &upload, &published(1), &[]).await.expect_err("too late");
        assert_eq!(late.kind(), Kind::Gone);
        db.begin_upload(&permit(), &read, begin(Some(1), Limits::default())).await.expect("once more");
        assert_eq!(db.touch_upload(&upload).await.expect_err("another's").kind(), Kind::Gone);
    });
}

#[test]
fn whoever_takes_over_fences_the_former_holder() {
    on_each(|db, _| async move {
        let image = create(&db, &image(Some("p"))).await;
        let mut upload = db.begin_upload(&permit(), &image, begin(Some(9), Limits::default())).await.expect("begun");
        db.move_upload(&mut upload, "beta").await.expect("moved");
        assert_eq!(db.stale_uploads("n1", "b1").await.expect("none"), []);
        assert_eq!(db.stale_uploads("n2", "b9").await.expect("none"), []);
        let taken = db.stale_uploads("n1", "b2").await.expect("the former run's");
        assert_eq!(taken.len(), 1);
        assert_eq!((taken[0].id.as_str(), taken[0].store.as_str()), (upload.id.as_str(), "beta"));
        let late = db.publish_upload(&permit(), &upload, &published(9), &[]).await.expect_err("fenced");
        assert_eq!(late.kind(), Kind::Gone);
        db.fail_upload(&permit(), &upload, &[]).await.expect("changes nothing");
        assert_eq!(db.image(&image.id).await.expect("a read").expect("it").status, Status::Saving);
        db.fail_upload(&permit(), &taken[0], &[]).await.expect("cleaned");
        assert_eq!(db.image(&image.id).await.expect("a read").expect("it").status, Status::Queued);
        assert_eq!(db.recount().await.expect("a recount"), []);
    });
}

#[test]
fn an_upload_begins_only_on_the_row_that_was_decided_on() {
    on_each(|db, _| async move {
        let seen = create(&db, &image(Some("p"))).await;
        let mut newer = seen.clone();
        newer.disk_format = Some("qcow2".into());
        db.save_image(&permit(), &newer, &[]).await.expect("saved");
        let stale = db.begin_upload(&permit(), &seen, begin(None, Limits::default())).await.expect_err("changed");
        assert_eq!(stale.kind(), Kind::Conflict);
        let read = db.image(&seen.id).await.expect("a read").expect("the image");
        assert_eq!(read.status, Status::Queued);
        db.begin_upload(&permit(), &read, begin(None, Limits::default())).await.expect("begun");
    });
}

#[test]
fn a_lease_ends_without_a_sign_of_life() {
    on_each(|db, _| async move {
        let image = create(&db, &image(Some("p"))).await;
        let mut b = begin(Some(1), Limits::default());
        b.lease = Duration::from_millis(1);
        db.begin_upload(&permit(), &image, b).await.expect("begun");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let taken = db.stale_uploads("n2", "b2").await.expect("stale");
        assert_eq!(taken.len(), 1);
        db.fail_upload(&permit(), &taken[0], &[]).await.expect("cleaned");
    });
}

#[test]
fn an_image_deleted_under_an_upload_keeps_the_lease_for_the_cleaner() {
    on_each(|db, _| async move {
        let image = create(&db, &image(Some("p"))).await;
        let upload = db.begin_upload(&permit(), &image, begin(Some(5), Limits::default())).await.expect("begun");
        let saving = db.image(&image.id).await.expect("a read").expect("it");
        db.delete_image(&permit(), &saving, &[]).await.expect("deleted");
        let late = db.publish_upload(&permit(), &upload, &published(5), &[]).await.expect_err("deleted");
        assert_eq!(late.kind(), Kind::Gone);
        assert_eq!(db.recount().await.expect("a recount"), []);
        db.fail_upload(&permit(), &upload, &[]).await.expect("cleaned");
        assert_eq!(db.usage("p").await.expect("usage")["image_size_total"].reserved, 0);
    });
}
