//! Properties that a caller may not read: nothing tells of them, and rules that speak of them hold all the same.

use serde_json::{Value, json};

use crate::support::{ADMIN, ALICE, Reply, TestApp};

/// `secret` is for administrators, and where it is, the copies are nobody's business.
const HIDDEN: &str = r#"
    @id("secret.hidden")
    forbid (principal, action == Action::"read_property", resource)
    when { resource.name like "secret*" } unless { principal.roles.contains("admin") };
    @id("secret.copies")
    forbid (principal, action == Action::"get_image_location", resource) when { resource.hasTag("secret") };
"#;

fn add(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"op": "add", "path": format!("/{name}"), "value": "7f3a"})).collect()
}

async fn gateway(change: impl FnOnce(&mut fanlight::config::Config)) -> TestApp {
    let app = TestApp::with(change).await;
    app.rule(HIDDEN).await;
    app
}

#[tokio::test]
async fn a_rule_on_a_hidden_property_hides_the_copies() {
    let app = gateway(|config| {
        config.images.show_direct_url = true;
        config.images.show_locations = true;
    })
    .await;
    let path = |id: &str| format!("/v2/images/{id}");
    let told = |reply: &Value| (reply.get("direct_url").is_some(), reply.get("locations").is_some());
    let (plain, secret) = (app.active(ALICE, "p", b"data").await, app.active(ALICE, "s", b"data").await);
    assert_eq!(app.patch(&secret, ADMIN, add(&["secret"])).await.status, 200);
    for (id, shown) in [(&plain, true), (&secret, false)] {
        assert_eq!(told(&app.get(&path(id), ALICE).await.json()), (shown, shown));
        let changed = app.patch(id, ALICE, json!([{"op": "replace", "path": "/name", "value": "n"}])).await.json();
        assert_eq!((changed.get("secret"), told(&changed)), (None, (shown, shown)));
        let list = app.get("/v2/images", ALICE).await.json();
        let listed = list["images"].as_array().unwrap().iter().find(|i| i["id"] == *id).unwrap().clone();
        assert_eq!((listed.get("secret"), told(&listed)), (None, (shown, shown)));
    }
}

#[tokio::test]
async fn no_event_tells_what_the_one_who_acted_may_not_read() {
    let app = gateway(|_| {}).await;
    let ok = |reply: Reply| assert!(reply.status.is_success(), "{}", reply.outcome());
    let id = app.queued(ALICE, "i").await;
    ok(app.patch(&id, ADMIN, add(&["secret", "open"])).await);
    let seen = app.app.db.pending_events(100).await.unwrap();
    let last = seen.last().unwrap();
    assert_eq!((&last.payload["properties"]["secret"], last.event_type.as_str()), (&json!("7f3a"), "image.update"));

    let path = format!("/v2/images/{id}");
    ok(app.patch(&id, ALICE, json!([{"op": "replace", "path": "/name", "value": "n"}])).await);
    ok(app.put(&format!("{path}/tags/t"), ALICE, Value::Null).await);
    ok(app.upload(&id, ALICE, "data").await);
    ok(app.post(&format!("{path}/actions/deactivate"), ALICE, Value::Null).await);
    ok(app.post(&format!("{path}/actions/reactivate"), ALICE, Value::Null).await);
    ok(app.post(&format!("{path}/members"), ALICE, json!({"member": "green"})).await);
    ok(app.get(&format!("{path}/file"), ALICE).await);
    ok(app.delete(&path, ALICE).await);
    let events = app.app.db.pending_events(100).await.unwrap();
    let types: std::collections::BTreeSet<_> = events.iter().map(|e| e.event_type.as_str()).collect();
    for kind in ["image.update", "image.prepare", "image.upload", "image.activate", "image.delete"] {
        assert!(types.contains(kind), "no {kind} in {types:?}");
    }
    for event in &events {
        let text = event.payload.to_string();
        assert!(!text.contains("secret"), "{}: {text}", event.event_type);
        assert!(event.payload.get("properties").is_none_or(|all| all["open"] == "7f3a"), "{text}");
    }
    assert_eq!(app.app.db.image(&id).await.unwrap(), None);
}

#[tokio::test]
async fn the_limit_of_properties_counts_hidden_ones_and_its_text_does_not() {
    let app = gateway(|config| config.quota.image_property_quota = Some(3)).await;
    let id = app.queued(ALICE, "i").await;
    assert_eq!(app.patch(&id, ADMIN, add(&["secret_a", "secret_b"])).await.status, 200);
    assert_eq!(app.patch(&id, ALICE, add(&["mine"])).await.status, 200);
    insta::assert_snapshot!(app.patch(&id, ALICE, add(&["too"])).await.outcome(), @"413 The limit has been exceeded on the number of allowed image properties. Attempted: 2, Maximum: 3");
    insta::assert_snapshot!(app.patch(&id, ADMIN, add(&["too"])).await.outcome(), @"413 The limit has been exceeded on the number of allowed image properties. Attempted: 4, Maximum: 3");
}

#[tokio::test]
async fn an_empty_owner_is_no_owner() {
    let app = TestApp::new().await;
    let reply = app.post("/v2/images", ADMIN, json!({"name": "i", "owner": ""})).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["owner"]), (201, &json!("ops")));
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    let change = json!([{"op": "replace", "path": "/owner", "value": ""}]);
    let changed = app.patch(&id, ADMIN, change).await.json();
    assert_eq!(changed["owner"], Value::Null);
}
