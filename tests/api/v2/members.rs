//! `/v2/images/{id}/members`, and what a membership gives (BUG-14).

use serde_json::json;

use crate::support::{ADMIN, ALICE, ALICE_READER, BOB, SERVICE, TestApp};

const CAROL: &str = "carol:red:member";

async fn shared(app: &TestApp) -> String {
    let id = app.active(ALICE, "shared", b"data").await;
    let reply = app.post(&format!("/v2/images/{id}/members"), ALICE, json!({"member": "green"})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    id
}

#[tokio::test]
async fn add_answers_with_the_member() {
    let app = TestApp::new().await;
    let id = app.active(ALICE, "shared", b"data").await;
    let path = format!("/v2/images/{id}/members");
    let mut body = app.post(&path, ALICE, json!({"member": "green"})).await.json();
    for volatile in ["created_at", "updated_at", "image_id"] {
        assert!(body.as_object_mut().unwrap().remove(volatile).unwrap().is_string());
    }
    assert_eq!(body, json!({"member_id": "green", "status": "pending", "schema": "/v2/schemas/member"}));
}

#[tokio::test]
async fn add_refuses() {
    let app = TestApp::new().await;
    let id = shared(&app).await;
    let path = format!("/v2/images/{id}/members");
    let wish = json!({"member": "green"});
    insta::assert_snapshot!(app.post(&path, ALICE, wish.clone()).await.status, @"409 Conflict");
    insta::assert_snapshot!(app.post(&path, ALICE, json!({})).await.status, @"400 Bad Request");
    insta::assert_snapshot!(app.post(&path, ALICE, json!({"member": ""})).await.status, @"400 Bad Request");
    insta::assert_snapshot!(app.post(&path, ALICE_READER, wish.clone()).await.status, @"403 Forbidden");
    insta::assert_snapshot!(app.post(&path, BOB, wish.clone()).await.status, @"403 Forbidden");
    insta::assert_snapshot!(app.post(&path, CAROL, wish.clone()).await.status, @"404 Not Found");
    let private = app.created(ALICE, json!({"visibility": "private"})).await;
    let path = format!("/v2/images/{private}/members");
    insta::assert_snapshot!(app.post(&path, ALICE, wish).await.outcome(), @"403 Only shared images have members.");
}

#[tokio::test]
async fn the_member_answers_and_the_owner_does_not() {
    let app = TestApp::new().await;
    let id = shared(&app).await;
    let path = format!("/v2/images/{id}/members/green");
    insta::assert_snapshot!(app.put(&path, ALICE, json!({"status": "accepted"})).await.status, @"403 Forbidden");
    insta::assert_snapshot!(app.put(&path, CAROL, json!({"status": "accepted"})).await.status, @"404 Not Found");
    insta::assert_snapshot!(app.put(&path, SERVICE, json!({"status": "accepted"})).await.status, @"404 Not Found");
    insta::assert_snapshot!(app.put(&path, BOB, json!({"status": "maybe"})).await.status, @"400 Bad Request");
    insta::assert_snapshot!(app.put(&path, BOB, json!({})).await.status, @"400 Bad Request");
    let accepted = app.put(&path, BOB, json!({"status": "accepted"})).await;
    assert_eq!((accepted.status.as_u16(), &accepted.json()["status"]), (200, &json!("accepted")));
    assert_eq!(app.put(&path, ADMIN, json!({"status": "pending"})).await.status, 200);
}

/// Pending: by id, not in the list. Accepted: in the list. Rejected: nothing, but the answer may change.
#[tokio::test]
async fn bug_14_what_each_answer_gives() {
    let app = TestApp::new().await;
    let id = shared(&app).await;
    let (image, member) = (format!("/v2/images/{id}"), format!("/v2/images/{id}/members/green"));
    for (answer, by_id, listed) in
        [("pending", 200, 0), ("accepted", 200, 1), ("rejected", 404, 0), ("accepted", 200, 1)]
    {
        let reply = app.put(&member, BOB, json!({"status": answer})).await;
        assert_eq!(reply.status, 200, "{answer}: {}", reply.text());
        assert_eq!(app.get(&image, BOB).await.status, by_id, "{answer}");
        let list = app.get("/v2/images", BOB).await.json();
        assert_eq!(list["images"].as_array().unwrap().len(), listed, "{answer}");
        assert_eq!(app.get(&format!("{image}/file"), BOB).await.status, by_id, "{answer}");
    }
}

#[tokio::test]
async fn list_show_and_remove() {
    let app = TestApp::new().await;
    let id = shared(&app).await;
    let (all, one) = (format!("/v2/images/{id}/members"), format!("/v2/images/{id}/members/green"));
    for who in [ALICE, ALICE_READER, BOB, ADMIN] {
        assert_eq!(app.get(&all, who).await.json()["members"].as_array().unwrap().len(), 1, "{who}");
        assert_eq!(app.get(&one, who).await.json()["member_id"], "green", "{who}");
    }
    insta::assert_snapshot!(app.get(&all, CAROL).await.status, @"404 Not Found");
    insta::assert_snapshot!(app.get(&format!("{all}/nobody"), ALICE).await.status, @"404 Not Found");
    insta::assert_snapshot!(app.delete(&one, BOB).await.status, @"403 Forbidden");
    insta::assert_snapshot!(app.delete(&one, ALICE).await.status, @"204 No Content");
    insta::assert_snapshot!(app.delete(&one, ALICE).await.status, @"404 Not Found");
    insta::assert_snapshot!(app.get(&format!("/v2/images/{id}"), BOB).await.status, @"404 Not Found");
    assert_eq!(app.post(&all, ALICE, json!({"member": "green"})).await.json()["status"], "pending", "starts anew");
}
