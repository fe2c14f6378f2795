//! What Glance does wrong, a test each, named after the rows of the list that the project keeps of them. Where another
//! area has the row's subject, the test lies there under the same kind of name.

use axum::body::Body;
use serde_json::{Value, json};

use crate::support::{ADMIN, ALICE, ALICE_READER, BOB, TestApp};

/// What a refused request might have touched.
async fn traces(app: &TestApp, id: &str) -> (Option<fanlight::image::Image>, Vec<String>) {
    assert_eq!(app.app.db.recount().await.unwrap(), []);
    (app.app.db.image(id).await.unwrap(), app.inventory().await)
}

#[tokio::test]
async fn bug_02_a_refused_change_touches_nothing() {
    let app = TestApp::new().await;
    let wish = json!({"name": "p", "visibility": "public", "disk_format": "raw", "container_format": "bare"});
    let id = app.created(ADMIN, wish).await;
    assert_eq!(app.upload(&id, ADMIN, "data").await.status.as_u16(), 204);
    let before = traces(&app, &id).await;
    let path = format!("/v2/images/{id}");
    let rename = json!([{"op": "replace", "path": "/name", "value": "mine"}]);
    assert_eq!(app.delete(&path, ALICE).await.status.as_u16(), 403);
    assert_eq!(app.patch(&id, ALICE, rename).await.status.as_u16(), 403);
    assert_eq!(app.upload(&id, ALICE, "other").await.status.as_u16(), 403);
    assert_eq!(app.put(&format!("{path}/tags/t"), ALICE, Value::Null).await.status.as_u16(), 403);
    assert_eq!(app.post(&format!("{path}/actions/deactivate"), ALICE, Value::Null).await.status.as_u16(), 403);
    assert_eq!(traces(&app, &id).await, before);
}

#[tokio::test]
async fn bug_02_roles_of_a_service_token_are_not_the_users() {
    let app = TestApp::new().await;
    let id = app.queued(ADMIN, "private").await;
    let path = format!("/v2/images/{id}");
    let with_service = [("x-service-token", "root:ops:admin,service"), ("accept", "application/json")];
    for method in ["GET", "DELETE"] {
        let reply = app.request(method, &path, Some(ALICE), &with_service, Body::empty()).await;
        assert_eq!(reply.status.as_u16(), 404, "{method}");
    }
    let reply = app.request("GET", "/v2/images", Some(ALICE), &with_service, Body::empty()).await;
    assert_eq!(reply.json()["images"], json!([]));
}

/// Nine images out of ten are hidden from all but administrators.
const HIDING: &str = r#"
    @id("hiding")
    forbid (principal, action == Action::"get_image", resource)
    when { resource.tags.contains("secret") } unless { principal.roles.contains("admin") };
"#;

async fn walk(app: &TestApp, token: &str, first: String) -> Vec<String> {
    let (mut path, mut names) = (Some(first), Vec::new());
    while let Some(at) = path {
        let page = app.get(&at, token).await.json();
        let images = page["images"].as_array().unwrap().clone();
        path = page["next"].as_str().map(str::to_owned);
        let limit = at.split("limit=").nth(1).unwrap().split('&').next().unwrap().parse::<usize>().unwrap();
        assert!(if path.is_some() { images.len() == limit } else { !images.is_empty() }, "{at}: {}", images.len());
        names.extend(images.iter().map(|i| i["name"].as_str().unwrap().to_owned()));
    }
    names
}

#[tokio::test]
async fn bug_03_pages_are_exact_under_a_hiding_policy() {
    let app = TestApp::new().await;
    app.rule(HIDING).await;
    let mut shown = Vec::new();
    for n in 0..60 {
        let name = format!("i{n:02}");
        let tags = if n % 10 == 3 { json!([]) } else { json!(["secret"]) };
        app.created(ALICE, json!({"name": name, "tags": tags})).await;
        if n % 10 == 3 {
            shown.push(name);
        }
    }
    for limit in [1, 2, 3, 4, 6, 7, 25] {
        assert_eq!(walk(&app, ALICE, format!("/v2/images?sort=name:asc&limit={limit}")).await, shown, "{limit}");
        let newest = walk(&app, ALICE, format!("/v2/images?limit={limit}")).await;
        assert_eq!(newest, shown.iter().rev().cloned().collect::<Vec<_>>(), "{limit}");
    }
    assert_eq!(walk(&app, ADMIN, "/v2/images?limit=7".into()).await.len(), 60);
}

