//! Data that is in a store already: R-13, R-14, the old PATCH of `/locations`, and deletes of what clones need.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use fanlight::{jobs, quota::Limits};
use serde_json::{Value, json};

use crate::support::{ADMIN, ALICE, BOB, FakeStore, Reply, SERVICE, TestApp};

/// Nova in Alice's project.
const NOVA: &str = "nova:blue:service,member";
const DATA: &[u8] = b"what an instance had on its disk";

impl TestApp {
    async fn locate(&self, id: &str, token: &str, body: Value) -> Reply {
        self.post(&format!("/v2/images/{id}/locations"), token, body).await
    }

    /// The image when it is neither being written nor read.
    async fn settled(&self, id: &str) -> Value {
        let begun = Instant::now();
        loop {
            let image = self.get(&format!("/v2/images/{id}"), ADMIN).await.json();
            if !matches!(image["status"].as_str(), Some("saving" | "importing")) {
                return image;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "stuck: {image}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn assert_no_drift(&self) {
        assert_eq!(self.app.db.recount().await.unwrap(), []);
        assert_eq!(self.app.db.check().await.unwrap(), Vec::<String>::new());
    }

    /// An active image whose data was claimed; returns its id.
    async fn claimed(&self, store: &FakeStore) -> String {
        let id = self.queued(ALICE, "snapshot").await;
        let url = store.put(&id, DATA).await;
        let reply = self.locate(&id, NOVA, json!({"url": url})).await;
        assert_eq!(reply.status, 202, "{}", reply.text());
        assert_eq!(self.settled(&id).await["status"], "active");
        id
    }
}

fn sha512(data: &[u8]) -> Value {
    use digest::Digest;
    let value = data_encoding::HEXLOWER.encode(&sha2::Sha512::digest(data));
    json!({"os_hash_algo": "sha512", "os_hash_value": value})
}

#[tokio::test]
async fn a_snapshot_in_the_store_becomes_an_image() {
    let (app, alpha, _) = TestApp::faked(|c| c.images.show_direct_url = true).await;
    let id = app.queued(ALICE, "snapshot").await;
    let url = alpha.put(&id, DATA).await;
    let reply = app.locate(&id, NOVA, json!({"url": url, "validation_data": sha512(DATA)})).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (202, String::new()));
    let image = app.settled(&id).await;
    assert_eq!(image["status"], "active");
    assert_eq!((&image["size"], &image["virtual_size"]), (&json!(DATA.len()), &Value::Null));
    assert_eq!(image["os_hash_value"], sha512(DATA)["os_hash_value"]);
    assert_eq!(image["checksum"].as_str().map(str::len), Some(32));
    assert_eq!((&image["stores"], &image["direct_url"]), (&json!("alpha"), &json!(url)));
    let events = app.app.db.pending_events(100).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|e| e.event_type.as_str()).collect();
    assert_eq!(kinds, ["image.create", "image.update"]);
    let locations = app.get(&format!("/v2/images/{id}/locations"), NOVA).await;
    assert_eq!(locations.json(), json!([{"url": url, "metadata": {"store": "alpha"}}]));
    assert_eq!(app.get(&format!("/v2/images/{id}/file"), ALICE).await.bytes(), DATA);
    let usage = app.app.db.usage("blue").await.unwrap();
    assert_eq!((usage["image_size_total"].in_use, usage["image_size_total"].reserved), (DATA.len() as u64, 0));
    app.assert_no_drift().await;
    assert_eq!(app.delete(&format!("/v2/images/{id}"), ALICE).await.status, 204);
    assert_eq!(alpha.names().await, Vec::<String>::new(), "once published the object is the image's");
    app.assert_no_drift().await;
}

