//!

use serde_json::json;

use crate::support::{ALICE, TestApp};

#[tokio::test]
async fn create_answers_with_location_and_stores() {
    let app = TestApp::new().await;
    let reply =
        app.post("/v2/images", ALICE, json!({"name": "n", "os_distro": "debian", "tags": ["b", "a", "a"]})).await;
    assert_eq!(reply.status.as_u16(), 201);
    let body = reply.json();
    let id = body["id"].as_str().unwrap();
    assert_eq!(reply.header("location"), format!("http://images.test/v2/images/{id}"));
    assert_eq!(reply.header("openstack-image-store-ids"), "alpha,beta");
    assert!(!reply.headers.contains_key("openstack-image-import-methods"));
    assert!(!reply.header("x-fanlight-rules").is_empty());
    assert_eq!(
        (&body["status"], &body["visibility"], &body["owner"]),
        (&json!("queued"), &json!("shared"), &json!("blue"))
    );
    assert_eq!((&body["os_distro"], &body["tags"]), (&json!("debian"), &json!(["a", "b"])));
    assert_eq!(body.as_object().unwrap().len(), 23, "{body}");
    let again = app.post("/v2/images", ALICE, json!({"id": id})).await;
    assert_eq!(again.status.as_u16(), 409);
}

#[tokio::test]
async fn refusals_never_are_faults() {
    let app = TestApp::new().await;
    let rows = [
        (json!([]), 400),
        (json!({"prop": null}), 400),
        (json!({"id": "x"}), 400),
        (json!({"min_ram": -1}), 400),
        (json!({"name": "nul\u{0}"}), 400),
        (json!({"status": "active"}), 403),
        (json!({"os_glance_x": "y"}), 403),
        (json!({"owner": "green"}), 403),
        (json!({"visibility": "public"}), 403),
    ];
    for (body, status) in rows {
        let reply = app.post("/v2/images", ALICE, body.clone()).await;
        assert_eq!(reply.status.as_u16(), status, "{body}: {}", reply.text());
        assert!(!reply.text().contains('<'), "no markup");
    }
    let emoji = app.post("/v2/images", ALICE, json!({"name": "\u{1F600}"})).await;
    assert_eq!(emoji.json()["name"], "\u{1F600}");
}
