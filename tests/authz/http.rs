//! Every route, asked by everybody, of images in every state that matters, over HTTP: the status codes that clients see.
//! Compared byte for byte like the table of the gate; `UPDATE_GOLDEN=1` writes it anew.

use std::fmt::Write;

use serde_json::json;

use super::golden;
use crate::support::{ADMIN, ALICE, TestApp};

const HEAD: &str = "\
What everybody is answered. Rewritten by `UPDATE_GOLDEN=1 cargo test every_route_for_everybody`; read the difference.

Images belong to project `blue` and are shared with `accepted`, `pending` and `rejected`, each with that answer. They are
active but for those that are queued or deactivated. A list says whether the image is in it: `200+` or `200-`.

  nobody    no token                             owner     member of blue          o-reader  reader of blue
  other     member of green                      svc       role service only       admin     admin of ops
  accepted, pending, rejected  members of those projects                           unscoped  admin without a project
  manager   manager of blue

";

const CALLERS: [(&str, Option<&str>); 11] = [
    ("nobody", None),
    ("o-reader", Some("amy:blue:reader")),
    ("owner", Some(ALICE)),
    ("other", Some("bob:green:member")),
    ("accepted", Some("ann:accepted:member")),
    ("pending", Some("pam:pending:member")),
    ("rejected", Some("rob:rejected:member")),
    ("svc", Some("nova:service:service")),
    ("manager", Some("meg:blue:manager")),
    ("admin", Some(ADMIN)),
    ("unscoped", Some("uma::admin")),
];

const ALL: &[&str] = &["private", "shared", "community", "public", "deactivated", "queued"];
const SHARED: &[&str] = &["shared"];
const QUEUED: &[&str] = &["queued", "shared"];
const NONE: &[&str] = &["-"];

const JSON: &str = "application/json";
const PATCH: &str = "application/openstack-images-v2.1-json-patch";
const DATA: &str = "application/octet-stream";

