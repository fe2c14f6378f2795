//! Refusals of a running gateway, and what an administrator learns of them. That every 403 and every hidden 404 of all
//! other tests can be explained is held by the harness itself.

use axum::body::Body;
use fanlight::authz::{Outcome, Policies, Question, diff};
use serde_json::{Value, json};

use crate::support::{ADMIN, ALICE, ALICE_READER, BOB, Reply, TestApp};

async fn explained(app: &TestApp, id: &str) -> Value {
    let reply = app.admin_as(ADMIN, "GET", &format!("/decisions/{id}"), None).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// The headers that could tell two answers apart, and the body without the id in it.
fn shape(reply: &Reply, id: &str) -> (u16, Vec<String>, String) {
    let mut names: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
    names.sort();
    (reply.status.as_u16(), names, reply.text().replace(id, "ID"))
}

#[tokio::test]
async fn a_denial_is_explained_by_the_id_in_its_header() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "mine").await;
    let denied = app.delete(&format!("/v2/images/{id}"), ALICE_READER).await;
    assert_eq!(denied.status, 403);
    let why = &explained(&app, denied.header("x-fanlight-decision")).await[0];
    assert_eq!(why["recorded"]["user"], "amy");
    assert_eq!(why["explanation"]["nearest"]["id"], "images.write.owner");
    assert!(why["hidden"].is_null(), "a reader of the project sees the image");
    let reason = why["reason"].as_str().unwrap();
    assert!(reason.contains(r#"`principal.roles.contains("member")` (`principal.roles` is `["reader"]`)"#), "{reason}");
}

#[tokio::test]
async fn a_hidden_image_looks_like_none_and_is_explained_by_the_id_of_the_request() {
    let app = TestApp::new().await;
    let id = app.created(ALICE, json!({"visibility": "private"})).await;
    let none = "6b0f3b5e-0000-4000-8000-00000000dead";
    for method in ["GET", "DELETE"] {
        let json = [("accept", "application/json")];
        let hidden = app.request(method, &format!("/v2/images/{id}"), Some(BOB), &json, Body::empty()).await;
        let absent = app.request(method, &format!("/v2/images/{none}"), Some(BOB), &json, Body::empty()).await;
        assert_eq!(shape(&hidden, &id), shape(&absent, none));
        let why = &explained(&app, hidden.header("x-openstack-request-id")).await[0];
        let reason = why["reason"].as_str().unwrap();
        assert!(reason.contains(r#"`resource.owner` is `Project::"blue"`"#), "{reason}");
        assert!(why["hidden"].as_str().unwrap().contains("`images.read.owner`"), "{}", why["hidden"]);
        let unknown =
            app.admin_as(ADMIN, "GET", &format!("/decisions/{}", absent.header("x-openstack-request-id")), None).await;
        assert_eq!(unknown.status, 404);
    }
}

#[tokio::test]
async fn what_no_policy_refuses_is_explained_too() {
    let app = TestApp::new().await;
    let id = app.created(ALICE, json!({"name": "golden", "protected": true})).await;
    let refused = app.delete(&format!("/v2/images/{id}"), ALICE).await;
    let why = &explained(&app, refused.header("x-fanlight-decision")).await[0];
    let want = format!("refused by the service itself, by no policy: Image {id} is protected and cannot be deleted.");
    assert_eq!(why["reason"], want);
}

#[tokio::test]
async fn a_question_about_a_real_image_is_answered_before_anybody_asks_it() {
    let app = TestApp::new().await;
    let id = app.created(ALICE, json!({"name": "x", "visibility": "private", "os_distro": "debian"})).await;
    let ask = async |action: &str, project: &str| {
        let body = json!({"principal": {"user": "u", "project": project, "roles": ["member", "reader"]},
                          "action": action, "image": id});
        app.admin_as(ADMIN, "POST", "/explain", Some(body)).await
    };
    let owner = ask("delete_image", "blue").await.json();
    assert_eq!((&owner["outcome"], &owner["deciding"][0]["id"]), (&json!("permit"), &json!("images.write.owner")));
    assert_eq!(owner["question"]["image"]["properties"]["os_distro"], "debian");
    assert_eq!(ask("delete_image", "green").await.json()["outcome"], "deny");
    assert_eq!(ask("fly", "green").await.status, 400);
    assert_eq!(ask("get_images", "green").await.status, 400, "it is not asked of an image");
    let store = json!({"action": "place_image", "image": id, "store": "nowhere"});
    assert_eq!(app.admin_as(ADMIN, "POST", "/explain", Some(store)).await.status, 404);
}

#[tokio::test]
async fn explanations_are_for_administrators() {
    let app = TestApp::new().await;
    for (token, status) in [(ALICE, 403), (ADMIN, 404), ("nonsense", 401)] {
        assert_eq!(app.admin_as(token, "GET", "/decisions/x", None).await.status, status, "{token}");
    }
    for (method, path) in [("GET", "/decisions"), ("POST", "/explain")] {
        assert_eq!(app.admin_as(ALICE, method, path, Some(json!({}))).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn what_was_refused_and_permitted_is_recorded_as_questions_for_other_policies() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "mine").await;
    app.delete(&format!("/v2/images/{id}"), ALICE_READER).await;
    let recording = app.admin_as(ADMIN, "GET", "/decisions", None).await.text();
    let questions: Vec<Question> = recording.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |action: &str| questions.iter().find(|question| question.action.as_str() == action).unwrap();
    assert_eq!(of("delete_image").principal.user, "amy");
    assert_eq!(of("delete_image").image.as_ref().unwrap().id, id);
    assert_eq!(of("add_image").principal.user, "alice");

    let with = |more: &str| {
        let mut files: Vec<_> = Policies::shipped().into_iter().filter(|(name, _)| name.ends_with(".cedar")).collect();
        files.push(("more.cedar".into(), more.as_bytes().to_vec()));
        Policies::load(&files).unwrap()
    };
    let frozen = with("@id(\"frozen\") forbid (principal, action == Action::\"add_image\", resource);");
    let found = diff::compare(&with(""), &frozen, questions.into_iter()).unwrap();
    let kinds: Vec<_> = found.changes.iter().map(|c| (c.action.as_str(), c.old.outcome, c.new.outcome)).collect();
    assert_eq!(kinds, [("add_image", Outcome::Permit, Outcome::Deny)]);
}

#[tokio::test]
async fn a_reason_says_when_the_rules_have_changed_since() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "mine").await;
    let denied = app.delete(&format!("/v2/images/{id}"), ALICE_READER).await;
    let folder = app.folder().join("policies");
    let more = "@id(\"readers.delete\")\npermit (principal, action == Action::\"delete_image\", resource);\n";
    std::fs::write(folder.join("more.cedar"), more).unwrap();
    app.app.rules.reload("test", fanlight::rules::Removals::Refused).await;
    let why = &explained(&app, denied.header("x-fanlight-decision")).await[0];
    let want = "generation 1 answered deny, by no policy; the rules have changed since, generation 2 answers permit: \
                permitted by `readers.delete` (more.cedar:1)";
    assert_eq!(why["reason"], want);
}
