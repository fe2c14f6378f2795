//!

use crate::support::{ALICE, TestApp};

#[tokio::test]
async fn schemas_are_published() {
    let app = TestApp::new().await;
    for name in ["image", "images", "member", "members", "task", "tasks"] {
        let reply = app.get(&format!("/v2/schemas/{name}"), ALICE).await;
        assert_eq!(reply.status.as_u16(), 200);
        assert_eq!(reply.json()["name"], name);
    }
    let image = app.get("/v2/schemas/image", ALICE).await.json();
    assert_eq!(image["properties"]["disk_format"]["enum"][0], serde_json::Value::Null);
    assert!(image["properties"]["disk_format"]["enum"].as_array().unwrap().contains(&"qcow2".into()));
}