/// Method, path, type and text of the body, states of the image. `{i}` is the image, `{p}` the caller's project.
type Route = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const ROUTES: &[Route] = &[
    ("GET", "/", "", "", NONE),
    ("GET", "/versions", "", "", NONE),
    ("GET", "/healthcheck", "", "", NONE),
    ("GET", "/v2", "", "", NONE),
    ("GET", "/v2/", "", "", NONE),
    ("GET", "/v2/images", "", "", ALL),
    ("GET", "/v2/images?visibility=all", "", "", ALL),
    ("GET", "/v2/images?member_status=all", "", "", SHARED),
    ("POST", "/v2/images", JSON, r#"{"name": "n"}"#, NONE),
    ("POST", "/v2/images", JSON, r#"{"visibility": "public"}"#, NONE),
    ("POST", "/v2/images", JSON, r#"{"visibility": "community"}"#, NONE),
    ("POST", "/v2/images", JSON, r#"{"owner": "blue"}"#, NONE),
    ("GET", "/v2/images/{i}", "", "", ALL),
    ("HEAD", "/v2/images/{i}", "", "", ALL),
    ("PATCH", "/v2/images/{i}", PATCH, r#"[{"op": "replace", "path": "/name", "value": "m"}]"#, ALL),
    ("PATCH", "/v2/images/{i}", PATCH, r#"[{"op": "replace", "path": "/visibility", "value": "public"}]"#, SHARED),
    ("PATCH", "/v2/images/{i}", PATCH, r#"[{"op": "replace", "path": "/owner", "value": "green"}]"#, SHARED),
    ("PATCH", "/v2/images/{i}", PATCH, r#"[{"op": "replace", "path": "/locations", "value": []}]"#, SHARED),
    ("DELETE", "/v2/images/{i}", "", "", ALL),
    ("GET", "/v2/images/{i}/file", "", "", ALL),
    ("HEAD", "/v2/images/{i}/file", "", "", SHARED),
    ("PUT", "/v2/images/{i}/file", DATA, "data", QUEUED),
    ("PUT", "/v2/images/{i}/stage", DATA, "data", QUEUED),
    ("POST", "/v2/images/{i}/import", JSON, r#"{"method": {"name": "web-download"}}"#, QUEUED),
    ("GET", "/v2/images/{i}/tasks", "", "", SHARED),
    ("POST", "/v2/images/{i}/actions/deactivate", "", "", ALL),
    ("POST", "/v2/images/{i}/actions/reactivate", "", "", &["deactivated"]),
    ("GET", "/v2/images/{i}/locations", "", "", ALL),
    ("POST", "/v2/images/{i}/locations", JSON, r#"{"url": "rbd://c/p/i/snap"}"#, QUEUED),
    ("PUT", "/v2/images/{i}/tags/new", "", "", ALL),
    ("DELETE", "/v2/images/{i}/tags/old", "", "", SHARED),
    ("GET", "/v2/images/{i}/members", "", "", ALL),
    ("POST", "/v2/images/{i}/members", JSON, r#"{"member": "new"}"#, ALL),
    ("GET", "/v2/images/{i}/members/{p}", "", "", SHARED),
    ("GET", "/v2/images/{i}/members/pending", "", "", SHARED),
    ("PUT", "/v2/images/{i}/members/{p}", JSON, r#"{"status": "accepted"}"#, SHARED),
    ("PUT", "/v2/images/{i}/members/pending", JSON, r#"{"status": "accepted"}"#, SHARED),
    ("DELETE", "/v2/images/{i}/members/{p}", "", "", SHARED),
    ("DELETE", "/v2/images/{i}/members/pending", "", "", SHARED),
    ("DELETE", "/v2/stores/alpha/{i}", "", "", SHARED),
    ("GET", "/v2/info/import", "", "", NONE),
    ("GET", "/v2/info/stores", "", "", NONE),
    ("GET", "/v2/info/stores/detail", "", "", NONE),
    ("GET", "/v2/info/usage", "", "", NONE),
    ("GET", "/v2/schemas/image", "", "", NONE),
    ("GET", "/v2/schemas/images", "", "", NONE),
    ("GET", "/v2/schemas/member", "", "", NONE),
    ("GET", "/v2/schemas/members", "", "", NONE),
    ("GET", "/v2/schemas/task", "", "", NONE),
    ("GET", "/v2/schemas/tasks", "", "", NONE),
    ("GET", "/v2/unknown", "", "", NONE),
];

/// An image of project blue in this state; an empty id where none is asked for.
async fn image(app: &TestApp, state: &str) -> String {
    if state == "-" {
        return String::new();
    }
    let wish = json!({"name": "i", "disk_format": "raw", "container_format": "bare", "tags": ["old"]});
    let id = app.created(ALICE, wish).await;
    if state != "queued" {
        assert_eq!(app.upload(&id, ALICE, "data").await.status.as_u16(), 204);
    }
    for (member, answer) in [("accepted", "accepted"), ("pending", "pending"), ("rejected", "rejected")] {
        let path = format!("/v2/images/{id}/members");
        assert_eq!(app.post(&path, ALICE, json!({"member": member})).await.status.as_u16(), 200);
        let token = format!("x:{member}:member");
        let reply = app.put(&format!("{path}/{member}"), &token, json!({"status": answer})).await;
        assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
    }
    match state {
        "deactivated" => {
            let path = format!("/v2/images/{id}/actions/deactivate");
            assert_eq!(app.post(&path, ADMIN, json!(null)).await.status.as_u16(), 204);
        }
        "private" | "community" | "public" => {
            let change = json!([{"op": "replace", "path": "/visibility", "value": state}]);
            assert_eq!(app.patch(&id, ADMIN, change).await.status.as_u16(), 200);
        }
        _ => {}
    }
    id
}

/// The answer to one caller, in one cell.
async fn ask(app: &TestApp, route: &Route, id: &str, token: Option<&str>) -> String {
    let (method, path, media, body, _) = *route;
    let project = token.and_then(|t| t.split(':').nth(1)).filter(|p| !p.is_empty()).unwrap_or("none");
    let path = path.replace("{i}", id).replace("{p}", project);
    let mut headers = vec![("accept", JSON)];
    if !media.is_empty() {
        headers.push(("content-type", media));
    }
    let reply = app.request(method, &path, token, &headers, body).await;
    let code = reply.status.as_u16();
    if code == 200 && method == "GET" && path.split('?').next() == Some("/v2/images") {
        let listed = reply.json()["images"].as_array().is_some_and(|all| all.iter().any(|i| i["id"] == *id));
        return format!("{code}{}", if listed { '+' } else { '-' });
    }
    code.to_string()
}

async fn table() -> String {
    let app = TestApp::with(|config| config.quota.image_count_total = None).await;
    let mut out = HEAD.to_owned();
    for route in ROUTES {
        let (method, path, _, body, states) = *route;
        write!(out, "{:<52}", format!("{method} {path}")).unwrap();
        for (name, _) in CALLERS {
            write!(out, " {name:>8}").unwrap();
        }
        writeln!(out).unwrap();
        if !body.is_empty() {
            writeln!(out, "  {body}").unwrap();
        }
        for state in states {
            write!(out, "  {state:<50}").unwrap();
            let mut id = image(&app, state).await;
            for (_, token) in CALLERS {
                let cell = ask(&app, route, &id, token).await;
                write!(out, " {cell:>8}").unwrap();
                if !matches!(method, "GET" | "HEAD") && cell.starts_with('2') {
                    // What was changed is not asked of again.
                    id = image(&app, state).await;
                }
            }
            writeln!(out).unwrap();
        }
        writeln!(out).unwrap();
    }
    out
}

#[tokio::test]
async fn every_route_for_everybody() {
    golden("http-authz.txt", &table().await);
}
