//! Tags, actions, locations, stores, usage and tasks.

use axum::body::Body;
use serde_json::json;

use crate::support::{ADMIN, ALICE, ALICE_READER, BOB, SERVICE, TestApp};

#[tokio::test]
async fn tags_come_and_go() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "tagged").await;
    let tag = |name: &str| format!("/v2/images/{id}/tags/{name}");
    let put = async |path: String, who: &'static str| {
        app.request("PUT", &path, Some(who), &[("accept", "application/json")], Body::empty()).await
    };
    assert_eq!(put(tag("a"), ALICE).await.status, 204);
    assert_eq!(put(tag("a"), ALICE).await.status, 204, "again");
    assert_eq!(app.get(&format!("/v2/images/{id}"), ALICE).await.json()["tags"], json!(["a"]));
    assert_eq!(put(tag(&"x".repeat(256)), ALICE).await.status, 400);
    assert_eq!(put(tag("b"), ALICE_READER).await.status, 403);
    assert_eq!(put(tag("b"), BOB).await.status, 404);
    assert_eq!(app.delete(&tag("a"), ALICE).await.status, 204);
    assert_eq!(app.delete(&tag("a"), ALICE).await.status, 404);
}

#[tokio::test]
async fn tags_are_bounded() {
    let app = TestApp::with(|c| c.quota.image_tag_quota = Some(1)).await;
    let id = app.created(ALICE, json!({"tags": ["one"]})).await;
    let path = format!("/v2/images/{id}/tags/two");
    let reply = app.request("PUT", &path, Some(ALICE), &[], Body::empty()).await;
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn a_deactivated_image_is_kept_and_not_handed_out() {
    let app = TestApp::new().await;
    let id = app.active(ALICE, "resting", b"data").await;
    let act = async |action: &str, who: &'static str| {
        let path = format!("/v2/images/{id}/actions/{action}");
        app.request("POST", &path, Some(who), &[("accept", "application/json")], Body::empty()).await.status.as_u16()
    };
    assert_eq!(act("deactivate", BOB).await, 404);
    assert_eq!(act("deactivate", ALICE).await, 204);
    assert_eq!(act("deactivate", ALICE).await, 204, "again");
    let image = format!("/v2/images/{id}");
    assert_eq!(app.get(&image, ALICE).await.json()["status"], "deactivated");
    assert_eq!(app.get(&format!("{image}/file"), ALICE).await.status, 403);
    assert_eq!(app.get(&format!("{image}/file"), ADMIN).await.bytes(), "data");
    assert_eq!(act("reactivate", ALICE).await, 204);
    assert_eq!(app.get(&format!("{image}/file"), ALICE).await.bytes(), "data");
    assert_eq!(app.delete(&image, ALICE).await.status, 204);
    assert_eq!(app.inventory().await, Vec::<String>::new());
}

/// BUG-17: the data goes whatever the state, whoever deletes.
#[tokio::test]
async fn bug_17_deleting_a_deactivated_image_deletes_its_data() {
    let app = TestApp::new().await;
    for who in [ALICE, ADMIN] {
        let id = app.active(ALICE, "resting", b"data").await;
        let path = format!("/v2/images/{id}/actions/deactivate");
        assert_eq!(app.request("POST", &path, Some(ALICE), &[], Body::empty()).await.status, 204);
        assert_eq!(app.delete(&format!("/v2/images/{id}"), who).await.status, 204);
        assert_eq!(app.inventory().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_queued_image_cannot_be_deactivated() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "queued").await;
    let path = format!("/v2/images/{id}/actions/deactivate");
    assert_eq!(app.request("POST", &path, Some(ALICE), &[], Body::empty()).await.status, 403);
}

#[tokio::test]
async fn locations_are_for_services() {
    let app = TestApp::new().await;
    let id = app.active(ALICE, "here", b"data").await;
    let path = format!("/v2/images/{id}/locations");
    assert_eq!(app.get(&path, ALICE).await.status, 403);
    assert_eq!(app.get(&path, BOB).await.status, 404);
    let rows = app.get(&path, ADMIN).await.json();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert!(rows[0]["url"].as_str().unwrap().starts_with("file:///"), "{rows}");
    let last = app.delete(&format!("/v2/stores/{}/{id}", rows[0]["metadata"]["store"].as_str().unwrap()), ADMIN).await;
    insta::assert_snapshot!(last.outcome(), @"403 Cannot delete the last copy of the image.");
    assert_eq!(app.delete(&format!("/v2/stores/nowhere/{id}"), ADMIN).await.status, 404);
    assert_eq!(app.delete(&format!("/v2/stores/alpha/{id}"), ALICE).await.status, 403);
}

#[tokio::test]
async fn stores_usage_and_tasks() {
    let app = TestApp::new().await;
    let id = app.active(ALICE, "one", b"data").await;
    let stores = app.get("/v2/info/stores", ALICE).await.json();
    let ids: Vec<_> = stores["stores"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["alpha", "beta"]);
    assert_eq!(stores["stores"][0]["default"], "true");
    assert_eq!(app.get("/v2/info/stores/detail", ALICE).await.status, 403);
    assert_eq!(app.get("/v2/info/stores/detail", ADMIN).await.json()["stores"][0]["type"], "file");
    assert_eq!(app.get("/v2/info/stores/detail", SERVICE).await.status, 200);
    let usage = app.get("/v2/info/usage", ALICE).await.json();
    assert_eq!(usage["usage"]["image_count_total"]["usage"], 1);
    assert_eq!(app.get(&format!("/v2/images/{id}/tasks"), ALICE).await.json(), json!({"tasks": []}));
    assert_eq!(app.get(&format!("/v2/images/{id}/tasks"), BOB).await.status, 404);
}