#[tokio::test]
async fn bug_04_links_keep_every_parameter() {
    let app = TestApp::new().await;
    for name in ["a", "b", "c"] {
        app.created(ALICE, json!({"name": name, "tags": ["x", "y"]})).await;
    }
    let page = app.get("/v2/images?tag=x&tag=y&sort=name:asc&sort=id:desc&limit=2", ALICE).await.json();
    for link in ["first", "next"] {
        let link = page[link].as_str().unwrap();
        for part in ["tag=x&tag=y", "sort=name", "sort=id", "limit=2"] {
            assert!(link.contains(part), "{part} is not in {link}");
        }
    }
}

/// Only administrators read `licence`, which nobody else may find out otherwise.
const UNREADABLE: &str = r#"
    @id("licence.hidden")
    forbid (principal, action == Action::"read_property", resource == Property::"licence")
    unless { principal.roles.contains("admin") };
"#;

#[tokio::test]
async fn bug_06_an_unreadable_property_is_not_probed() {
    let app = TestApp::new().await;
    app.rule(UNREADABLE).await;
    app.created(ALICE, json!({"name": "a", "licence": "s3cret"})).await;
    let found = async |token: &str, query: &str| {
        app.get(&format!("/v2/images{query}"), token).await.json()["images"].as_array().unwrap().len()
    };
    assert_eq!(found(ALICE, "").await, 1);
    assert_eq!(found(ALICE, "?licence=s3cret").await, 0);
    assert_eq!(found(ALICE, "?licence=wrong").await, 0);
    assert_eq!(found(ADMIN, "?licence=s3cret").await, 1);
    assert_eq!(app.get("/v2/images?sort=licence:asc", ALICE).await.status.as_u16(), 400);
    assert!(!app.get("/v2/images", ALICE).await.text().contains("licence"));
}

#[tokio::test]
async fn bug_08_a_save_keeps_what_the_caller_cannot_see() {
    let app = TestApp::new().await;
    let id = app.created(ALICE, json!({"name": "a", "licence": "s3cret", "plain": "1"})).await;
    app.rule(UNREADABLE).await;
    let changes = [
        json!([{"op": "replace", "path": "/name", "value": "b"}]),
        json!([{"op": "remove", "path": "/plain"}]),
        json!([{"op": "add", "path": "/other", "value": "2"}]),
    ];
    for change in changes {
        let reply = app.patch(&id, ALICE, change).await;
        assert_eq!(reply.status.as_u16(), 200);
        assert!(!reply.text().contains("licence"));
    }
    assert_eq!(app.put(&format!("/v2/images/{id}/tags/t"), ALICE, Value::Null).await.status.as_u16(), 204);
    let image = app.get(&format!("/v2/images/{id}"), ADMIN).await.json();
    assert_eq!((&image["licence"], &image["name"], &image["other"]), (&json!("s3cret"), &json!("b"), &json!("2")));
    for value in ["guess", "s3cret"] {
        let steal = json!([{"op": "add", "path": "/licence", "value": value}]);
        assert_eq!(app.patch(&id, ALICE, steal).await.status.as_u16(), 403, "{value}");
    }
}

#[tokio::test]
async fn bug_09_odd_input_is_the_clients_fault() {
    let app = TestApp::new().await;
    for query in ["foo_min=1", "members=x", "locations=x", "properties=x", "size_min=x", "limit=-1", "marker=%00"] {
        let reply = app.get(&format!("/v2/images?{query}"), ALICE).await;
        assert!(reply.status.as_u16() < 500, "{query}: {}", reply.outcome());
    }
    let reply = app.post("/v2/images", ALICE, json!([])).await;
    assert_eq!(reply.status.as_u16(), 400, "{}", reply.outcome());
    let long = "r".repeat(65);
    let headers = [("x-openstack-request-id", long.as_str()), ("accept", "application/json")];
    let reply = app.request("GET", "/v2/images", Some(ALICE), &headers, Body::empty()).await;
    assert_eq!(reply.status.as_u16(), 431, "{}", reply.outcome());
}

