//! Stores by policy: who knows of a store, puts images into it, reads from it.

use serde_json::{Value, json};

use crate::support::{ADMIN, ALICE, BOB, Reply, SERVICE, TestApp};

/// The gateway with `more` beside the shipped policies.
async fn with_policy(more: &str) -> TestApp {
    with(more, |_| {}).await
}

async fn with(more: &str, change: impl FnOnce(&mut fanlight::config::Config)) -> TestApp {
    let app = TestApp::with(change).await;
    app.rule(more).await;
    app
}

/// Only project `blue` and the cloud's people know of store `beta`.
const HIDDEN: &str = r#"
    @id("beta.hidden")
    forbid (principal, action == Action::"see_store", resource == Store::"beta")
    unless { principal in Project::"blue" || principal.roles.contains("admin") };
"#;

fn ids(reply: &Reply) -> Vec<String> {
    let stores = reply.json()["stores"].as_array().unwrap().clone();
    stores.iter().map(|s| s["id"].as_str().unwrap().to_owned()).collect()
}

async fn upload_to(app: &TestApp, token: &str, id: &str, store: &str) -> Reply {
    let headers =
        [("content-type", "application/octet-stream"), ("accept", "application/json"), ("x-image-meta-store", store)];
    app.request("PUT", &format!("/v2/images/{id}/file"), Some(token), &headers, "data").await
}

/// A public image of the operator whose data lies in `beta`.
async fn public_in_beta(app: &TestApp) -> String {
    let wish = json!({"name": "p", "visibility": "public", "disk_format": "raw", "container_format": "bare"});
    let id = app.created(ADMIN, wish).await;
    assert_eq!(upload_to(app, ADMIN, &id, "beta").await.status.as_u16(), 204);
    id
}

#[tokio::test]
async fn only_stores_that_may_be_seen_are_listed() {
    let app = with_policy(HIDDEN).await;
    assert_eq!(ids(&app.get("/v2/info/stores", ALICE).await), ["alpha", "beta"]);
    assert_eq!(ids(&app.get("/v2/info/stores", BOB).await), ["alpha"]);
    assert_eq!(ids(&app.get("/v2/info/stores/detail", ADMIN).await), ["alpha", "beta"]);
    assert_eq!(ids(&app.get("/v2/info/stores/detail", SERVICE).await), ["alpha"]);
    for (token, stores) in [(ALICE, "alpha,beta"), (BOB, "alpha")] {
        let reply = app.post("/v2/images", token, json!({"name": "x"})).await;
        assert_eq!(reply.header("openstack-image-store-ids"), stores);
    }
}

#[tokio::test]
async fn an_image_names_only_stores_that_may_be_seen() {
    let app = with(HIDDEN, |config| {
        config.images.show_direct_url = true;
        config.images.show_locations = true;
    })
    .await;
    let everybody_reads_locations = r#"
        @id("locations") permit (
            principal,
            action in [Action::"get_image_location", Action::"fetch_image_location"],
            resource
        );"#;
    std::fs::write(app.folder().join("policies/locations-too.cedar"), everybody_reads_locations).unwrap();
    app.app.rules.reload("test", fanlight::rules::Removals::Refused).await;
    let id = public_in_beta(&app).await;
    let shown = app.get(&format!("/v2/images/{id}"), ALICE).await.json();
    assert_eq!((&shown["stores"], &shown["locations"][0]["metadata"]["store"]), (&json!("beta"), &json!("beta")));
    assert!(shown["direct_url"].as_str().unwrap().contains("/beta/"));

    let hidden = app.get(&format!("/v2/images/{id}"), BOB).await.json();
    assert_eq!((&hidden["stores"], &hidden["direct_url"]), (&Value::Null, &Value::Null));
    assert_eq!((&hidden["locations"], &hidden["status"]), (&json!([]), &json!("active")));
    let listed = app.get("/v2/images", BOB).await;
    assert!(listed.text().contains(&id) && !listed.text().contains("beta"), "{}", listed.text());
    let path = format!("/v2/images/{id}/locations");
    assert_eq!(app.get(&path, ALICE).await.json()[0]["metadata"]["store"], "beta");
    assert_eq!(app.get(&path, BOB).await.json(), json!([]));
    let changed = app.patch(&id, ADMIN, json!([{"op": "replace", "path": "/name", "value": "q"}])).await;
    assert_eq!(changed.json()["stores"], "beta");
}

