//! R-03: also HEAD and conditions.

use axum::body::Body;

use crate::support::{ALICE, BOB, TestApp};

#[tokio::test]
async fn head_says_what_get_says() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "a").await;
    let path = format!("/v2/images/{id}");
    let get = app.get(&path, ALICE).await;
    let head = app.request("HEAD", &path, Some(ALICE), &[], Body::empty()).await;
    assert_eq!(head.status, get.status);
    assert_eq!(head.header("etag"), get.header("etag"));
    assert_eq!(head.header("content-length"), get.bytes().len().to_string());
    assert!(head.bytes().is_empty());
}

#[tokio::test]
async fn a_tag_spares_the_body_and_guards_a_change() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "a").await;
    let path = format!("/v2/images/{id}");
    let tag = app.get(&path, ALICE).await.header("etag").to_owned();
    let same = app.request("GET", &path, Some(ALICE), &[("if-none-match", tag.as_str())], Body::empty()).await;
    assert_eq!((same.status.as_u16(), same.bytes().len()), (304, 0));
    let stale = [("if-match", "\"old\"")];
    assert_eq!(app.request("DELETE", &path, Some(ALICE), &stale, Body::empty()).await.status.as_u16(), 412);
    let fresh = [("if-match", tag.as_str())];
    assert_eq!(app.request("DELETE", &path, Some(ALICE), &fresh, Body::empty()).await.status.as_u16(), 204);
    let gone = app.request("DELETE", &path, Some(ALICE), &fresh, Body::empty()).await;
    assert_eq!(gone.status.as_u16(), 404);
}

#[tokio::test]
async fn of_many_changes_to_one_state_one_is_made() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "a").await;
    let path = format!("/v2/images/{id}");
    let tag = app.get(&path, ALICE).await.header("etag").to_owned();
    let headers = [("if-match", tag.as_str()), ("content-type", "application/openstack-images-v2.1-json-patch")];
    let change = |n: usize| {
        let body = format!(r#"[{{"op": "add", "path": "/winner", "value": "{n}"}}]"#);
        app.request("PATCH", &path, Some(ALICE), &headers, body)
    };
    let replies = futures_util::future::join_all((0..12).map(change)).await;
    let mut codes: Vec<u16> = replies.iter().map(|r| r.status.as_u16()).collect();
    codes.sort_unstable();
    assert_eq!((codes.first(), codes.iter().filter(|c| **c == 412).count()), (Some(&200), 11), "{codes:?}");
}

#[tokio::test]
async fn what_is_hidden_looks_like_what_is_not() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "a").await;
    let hidden = app.get(&format!("/v2/images/{id}"), BOB).await;
    assert_eq!(hidden.outcome(), format!("404 No image found with ID {id}"));
    for path in ["/v2/images/none", "/v2/images/a%00b", "/v2/images/%ff"] {
        assert_eq!(app.get(path, BOB).await.status.as_u16(), 404, "{path}");
    }
    let body = app.request("GET", &format!("/v2/images/{id}"), Some(ALICE), &[("content-length", "1")], "x").await;
    assert_eq!(body.status.as_u16(), 400);
}
