//! States that outlive restarts and reach every gateway on the database.

use fanlight::{App, config::StoreState};
use serde_json::json;

use crate::support::{ALICE, TestApp};

async fn set(app: &TestApp, id: &str, state: serde_json::Value) -> (u16, serde_json::Value) {
    let reply = app.admin("PUT", &format!("/stores/{id}/state"), Some(json!({"state": state}))).await;
    (reply.status.as_u16(), reply.json())
}

#[tokio::test]
async fn a_state_survives_a_restart_and_reaches_the_other_gateway() {
    let app = TestApp::new().await;
    let id = app.active(ALICE, "a", b"data").await;
    let other = App::open(app.app.config.clone()).await.unwrap();
    other.refresh_stores().await.unwrap();
    let seen = |gateway: &App| gateway.stores.get("alpha").unwrap().state();
    assert_eq!((seen(&app.app), seen(&other)), (StoreState::Up, StoreState::Up));

    let (status, body) = set(&app, "alpha", json!("draining")).await;
    assert_eq!(status, 200);
    assert_eq!((&body["store"]["state"], &body["store"]["configured_state"]), (&json!("draining"), &json!("up")));
    assert_eq!(body["holds"], json!({"images": 1, "only_here": 1, "deletions": 0, "uploads": 0, "copies": 0}));
    assert_eq!(seen(&app.app), StoreState::Draining, "here at once");
    other.refresh_stores().await.unwrap();
    assert_eq!(seen(&other), StoreState::Draining, "there with the next round");
    let restarted = App::open(app.app.config.clone()).await.unwrap();
    restarted.refresh_stores().await.unwrap();
    assert_eq!(seen(&restarted), StoreState::Draining);

    // Reads go on, writes go elsewhere.
    assert_eq!(app.get(&format!("/v2/images/{id}/file"), ALICE).await.bytes(), "data");
    let next = app.active(ALICE, "b", b"data").await;
    assert_eq!(app.get(&format!("/v2/images/{next}"), ALICE).await.json()["stores"], "beta");
    set(&app, "beta", json!("read-only")).await;
    let id = app.queued(ALICE, "c").await;
    let refused = app.upload(&id, ALICE, "data").await;
    let text = "503 No store takes the image. alpha: the store is draining; beta: the store is read-only";
    assert_eq!(refused.outcome(), text);
    let info = app.get("/v2/info/stores", ALICE).await.json();
    assert_eq!(info["stores"][1]["read-only"], "true");

    let (_, body) = set(&app, "alpha", json!(null)).await;
    assert_eq!(body["store"]["state"], "up");
    other.refresh_stores().await.unwrap();
    assert_eq!(seen(&other), StoreState::Up);
    assert_eq!(app.upload(&id, ALICE, "data").await.outcome(), "204");
}

#[tokio::test]
async fn bad_states_are_refused() {
    let app = TestApp::new().await;
    let (status, body) = set(&app, "none", json!("up")).await;
    assert_eq!((status, body["message"].as_str()), (404, Some("Store none is not configured.")));
    for bad in [json!("down"), json!(1), json!({})] {
        let reply = app.admin("PUT", "/stores/alpha/state", Some(json!({"state": bad}))).await;
        assert!(matches!(reply.status.as_u16(), 400 | 422), "{}", reply.text());
    }
    assert!(app.app.db.store_states().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_health_names_stores_that_are_down() {
    let app = TestApp::new().await;
    assert_eq!(app.admin("GET", "/health", None).await.json()["stores_down"], json!([]));
    std::fs::remove_dir_all(app.folder().join("stores/beta")).unwrap();
    app.app.refresh_stores().await.unwrap();
    let reply = app.admin("GET", "/health", None).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["stores_down"]), (503, &json!(["beta"])));
    let list = app.admin("GET", "/stores", None).await.json();
    assert_eq!((&list["stores"][0]["healthy"], &list["stores"][1]["healthy"]), (&json!(true), &json!(false)));
    assert!(list["stores"][1]["reason"].as_str().unwrap().contains("probe"), "{list}");
    let id = app.queued(ALICE, "a").await;
    let headers =
        [("content-type", "application/octet-stream"), ("x-image-meta-store", "beta"), ("accept", "application/json")];
    let refused = app.request("PUT", &format!("/v2/images/{id}/file"), Some(ALICE), &headers, "data").await;
    assert_eq!(refused.outcome(), "503 No store takes the image. beta: the store does not answer");
}