#[tokio::test]
async fn a_store_that_may_not_be_seen_answers_as_one_that_is_not_there() {
    let app = with_policy(HIDDEN).await;
    let id = app.queued(BOB, "b").await;
    let (hidden, absent) = (upload_to(&app, BOB, &id, "beta").await, upload_to(&app, BOB, &id, "gamma").await);
    assert_eq!(hidden.outcome(), "400 Invalid store identifier: beta");
    assert_eq!(absent.outcome(), "400 Invalid store identifier: gamma");

    let public = public_in_beta(&app).await;
    for store in ["beta", "gamma"] {
        let reply = app.get(&format!("/v2/images/{public}/file?prefer={store}"), BOB).await;
        assert_eq!(reply.outcome(), format!("400 Store {store} is not configured."));
    }
    assert_eq!(
        app.get(&format!("/v2/images/{public}/file"), BOB).await.bytes(),
        "data",
        "known or not, it may be read"
    );

    let admins_see_alpha_only = HIDDEN.replace("|| principal.roles.contains(\"admin\")", "");
    std::fs::write(app.folder().join("policies/more.cedar"), admins_see_alpha_only).unwrap();
    app.app.rules.reload("test", fanlight::rules::Removals::Refused).await;
    for store in ["beta", "gamma"] {
        let reply = app.delete(&format!("/v2/stores/{store}/{public}"), ADMIN).await;
        assert_eq!(reply.outcome(), format!("404 Store {store} is not configured."));
    }
}

#[tokio::test]
async fn a_refused_placement_names_no_store_that_may_not_be_seen() {
    let app = with_policy(HIDDEN).await;
    for store in app.app.stores.iter() {
        store.set_state(Some(fanlight::config::StoreState::Draining));
    }
    let (bobs, alices) = (app.queued(BOB, "b").await, app.queued(ALICE, "a").await);
    let text = app.upload(&bobs, BOB, "data").await.outcome();
    assert_eq!(text, "503 No store takes the image. alpha: the store is draining");
    let text = app.upload(&alices, ALICE, "data").await.outcome();
    assert_eq!(text, "503 No store takes the image. alpha: the store is draining; beta: the store is draining");
}

#[tokio::test]
async fn a_copy_is_read_only_from_stores_that_policy_permits() {
    let ssd_is_for_owners = r#"
        @id("hdd.owners")
        forbid (principal, action == Action::"read_store", resource)
        when { resource.hasTag("class") && resource.getTag("class") == "hdd" }
        unless { principal has project && context.image has owner && context.image.owner == principal.project };
    "#;
    let app = with_policy(ssd_is_for_owners).await;
    let id = public_in_beta(&app).await;
    let path = format!("/v2/images/{id}/file");
    let refused = app.get(&path, BOB).await;
    assert_eq!(refused.outcome(), "403 You are not authorized to complete read_store action.");
    assert!(!refused.header("x-fanlight-decision").is_empty());
    assert_eq!(app.get(&format!("{path}?prefer=beta"), BOB).await.status.as_u16(), 403);
    assert_eq!(app.get(&path, ADMIN).await.bytes(), "data");
    assert_eq!(app.get(&format!("/v2/images/{id}"), BOB).await.json()["stores"], "beta", "to know is not to read");
}

#[tokio::test]
async fn a_project_is_kept_out_of_a_store() {
    let app = with_policy(
        r#"@id("beta.blue") forbid (principal, action == Action::"place_image", resource == Store::"beta")
           unless { principal in Project::"blue" };"#,
    )
    .await;
    let (bobs, alices) = (app.queued(BOB, "b").await, app.queued(ALICE, "a").await);
    let refused = upload_to(&app, BOB, &bobs, "beta").await;
    assert_eq!(refused.outcome(), "403 You are not authorized to place this image in store beta.");
    assert_eq!(upload_to(&app, ALICE, &alices, "beta").await.status.as_u16(), 204);
}

#[tokio::test]
async fn a_rule_about_stores_that_cannot_be_evaluated_is_a_fault() {
    let app = with_policy(
        r#"@id("breaks") forbid (principal, action == Action::"read_store", resource)
           when { context.image has size && context.image.size * 9223372036854775807 > 0 };"#,
    )
    .await;
    let id = app.active(ALICE, "a", b"data").await;
    assert_eq!(app.get(&format!("/v2/images/{id}/file"), ALICE).await.status.as_u16(), 503);
}