#[tokio::test]
async fn bug_10_a_length_that_is_told_is_right() {
    let app = TestApp::new().await;
    let id = app.active(ALICE, "a", b"0123456789").await;
    let image = format!("/v2/images/{id}");
    let file = format!("{image}/file");
    for path in ["/", "/versions", "/v2/images", "/v2/schemas/image", "/v2/none", &image, &file] {
        let reply = app.get(path, ALICE).await;
        if let Some(length) = reply.headers.get("content-length") {
            assert_eq!(length.to_str().unwrap(), reply.bytes().len().to_string(), "{path}");
        }
    }
    let part = app.request("GET", &file, Some(ALICE), &[("range", "bytes=2-4")], Body::empty()).await;
    assert_eq!((part.header("content-length"), part.text().as_str()), ("3", "234"));
    for (path, length) in [(&file, "10"), (&image, "")] {
        let head = app.request("HEAD", path, Some(ALICE), &[], Body::empty()).await;
        assert!(length.is_empty() || head.header("content-length") == length, "{path}");
    }
}

#[tokio::test]
async fn bug_11_json_errors_carry_no_markup() {
    let app = TestApp::new().await;
    let replies = [
        app.get("/v2/images/%3Cb%3E", ALICE).await,
        app.get("/v2/images?sort_dir=up", ALICE).await,
        app.post("/v2/images", ALICE, json!({"visibility": "<i>"})).await,
        app.post("/v2/images", ALICE, json!([])).await,
        app.get("/v2/none", ALICE).await,
    ];
    for reply in replies {
        let body = reply.json();
        let message = body["message"].as_str().unwrap();
        assert!(["<br", "<html", "</", "&lt;"].iter().all(|markup| !message.contains(markup)), "{message}");
        assert_eq!(body["code"], format!("{} {}", reply.status.as_u16(), reply.status.canonical_reason().unwrap()));
    }
}

#[tokio::test]
async fn bug_12_a_patch_of_no_attribute_is_refused() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "a").await;
    for path in ["/", "", "//", "name"] {
        let reply = app.patch(&id, ALICE, json!([{"op": "replace", "path": path, "value": "x"}])).await;
        assert_eq!(reply.status.as_u16(), 400, "{path}: {}", reply.outcome());
    }
}

#[tokio::test]
async fn bug_13_reading_writes_nothing() {
    let app = TestApp::new().await;
    let id = app.active(ALICE, "a", b"data").await;
    let before = traces(&app, &id).await;
    for rest in ["", "/file", "/members", "/tasks", "/locations"] {
        app.get(&format!("/v2/images/{id}{rest}"), ALICE).await.bytes();
        app.get(&format!("/v2/images/{id}{rest}"), BOB).await.bytes();
    }
    app.get("/v2/images?visibility=all", ALICE_READER).await.bytes();
    app.get("/v2/info/usage", ALICE).await.bytes();
    assert_eq!(traces(&app, &id).await, before);
}

#[tokio::test]
async fn bug_18_data_is_served_of_active_images_only() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "a").await;
    let file = format!("/v2/images/{id}/file");
    let answer = async |token: &str| {
        let reply = app.get(&file, token).await;
        (reply.status.as_u16(), reply.text() == "data")
    };
    assert_eq!(answer(ALICE).await, (204, false));
    assert_eq!(app.upload(&id, ALICE, "data").await.status.as_u16(), 204);
    assert_eq!(answer(ALICE).await, (200, true));
    let deactivate = format!("/v2/images/{id}/actions/deactivate");
    assert_eq!(app.post(&deactivate, ALICE, Value::Null).await.status.as_u16(), 204);
    assert_eq!(answer(ALICE).await, (403, false));
    assert_eq!(answer(ADMIN).await, (200, true));
    assert_eq!(app.delete(&format!("/v2/images/{id}"), ALICE).await.status.as_u16(), 204);
    assert_eq!(answer(ADMIN).await, (404, false));
}

#[tokio::test]
async fn bug_19_a_preference_is_always_validated() {
    let app = TestApp::new().await;
    let id = app.active(ALICE, "a", b"data").await;
    for (query, code) in [("prefer=beta,alpha", 200), ("prefer=alpha&prefer=beta", 200), ("prefer=alpha,gamma", 400)] {
        let reply = app.get(&format!("/v2/images/{id}/file?{query}"), ALICE).await;
        assert_eq!(reply.status.as_u16(), code, "{query}");
    }
}
