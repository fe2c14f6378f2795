//! The quota ledger against an oracle, and against many uploads at once (Q1 to Q6).

use std::collections::BTreeMap;

use fanlight::{Kind, db::Upload, image::Image, quota::Limits};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::{active, begin, create, image, on_each, permit, published};

const MIB: u64 = 1 << 20;

#[test]
fn many_uploads_of_unknown_length_never_exceed_the_limit() {
    on_each(|db, kind| async move {
        let limits = Limits { size_total: Some(100 * MIB + 1), ..Limits::default() };
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..64 {
            let db = db.clone();
            tasks.spawn(async move {
                let image = create(&db, &image(Some("p"))).await;
                let Ok(mut upload) = db.begin_upload(&permit(), &image, begin(None, limits)).await else { return 0 };
                let mut stored = 0;
                while stored < 6 * MIB {
                    if let Err(error) = db.grow_upload(&mut upload, stored + 2 * MIB).await {
                        assert_eq!(error.kind(), Kind::TooLarge);
                        db.fail_upload(&permit(), &upload, &[]).await.expect("given up");
                        return 0;
                    }
                    stored += 2 * MIB;
                    let usage = db.usage("p").await.expect("usage")["image_size_total"];
                    assert!(usage.in_use + usage.reserved <= 100 * MIB + 1);
                }
                db.publish_upload(&permit(), &upload, &published(stored), &[]).await.expect("published");
                stored
            });
        }
        let mut total = 0;
        while let Some(stored) = tasks.join_next().await {
            total += stored.expect("no panic");
        }
        assert!(total > 0 && total <= 100 * MIB + 1, "{total} bytes on {kind}");
        assert_eq!(db.usage("p").await.expect("usage")["image_size_total"].in_use, total);
        assert_eq!(db.recount().await.expect("a recount"), []);
    });
}

#[test]
fn of_requests_that_fit_alone_at_least_one_passes_and_a_denial_changes_nothing() {
    on_each(|db, _| async move {
        let limits = Limits { size_total: Some(100), ..Limits::default() };
        let mut passed = 0;
        let mut tasks = tokio::task::JoinSet::new();
        for bytes in [70, 90, 20] {
            let (db, image) = (db.clone(), create(&db, &image(Some("p"))).await);
            tasks.spawn(async move { db.begin_upload(&permit(), &image, begin(Some(bytes), limits)).await });
        }
        while let Some(outcome) = tasks.join_next().await {
            passed += u32::from(outcome.expect("no panic").is_ok());
        }
        assert!(passed >= 1);
        let before = db.usage("p").await.expect("usage");
        let image = create(&db, &image(Some("p"))).await;
        let after_create = db.usage("p").await.expect("usage");
        let denied = db.begin_upload(&permit(), &image, begin(Some(101), limits)).await.expect_err("over");
        assert!(denied.message().contains("image_size_total") && denied.message().contains("100"), "{denied}");
        assert_eq!(db.usage("p").await.expect("usage"), after_create);
        assert_eq!(before["image_size_total"], after_create["image_size_total"]);
        assert_eq!(db.image(&image.id).await.expect("a read"), Some(image));
    });
}

#[test]
fn counts_are_limited() {
    on_each(|db, _| async move {
        let limits = Limits { count_total: Some(1), count_uploading: Some(0), ..Limits::default() };
        let first = db.create_image(&permit(), &image(Some("p")), &limits, &[]).await.expect("the first");
        let second = image(Some("p"));
        let over = db.create_image(&permit(), &second, &limits, &[]).await.expect_err("the second");
        assert_eq!(over.kind(), Kind::TooLarge);
        assert_eq!(db.image(&second.id).await.expect("a read"), None);
        db.create_image(&permit(), &image(None), &limits, &[]).await.expect("nobody's");
        let over = db.begin_upload(&permit(), &first, begin(Some(1), limits)).await.expect_err("no uploads");
        assert!(over.message().contains("image_count_uploading"), "{over}");
    });
}

#[derive(Debug, Clone)]
enum Step {
    Create(bool),
    Begin(usize, Option<u64>),
    Grow(usize, u64),
    Publish(usize),
    Fail(usize),
    Delete(usize),
    Give(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..8_usize;
    prop_oneof![
        any::<bool>().prop_map(Step::Create),
        (at.clone(), proptest::option::of(0..60_u64)).prop_map(|(i, n)| Step::Begin(i, n)),
        (at.clone(), 0..90_u64).prop_map(|(i, n)| Step::Grow(i, n)),
        at.clone().prop_map(Step::Publish),
        at.clone().prop_map(Step::Fail),
        at.clone().prop_map(Step::Delete),
        (at, any::<bool>()).prop_map(|(i, b)| Step::Give(i, b)),
    ]
}

fn project(first: bool) -> &'static str {
    if first { "p" } else { "q" }
}

#[test]
fn random_steps_keep_the_ledger_equal_to_the_sums() {
    on_each(|db, kind| async move {
        let limits = Limits { size_total: Some(100), count_total: Some(5), count_uploading: Some(2) };
        let mut runner = TestRunner::deterministic();
        let steps = proptest::collection::vec(step(), 120).new_tree(&mut runner).expect("steps").current();
        let mut images: Vec<Image> = Vec::new();
        let mut uploads: Vec<Upload> = Vec::new();
        for step in steps {
            let p = permit();
            match step {
                Step::Create(first) => {
                    let made = db.create_image(&p, &image(Some(project(first))), &limits, &[]).await;
                    let owned = images.iter().filter(|i| i.owner.as_deref() == Some(project(first))).count();
                    assert_eq!(made.is_ok(), owned < 5, "{made:?}");
                    images.extend(made);
                }
                Step::Begin(i, bytes) => {
                    let Some(image) = images.get(i) else { continue };
                    uploads.extend(db.begin_upload(&p, image, begin(bytes, limits)).await);
                }
                Step::Grow(i, bytes) => {
                    let Some(upload) = uploads.get_mut(i) else { continue };
                    if db.grow_upload(upload, bytes).await.is_ok() {
                        assert!(upload.granted >= bytes);
                    }
                }
                Step::Publish(i) if i < uploads.len() => {
                    let upload = uploads.remove(i);
                    let size = upload.granted.min(7);
                    if db.publish_upload(&p, &upload, &published(size), &[]).await.is_err() {
                        db.fail_upload(&p, &upload, &[]).await.expect("cleaned");
                    }
                }
                Step::Fail(i) if i < uploads.len() => {
                    db.fail_upload(&p, &uploads.remove(i), &[]).await.expect("cleaned");
                }
                Step::Delete(i) if i < images.len() => {
                    let image = db.image(&images.remove(i).id).await.expect("a read").expect("it");
                    db.delete_image(&p, &image, &[]).await.expect("deleted");
                }
                Step::Give(i, first) if i < images.len() => {
                    let mut image = db.image(&images[i].id).await.expect("a read").expect("it");
                    image.owner = Some(project(first).into());
                    images[i] = db.save_image(&p, &image, &[]).await.expect("given");
                }
                _ => {}
            }
            assert_eq!(db.recount().await.expect("a recount"), [], "on {kind}");
            let counted: BTreeMap<_, _> = db.usage("p").await.expect("usage");
            let owned = images.iter().filter(|i| i.owner.as_deref() == Some("p")).count() as u64;
            assert_eq!(counted.get("image_count_total").map_or(0, |u| u.in_use), owned, "on {kind}");
        }
        active(&db, None, 1).await;
        for upload in uploads {
            db.fail_upload(&permit(), &upload, &[]).await.expect("cleaned");
        }
    });
}
