//! Create, read, save, status, delete.

use std::collections::BTreeMap;

use fanlight::{Kind, db::Db, image::*, quota::Limits};

use super::{active, create, image, on_each, permit};

#[test]
fn an_image_comes_back_as_it_was_made() {
    on_each(|db, kind| async move {
        let tags = ["a", "A", "é", "e\u{301}", "x ", "x", "🦀", "\"q\"\\", " "];
        let mut new = image(Some("p"));
        new.name = Some("naïve 🦀 \"quoted\" \\ \u{7f}\n".into());
        new.protected = true;
        new.min_disk = i32::MAX as u32;
        new.disk_format = Some("raw".into());
        new.tags = tags.iter().map(|t| (*t).to_owned()).collect();
        new.properties = [("K", "v"), ("k", "w"), ("", ""), ("long", &"é".repeat(65_535))]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        let made = create(&db, &new).await;
        assert_eq!(made, new, "on {kind}");
        assert_eq!(db.image(&new.id).await.expect("a read"), Some(new), "on {kind}");
        let bare = create(&db, &image(None)).await;
        assert_eq!(db.image(&bare.id).await.expect("a read"), Some(bare));
        assert_eq!(db.image("nope").await.expect("a read"), None);
        assert_eq!(db.image("a\0b").await.expect("a read"), None);
    });
}

#[test]
fn ids_differ_by_case_and_are_never_used_again() {
    on_each(|db, _| async move {
        let mut lower = image(Some("p"));
        lower.id = "aaaaaaaa-0000-0000-0000-000000000000".into();
        let mut upper = lower.clone();
        upper.id = lower.id.to_uppercase();
        let made = create(&db, &lower).await;
        create(&db, &upper).await;
        let again = |db: Db, i: Image| async move {
            db.create_image(&permit(), &i, &Limits::default(), &[]).await.expect_err("taken").kind()
        };
        assert_eq!(again(db.clone(), lower.clone()).await, Kind::Conflict);
        db.delete_image(&permit(), &made, &[]).await.expect("a delete");
        assert_eq!(db.image(&lower.id).await.expect("a read"), None);
        assert_eq!(again(db.clone(), lower).await, Kind::Conflict);
    });
}

#[test]
fn what_no_database_holds_alike_is_refused() {
    on_each(|db, _| async move {
        let mut nul = image(None);
        nul.name = Some("a\0".into());
        let mut long = image(None);
        long.tags = ["é".repeat(256)].into();
        for bad in [nul, long] {
            let error = db.create_image(&permit(), &bad, &Limits::default(), &[]).await.expect_err("refused");
            assert_eq!(error.kind(), Kind::Invalid);
        }
    });
}

#[test]
fn saving_compares_the_version_and_writes_the_differences() {
    on_each(|db, kind| async move {
        let mut new = image(Some("p"));
        new.tags = ["a", "b"].map(String::from).into();
        new.properties = [("k", "1"), ("l", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let made = create(&db, &new).await;
        let mut changed = made.clone();
        changed.name = Some("n".into());
        changed.visibility = Visibility::Public;
        changed.tags = ["b", "c"].map(String::from).into();
        changed.properties = [("k", "3"), ("m", "4")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let saved = db.save_image(&permit(), &changed, &[]).await.expect("a save");
        assert!(saved.version > made.version && saved.updated_at >= made.updated_at, "on {kind}");
        let same = Image { version: saved.version, updated_at: saved.updated_at, ..changed.clone() };
        assert_eq!(saved, same, "on {kind}");
        assert_eq!(db.image(&made.id).await.expect("a read"), Some(saved.clone()));
        let stale = db.save_image(&permit(), &changed, &[]).await.expect_err("an old version");
        assert_eq!(stale.kind(), Kind::Conflict);
        db.delete_image(&permit(), &saved, &[]).await.expect("a delete");
        let gone = db.save_image(&permit(), &saved, &[]).await.expect_err("a deleted image");
        assert_eq!(gone.kind(), Kind::NotFound);
    });
}

#[test]
fn a_new_owner_takes_over_the_charge() {
    on_each(|db, _| async move {
        let mut image = active(&db, Some("p"), 100).await;
        for owner in [Some("q"), None, Some("p")] {
            image.owner = owner.map(str::to_owned);
            image = db.save_image(&permit(), &image, &[]).await.expect("a save");
            assert_eq!(db.recount().await.expect("a recount"), []);
            for project in ["p", "q"] {
                let bytes = db.usage(project).await.expect("usage").get("image_size_total").map_or(0, |u| u.in_use);
                assert_eq!(bytes, if owner == Some(project) { 100 } else { 0 });
            }
        }
    });
}

#[test]
fn deleting_gives_back_and_leaves_the_data_to_the_stores() {
    on_each(|db, _| async move {
        let image = active(&db, Some("p"), 100).await;
        let gone = db.delete_image(&permit(), &image, &[]).await.expect("a delete");
        assert_eq!(gone.len(), 1);
        assert_eq!((gone[0].store.as_str(), &gone[0].url), ("alpha", &image.locations[0].url));
        assert_eq!(db.deletions(10).await.expect("deletions"), gone);
        db.deletion_done(&permit(), &gone[0].id).await.expect("done");
        db.deletion_done(&permit(), &gone[0].id).await.expect("done twice");
        assert_eq!(db.deletions(10).await.expect("deletions"), []);
        let usage: BTreeMap<_, _> = db.usage("p").await.expect("usage");
        assert!(usage.values().all(|u| u.in_use == 0 && u.reserved == 0), "{usage:?}");
        let twice = db.delete_image(&permit(), &image, &[]).await.expect_err("gone");
        assert_eq!(twice.kind(), Kind::NotFound);
    });
}

#[test]
fn the_last_location_stays() {
    on_each(|db, _| async move {
        let image = active(&db, Some("p"), 100).await;
        let last = db.remove_location(&permit(), &image, &image.locations[0].id, &[]).await.expect_err("the last");
        assert_eq!(last.kind(), Kind::Forbidden);
        let other = db.remove_location(&permit(), &image, "nope", &[]).await.expect_err("not there");
        assert_eq!(other.kind(), Kind::NotFound);
        assert_eq!(db.image(&image.id).await.expect("a read"), Some(image));
    });
}
