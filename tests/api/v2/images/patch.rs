//! R-04.

use serde_json::json;

use crate::support::{ALICE, TestApp};

#[tokio::test]
async fn all_operations_or_none() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "a").await;
    let add = app
        .patch(
            &id,
            ALICE,
            json!([{"op": "add", "path": "/p", "value": "1"}, {"op": "replace", "path": "/name", "value": null}]),
        )
        .await;
    assert_eq!(add.status.as_u16(), 200);
    assert_eq!((&add.json()["p"], &add.json()["name"]), (&json!("1"), &json!(null)));
    let half = app.patch(&id, ALICE, json!([{"op": "remove", "path": "/p"}, {"op": "remove", "path": "/q"}])).await;
    assert_eq!(half.outcome(), "409 Property q does not exist.");
    assert_eq!(app.get(&format!("/v2/images/{id}"), ALICE).await.json()["p"], "1");
}

#[tokio::test]
async fn refusals_by_row() {
    let app = TestApp::new().await;
    let id = app.active(ALICE, "a", b"data").await;
    let rows = [
        (json!([{"op": "remove", "path": "/name"}]), 403),
        (json!([{"op": "replace", "path": "/status", "value": "queued"}]), 403),
        (json!([{"op": "replace", "path": "/disk_format", "value": "iso"}]), 403),
        (json!([{"op": "replace", "path": "/owner", "value": "green"}]), 403),
        (json!([{"op": "add", "path": "/locations/-", "value": {"url": "file:///etc/passwd", "metadata": {}}}]), 403),
        (json!([{"op": "remove", "path": "/stores"}]), 409),
        (json!([{"op": "add", "path": "/", "value": "x"}]), 400),
        (json!([{"op": "move", "path": "/a", "from": "/b"}]), 400),
        (json!({}), 400),
        (json!([]), 200),
        (json!([{"op": "add", "path": "/owner", "value": "blue"}]), 200),
    ];
    for (document, status) in rows {
        let reply = app.patch(&id, ALICE, document.clone()).await;
        assert_eq!(reply.status.as_u16(), status, "{document}: {}", reply.text());
    }
}

#[tokio::test]
async fn other_media_types_are_told_the_right_ones() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "a").await;
    let path = format!("/v2/images/{id}");
    let other =
        app.request("PATCH", &path, Some(ALICE), &[("content-type", "application/json-patch+json")], "[]").await;
    assert_eq!(other.status.as_u16(), 415);
    assert!(other.header("accept-patch").contains("application/openstack-images-v2.1-json-patch"));
    let old = [("content-type", "application/openstack-images-v2.0-json-patch"), ("accept", "application/json")];
    let clash = app.request("PATCH", &path, Some(ALICE), &old, r#"[{"add": "/name", "value": "x"}]"#).await;
    assert_eq!(clash.outcome(), "409 Property name already present.");
}