#[tokio::test]
async fn only_ones_own_object_in_a_store_one_may_use_can_be_claimed() {
    let (app, alpha, _) = TestApp::faked(|_| {}).await;
    let (mine, others) = (app.queued(ALICE, "mine").await, app.queued(BOB, "others").await);
    let foreign = alpha.put(&others, b"the data of another").await;
    let own = alpha.put(&mine, DATA).await;
    let ask = async |token: &str, url: &str| app.locate(&mine, token, json!({"url": url})).await.outcome();
    insta::assert_snapshot!(ask(NOVA, &foreign).await, @"403 The data at this location is not that of this image.");
    insta::assert_snapshot!(ask(ADMIN, &foreign).await, @"403 The data at this location is not that of this image.");
    insta::assert_snapshot!(ask(ALICE, &own).await, @"403 You are not authorized to complete fetch_image_location action.");
    assert_eq!(ask(BOB, &own).await, format!("404 No image found with ID {mine}"));
    assert_eq!(ask(SERVICE, &own).await, format!("404 No image found with ID {mine}"));
    insta::assert_snapshot!(ask(NOVA, "file:///etc/passwd").await, @"400 Invalid location: the scheme file is not accepted.");
    insta::assert_snapshot!(ask(NOVA, "FILE:///etc/passwd").await, @"400 Invalid location: the scheme file is not accepted.");
    insta::assert_snapshot!(ask(NOVA, "http://images.test/disk.img").await, @"400 Invalid location: no store has this URL.");
    insta::assert_snapshot!(ask(NOVA, "fake://gamma/x").await, @"400 Invalid location: no store has this URL.");
    insta::assert_snapshot!(ask(NOVA, "x").await, @"400 Invalid location: it is no URL.");
    insta::assert_snapshot!(ask(NOVA, &own.replace("alpha", "beta")).await, @"400 Invalid location: there is no data.");
    app.rule(r#"@id("no-alpha") forbid (principal, action == Action::"place_image", resource == Store::"alpha");"#)
        .await;
    insta::assert_snapshot!(ask(NOVA, &own).await, @"403 You are not authorized to complete place_image action.");
    app.rule(r#"@id("no-alpha") forbid (principal, action == Action::"see_store", resource == Store::"alpha");"#).await;
    insta::assert_snapshot!(ask(NOVA, &own).await, @"400 Invalid location: no store has this URL.");
    app.rule("").await;
    alpha.down.store(true, Ordering::SeqCst);
    insta::assert_snapshot!(ask(NOVA, &own).await, @"503 The image store is not available.");
    alpha.down.store(false, Ordering::SeqCst);
    assert_eq!(app.settled(&mine).await["status"], "queued");
    assert_eq!(alpha.names().await.len(), 2, "nobody's object is touched");
    assert_eq!(ask(NOVA, &own).await, "202");
    assert_eq!(app.settled(&mine).await["status"], "active");
    insta::assert_snapshot!(ask(NOVA, &own).await, @"409 It's not allowed to add locations if image status is active.");
    app.assert_no_drift().await;
}

#[tokio::test]
async fn data_that_is_not_what_was_said_is_left_alone() {
    let (app, alpha, _) = TestApp::faked(|_| {}).await;
    let id = app.queued(ALICE, "snapshot").await;
    let url = alpha.put(&id, DATA).await;
    for wrong in [sha512(b"else"), json!({"os_hash_algo": "md5", "os_hash_value": "0".repeat(32)})] {
        assert_eq!(app.locate(&id, NOVA, json!({"url": url, "validation_data": wrong})).await.status, 202);
        let image = app.settled(&id).await;
        assert_eq!((&image["status"], &image["size"]), (&json!("queued"), &Value::Null));
        assert_eq!(image["os_hash_value"], Value::Null);
        assert_eq!(alpha.names().await, std::slice::from_ref(&id));
        app.assert_no_drift().await;
    }
    assert_eq!(app.locate(&id, NOVA, json!({"url": url, "validation_data": sha512(DATA)})).await.status, 202);
    assert_eq!(app.settled(&id).await["status"], "active");
}

#[tokio::test]
async fn the_quota_is_asked_before_anything_is_visible() {
    let (app, alpha, _) = TestApp::faked(|c| c.quota.image_size_total = Some(DATA.len() as u64 + 5)).await;
    let (first, second) = (app.queued(ALICE, "one").await, app.queued(ALICE, "two").await);
    let one = app.locate(&first, NOVA, json!({"url": alpha.put(&first, DATA).await})).await;
    assert_eq!(one.status, 202);
    let two = app.locate(&second, NOVA, json!({"url": alpha.put(&second, DATA).await})).await;
    insta::assert_snapshot!(two.outcome(), @"413 Request exceeds the quota: resource image_size_total is over limit of 37 due to current usage 32 and delta 32");
    assert_eq!(app.settled(&first).await["status"], "active");
    assert_eq!(app.settled(&second).await["status"], "queued");
    assert_eq!(alpha.names().await.len(), 2, "it is the caller's object");
    app.assert_no_drift().await;
}

#[tokio::test]
async fn one_claim_at_a_time_and_a_deleted_image_keeps_nothing() {
    let (app, alpha, _) = TestApp::faked(|_| {}).await;
    let id = app.queued(ALICE, "snapshot").await;
    let url = alpha.put(&id, DATA).await;
    alpha.held.store(true, Ordering::SeqCst);
    assert_eq!(app.locate(&id, NOVA, json!({"url": url})).await.status, 202);
    let again = app.locate(&id, NOVA, json!({"url": url})).await;
    assert_eq!(again.status, 409, "{}", again.text());
    assert_eq!(app.upload(&id, ALICE, "data").await.status, 409);
    assert_eq!(app.delete(&format!("/v2/images/{id}"), ALICE).await.status, 204);
    alpha.held.store(false, Ordering::SeqCst);
    let begun = Instant::now();
    while app.app.db.usage("blue").await.unwrap()["image_size_total"].reserved > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the reservation stays");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(alpha.names().await, [id], "it never was the image's");
    app.assert_no_drift().await;
}

/// What a kill leaves: the lease runs out, and the image is queued again; the object was never ours.
#[tokio::test]
async fn a_claim_whose_process_died_gives_the_object_back() {
    let (app, alpha, _) = TestApp::faked(|_| {}).await;
    let id = app.queued(ALICE, "snapshot").await;
    let url = alpha.put(&id, DATA).await;
    let image = app.app.db.image(&id).await.unwrap().unwrap();
    let permit = fanlight::authz::Permit::system("test");
    let begin = fanlight::db::BeginUpload {
        store: "alpha".into(),
        declared: Some(DATA.len() as u64),
        limits: Limits::default(),
        node: app.app.node.clone(),
        boot: "the boot before".into(),
        lease: Duration::from_secs(60),
    };
    app.app.db.begin_claim(&permit, &image, begin, &url).await.unwrap();
    assert_eq!(app.get(&format!("/v2/images/{id}"), ALICE).await.json()["status"], "importing");
    jobs::reap(&app.app).await.unwrap();
    assert_eq!(app.get(&format!("/v2/images/{id}"), ALICE).await.json()["status"], "queued");
    assert_eq!(alpha.names().await, std::slice::from_ref(&id));
    app.assert_no_drift().await;
    assert_eq!(app.locate(&id, NOVA, json!({"url": url})).await.status, 202);
    assert_eq!(app.settled(&id).await["status"], "active");
}

fn add(url: &str) -> Value {
    json!([{"op": "add", "path": "/locations/-", "value": {"url": url, "metadata": {}}}])
}

fn remove(place: &str) -> Value {
    json!([{"op": "remove", "path": format!("/locations/{place}")}])
}

#[tokio::test]
async fn the_old_api_is_off_unless_it_is_turned_on() {
    let (app, alpha, _) = TestApp::faked(|_| {}).await;
    let id = app.queued(ALICE, "snapshot").await;
    let url = alpha.put(&id, DATA).await;
    insta::assert_snapshot!(app.patch(&id, NOVA, add(&url)).await.outcome(), @"403 It's not allowed to add locations if locations are invisible.");
}

#[tokio::test]
async fn the_old_api_adds_copies_and_removes_them() {
    let (app, alpha, beta) = TestApp::faked(|c| {
        c.images.patch_locations = true;
        c.images.show_locations = true;
    })
    .await;
    let id = app.queued(ALICE, "snapshot").await;
    let (a, b) = (alpha.put(&id, DATA).await, beta.put(&id, b"something else, just as long yes").await);
    insta::assert_snapshot!(app.patch(&id, ALICE, add(&a)).await.outcome(), @"403 You are not authorized to complete fetch_image_location action.");
    insta::assert_snapshot!(app.patch(&id, NOVA, remove("0")).await.outcome(), @"403 You are not authorized to complete delete_image_location action.");
    let wrong = json!([{"op": "add", "path": "/locations/-", "value": {"url": a, "metadata": {}, "validation_data": sha512(b"x")}}]);
    insta::assert_snapshot!(app.patch(&id, NOVA, wrong).await.outcome(), @"400 The data at the location does not have the given os_hash_value.");
    let image = app.patch(&id, NOVA, add(&a)).await;
    assert_eq!(image.status, 200, "{}", image.text());
    assert_eq!(image.json()["status"], "active");
    assert_eq!(image.json()["os_hash_value"], sha512(DATA)["os_hash_value"], "active only when all of it was read");

    insta::assert_snapshot!(app.patch(&id, NOVA, add(&b)).await.outcome(), @"400 The data at the location is not that of the image.");
    beta.replace(&id, DATA).await;
    assert_eq!(app.patch(&id, NOVA, add(&b)).await.status, 200);
    insta::assert_snapshot!(app.patch(&id, NOVA, add(&b)).await.outcome(), @"409 The data at this location belongs to an image already, or is about to be deleted.");
    let usage = app.app.db.usage("blue").await.unwrap();
    assert_eq!(usage["image_size_total"].in_use, 2 * DATA.len() as u64);
    app.assert_no_drift().await;

    let list = |urls: &[&String]| {
        let all: Vec<_> = urls.iter().map(|url| json!({"url": url, "metadata": {}})).collect();
        json!([{"op": "replace", "path": "/locations", "value": all}])
    };
    assert_eq!(app.patch(&id, NOVA, list(&[&b, &a])).await.status, 200, "the same list");
    insta::assert_snapshot!(app.patch(&id, NOVA, list(&[&a])).await.outcome(), @"400 Locations can be replaced only while there are none.");
    insta::assert_snapshot!(app.patch(&id, NOVA, list(&[])).await.outcome(), @"403 Cannot set locations to empty list.");
    insta::assert_snapshot!(app.patch(&id, NOVA, remove("0")).await.outcome(), @"403 You are not authorized to complete delete_image_location action.");
    insta::assert_snapshot!(app.patch(&id, ADMIN, remove("2")).await.outcome(), @"400 Invalid position for removing a location.");
    insta::assert_snapshot!(app.patch(&id, ADMIN, remove("x")).await.outcome(), @"400 Invalid position for removing a location.");
    alpha.set_cloned(&id, true);
    let both = json!([{"op": "remove", "path": "/locations/1"}, {"op": "remove", "path": "/locations/0"}]);
    insta::assert_snapshot!(app.patch(&id, ADMIN, both).await.outcome(), @"403 Cannot remove last location in the image.");
    let in_use = app.patch(&id, ADMIN, remove("0")).await;
    assert_eq!(in_use.outcome(), format!("409 The data for Image {id} could not be deleted because it is in use."));
    alpha.set_cloned(&id, false);
    let left = app.patch(&id, ADMIN, remove("0")).await;
    assert_eq!(left.json()["locations"], json!([{"url": b, "metadata": {"store": "beta"}}]));
    assert_eq!((alpha.names().await.len(), beta.names().await.len()), (0, 1));
    insta::assert_snapshot!(app.patch(&id, ADMIN, remove("-")).await.outcome(), @"403 Cannot remove last location in the image.");
    app.assert_no_drift().await;
}

#[tokio::test]
async fn a_change_of_locations_is_a_request_of_its_own() {
    let (app, alpha, _) = TestApp::faked(|c| c.images.patch_locations = true).await;
    let id = app.queued(ALICE, "snapshot").await;
    let mut mixed = add(&alpha.put(&id, DATA).await);
    mixed.as_array_mut().unwrap().push(json!({"op": "replace", "path": "/name", "value": "n"}));
    insta::assert_snapshot!(app.patch(&id, NOVA, mixed).await.outcome(), @"400 Locations are added one at a time, or removed, by a request about nothing else.");
    let at = |place: &str| json!([{"op": "add", "path": format!("/locations/{place}"), "value": {"url": "x://y", "metadata": {}}}]);
    insta::assert_snapshot!(app.patch(&id, NOVA, at("3")).await.outcome(), @"400 Invalid position for adding a location: it is added at the end.");
    insta::assert_snapshot!(app.patch(&id, NOVA, at("x")).await.outcome(), @"400 Invalid position for adding a location.");
    insta::assert_snapshot!(app.patch(&id, NOVA, at("0")).await.outcome(), @"400 Invalid location: no store has this URL.");
    assert_eq!(app.settled(&id).await["status"], "queued");
}

#[tokio::test]
async fn an_image_that_a_clone_needs_is_not_deleted() {
    let (app, alpha, _) = TestApp::faked(|_| {}).await;
    let id = app.claimed(&alpha).await;
    let path = format!("/v2/images/{id}");
    let before = app.get(&path, ALICE).await.json();
    alpha.set_cloned(&id, true);
    for token in [ALICE, ADMIN] {
        let refused = app.delete(&path, token).await;
        assert_eq!(refused.outcome(), format!("409 Image {id} could not be deleted because it is in use."));
    }
    assert_eq!(app.get(&path, ALICE).await.json(), before, "nothing has changed");
    assert_eq!(app.app.db.deletions(9).await.unwrap(), []);
    assert_eq!(alpha.deletes.load(Ordering::SeqCst), 0);
    assert_eq!(app.get(&format!("{path}/file"), ALICE).await.bytes(), DATA);
    alpha.set_cloned(&id, false);
    assert_eq!(app.delete(&path, ALICE).await.status, 204);
    assert_eq!(alpha.names().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_store_that_is_down_or_finds_the_clone_late_keeps_a_note() {
    let (app, alpha, _) = TestApp::faked(|_| {}).await;
    let (one, two) = (app.claimed(&alpha).await, app.claimed(&alpha).await);
    alpha.down.store(true, Ordering::SeqCst);
    assert_eq!(app.delete(&format!("/v2/images/{one}"), ALICE).await.status, 204, "a fault of one store blocks nobody");
    alpha.down.store(false, Ordering::SeqCst);
    assert_eq!(alpha.deletes.load(Ordering::SeqCst), 0, "what does not answer is not asked twice");
    alpha.tells.store(false, Ordering::SeqCst);
    alpha.set_cloned(&two, true);
    assert_eq!(app.delete(&format!("/v2/images/{two}"), ALICE).await.status, 204);
    assert_eq!(app.app.db.waiting_deletions().await.unwrap(), 2);
    let notes = app.app.db.deletions(9).await.unwrap();
    jobs::collect(&app.app, notes).await;
    assert_eq!(alpha.names().await, std::slice::from_ref(&two), "the clone keeps its bytes");
    alpha.set_cloned(&two, false);
    jobs::collect(&app.app, app.app.db.deletions(9).await.unwrap()).await;
    assert_eq!(alpha.names().await, Vec::<String>::new());
    assert_eq!(app.app.db.waiting_deletions().await.unwrap(), 0);
    app.assert_no_drift().await;
}

/// The notes of one store do not wait for those of another, and a store that does not answer is asked once a round.
#[tokio::test]
async fn a_store_that_is_down_holds_up_no_other() {
    let (app, alpha, beta) = TestApp::faked(|_| {}).await;
    let mut all = Vec::new();
    for store in [&alpha, &alpha, &alpha, &beta] {
        all.push(app.claimed(store).await);
    }
    for store in [&alpha, &beta] {
        store.down.store(true, Ordering::SeqCst);
    }
    for id in &all {
        assert_eq!(app.delete(&format!("/v2/images/{id}"), ALICE).await.status, 204);
    }
    beta.down.store(false, Ordering::SeqCst);
    jobs::collect(&app.app, app.app.db.deletions(9).await.unwrap()).await;
    assert_eq!((alpha.deletes.load(Ordering::SeqCst), beta.deletes.load(Ordering::SeqCst)), (1, 1));
    assert_eq!((alpha.names().await.len(), beta.names().await.len()), (3, 0));
}

#[tokio::test]
async fn one_copy_that_a_clone_needs_stays() {
    let (app, alpha, beta) = TestApp::faked(|c| c.images.patch_locations = true).await;
    let id = app.claimed(&alpha).await;
    let url = beta.put(&id, DATA).await;
    assert_eq!(app.patch(&id, NOVA, add(&url)).await.status, 200);
    beta.set_cloned(&id, true);
    let refused = app.delete(&format!("/v2/stores/beta/{id}"), ADMIN).await;
    assert_eq!(refused.outcome(), format!("409 The data for Image {id} could not be deleted because it is in use."));
    assert_eq!(app.app.db.image(&id).await.unwrap().unwrap().locations.len(), 2);
    beta.set_cloned(&id, false);
    assert_eq!(app.delete(&format!("/v2/stores/beta/{id}"), ADMIN).await.status, 204);
    let url = beta.put(&id, DATA).await;
    assert_eq!(app.patch(&id, NOVA, add(&url)).await.status, 200, "its note is gone");
}
