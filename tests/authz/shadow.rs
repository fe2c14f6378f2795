//! The operator's routes for a candidate, activation and rollback, beside live requests.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{ALICE, ALICE_READER, BOB, TestApp};

/// The shipped policies and `more`, in a folder of their own.
fn candidate(app: &TestApp, more: &str) -> PathBuf {
    let folder = app.folder().join("candidate");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in fanlight::authz::Policies::shipped() {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    std::fs::write(folder.join("more.cedar"), more).unwrap();
    folder
}

async fn start(app: &TestApp, more: &str) {
    let folder = candidate(app, more);
    let reply = app.admin("PUT", "/rules/shadow", Some(json!({"folder": folder}))).await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
}

async fn report(app: &TestApp) -> Value {
    let reply = app.admin("GET", "/rules/shadow", None).await;
    assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
    reply.json()
}

/// What differed, in short: action, old, by, new, by, times.
fn short(report: &Value) -> Vec<String> {
    let line = |d: &Value| {
        let side = |side: &str| format!("{} {}", d[side]["answer"].as_str().unwrap(), d[side]["policies"]);
        format!("{}: {} -> {}, {}", d["action"].as_str().unwrap(), side("old"), side("new"), d["count"])
    };
    let mut lines: Vec<_> = report["differences"].as_array().unwrap().iter().map(line).collect();
    lines.sort();
    lines
}

const FREEZE: &str = r#"
    @id("freeze.blue") forbid (principal in Project::"blue", action in Action::"write", resource);
    @id("readers.download") permit (principal, action == Action::"download_image", resource) when {
        principal has project && resource has owner && resource.owner == principal.project
    };
    @id("licence.hidden") forbid (principal, action == Action::"read_property", resource == Property::"licence");
"#;

#[tokio::test]
async fn live_requests_tell_what_a_candidate_would_change() {
    let app = TestApp::new().await;
    assert_eq!(app.admin("GET", "/rules/shadow", None).await.status.as_u16(), 404);
    let id = app.active(ALICE, "a", b"data").await;
    start(&app, FREEZE).await;
    assert_eq!(report(&app).await["compared"], 0);

    let edit = json!([{"op": "add", "path": "/licence", "value": "s3"}]);
    assert_eq!(app.patch(&id, ALICE, edit).await.json()["licence"], "s3");
    assert_eq!(app.get(&format!("/v2/images/{id}/file"), ALICE_READER).await.status.as_u16(), 403);
    for _ in 0..3 {
        assert_eq!(app.get(&format!("/v2/images/{id}"), ALICE).await.json()["licence"], "s3");
    }
    app.queued(BOB, "another project").await;

    let report = report(&app).await;
    let lines = short(&report);
    for expected in [
        r#"create_property: permit ["properties.everybody"] -> deny ["freeze.blue"], 1"#,
        r#"download_image: deny [] -> permit ["readers.download"], 1"#,
        r#"modify_image: permit ["images.write.owner"] -> deny ["freeze.blue"], 1"#,
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected} in {lines:#?}");
    }
    let hidden = r#"read_property: permit ["properties.everybody"] -> deny ["licence.hidden"], "#;
    assert!(lines.iter().any(|line| line.starts_with(hidden)), "{lines:#?}");
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(report["compared"].as_u64() > report["differing"].as_u64());
    let download = report["differences"].as_array().unwrap().iter().find(|d| d["action"] == "download_image").unwrap();
    assert_eq!((&download["last"]["user"], &download["last"]["project"]), (&json!("amy"), &json!("blue")));
    assert_eq!(download["last"]["resource"], format!("image/{id}"));
    assert!(download["last"]["request_id"].as_str().unwrap().starts_with("req-"));

    assert_eq!(app.admin("DELETE", "/rules/shadow", None).await.status.as_u16(), 200);
    assert_eq!(app.admin("GET", "/rules/shadow", None).await.status.as_u16(), 404);
}

#[tokio::test]
async fn what_only_the_candidate_would_list_is_reported_and_not_listed() {
    let app = TestApp::new().await;
    let id = app.created(ALICE, json!({"name": "a", "visibility": "private"})).await;
    let own = app.created(BOB, json!({"name": "b"})).await;
    start(
        &app,
        r#"@id("audit") permit (principal in Project::"green", action == Action::"get_image", resource)
           when { resource.visibility == "private" };"#,
    )
    .await;
    let listed = app.get("/v2/images", BOB).await.json();
    assert_eq!((listed["images"].as_array().unwrap().len(), &listed["images"][0]["id"]), (1, &json!(own)));
    let report = report(&app).await;
    assert_eq!(short(&report), [r#"get_image: deny [] -> permit ["audit"], 1"#]);
    assert_eq!(report["differences"][0]["last"]["resource"], format!("image/{id}"));
}

#[tokio::test]
async fn a_candidate_that_cannot_be_evaluated_fails_no_request() {
    let app = TestApp::new().await;
    let id = app.active(ALICE, "a", b"data").await;
    let breaks = r#"@id("breaks") forbid (principal, action == Action::"get_image", resource)
                    when { resource has size && resource.size * 9223372036854775807 > 0 };"#;
    start(&app, breaks).await;
    assert_eq!(app.get(&format!("/v2/images/{id}"), ALICE).await.status.as_u16(), 200);
    let report = report(&app).await;
    assert_eq!(short(&report), [r#"get_image: permit ["images.read.owner"] -> fault [], 1"#]);
    assert!(report["differences"][0]["last"]["fault"].as_str().unwrap().contains("overflow"));
}

#[tokio::test]
async fn a_wrong_candidate_is_refused_with_its_faults() {
    let app = TestApp::new().await;
    let folder = candidate(&app, "\n@id(\"x\") permit (principal, action == Action::\"get_imge\", resource);");
    let reply = app.admin("PUT", "/rules/shadow", Some(json!({"folder": folder}))).await;
    assert_eq!(reply.status.as_u16(), 409);
    let fault = &reply.json()["faults"][0];
    assert_eq!((&fault["file"], &fault["line"]), (&json!("more.cedar"), &json!(2)));
    let reply = app.admin("POST", "/rules/activate", Some(json!({"folder": folder}))).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["generation"]), (409, &json!(1)));
    let reply = app.admin("POST", "/rules/activate", None).await;
    assert_eq!(reply.status.as_u16(), 409);
    assert!(reply.text().contains("no candidate"));
    let reply = app.admin("POST", "/rules/activate", Some(json!({"folder": folder, "force": true}))).await;
    assert_eq!(reply.status.as_u16(), 422);
    assert!(!app.folder().join("policies.previous").exists());
}

#[tokio::test]
async fn activate_puts_the_candidate_in_force_and_rollback_takes_it_back() {
    let app = TestApp::new().await;
    start(&app, FREEZE).await;
    let wish = json!({"name": "x"});
    assert_eq!(app.post("/v2/images", ALICE, wish.clone()).await.header("x-fanlight-rules"), "1");

    let reply = app.admin("POST", "/rules/activate", None).await;
    assert_eq!((reply.status.as_u16(), reply.json()), (200, json!({"result": "loaded", "generation": 2})));
    let refused = app.post("/v2/images", ALICE, wish.clone()).await;
    assert_eq!((refused.status.as_u16(), refused.header("x-fanlight-rules")), (403, "2"));
    assert_eq!(app.admin("GET", "/rules/shadow", None).await.status.as_u16(), 404, "it is in force");
    let reply = app.admin("POST", "/rules/reload", None).await.json();
    assert_eq!((&reply["generation"], &reply["faults"]), (&json!(2), &json!([])));

    let reply = app.admin("POST", "/rules/rollback", None).await;
    assert_eq!(reply.json(), json!({"result": "loaded", "generation": 3}));
    assert_eq!(app.post("/v2/images", ALICE, wish).await.status.as_u16(), 201);
    assert!(!app.folder().join("policies/more.cedar").exists());
    assert_eq!(app.admin("POST", "/rules/rollback", None).await.status.as_u16(), 409);
}
