//!

use serde_json::json;

use crate::support::{ADMIN, ALICE, TestApp};

#[tokio::test]
async fn the_site_says_what_it_offers() {
    let app = TestApp::new().await;
    let import = app.get("/v2/info/import", ALICE).await.json();
    assert_eq!(import["import-methods"]["value"], json!([]));

    let stores = app.get("/v2/info/stores", ALICE).await.json();
    let ids: Vec<_> = stores["stores"].as_array().unwrap().iter().map(|s| s["id"].clone()).collect();
    assert_eq!(ids, ["alpha", "beta"]);

    assert_eq!(app.get("/v2/info/stores/detail", ALICE).await.status.as_u16(), 403);
    let detail = app.get("/v2/info/stores/detail", ADMIN).await.json();
    assert_eq!(detail["stores"][0]["type"], "file");
    assert!(detail["stores"][0]["properties"]["data_dir"].is_string());
}

#[tokio::test]
async fn bug_16_usage_is_the_ledgers() {
    let app = TestApp::new().await;
    app.active(ALICE, "a", b"data").await;
    let usage = app.get("/v2/info/usage", ALICE).await.json();
    assert_eq!(usage["usage"]["image_count_total"]["usage"], 1);
    assert_eq!(usage["usage"]["image_size_total"]["limit"], -1);
}
