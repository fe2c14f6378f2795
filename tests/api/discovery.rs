//! and the protocol rules that hold everywhere.

use axum::body::Body;

use crate::support::{ALICE, TestApp};

#[tokio::test]
async fn discovery_needs_no_token() {
    let app = TestApp::new().await;
    for (path, status) in [("/", 300), ("/versions", 200), ("/v1/images", 300), ("/v3/", 300), ("/foo", 300)] {
        let reply = app.request("GET", path, None, &[], Body::empty()).await;
        assert_eq!(reply.status.as_u16(), status, "{path}");
        let versions = reply.json()["versions"].clone();
        assert_eq!(versions.as_array().unwrap().len(), 16);
        assert_eq!(versions[0]["links"][0]["href"], "http://images.test/v2/");
        assert!(reply.header("x-openstack-request-id").starts_with("req-"));
    }
    let health = app.request("GET", "/healthcheck", None, &[], Body::empty()).await;
    assert_eq!((health.status.as_u16(), health.text().as_str()), (200, "OK"));
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let app = TestApp::new().await;
    let json = [("accept", "application/json")];
    let rows = [
        ("GET", "/v2/", 404),
        ("GET", "/v2/images/", 404),
        ("GET", "/v2/cache", 404),
        ("GET", "/v2/metadefs/namespaces", 404),
        ("PUT", "/v2/images", 405),
        ("OPTIONS", "/v2/images", 405),
        ("PUT", "/v2/images/x/locations", 405),
        ("OPTIONS", "/v2/nowhere", 501),
        ("GET", "/v2", 302),
    ];
    for (method, path, status) in rows {
        let reply = app.request(method, path, Some(ALICE), &json, Body::empty()).await;
        assert_eq!(reply.status.as_u16(), status, "{method} {path}");
        assert_eq!(reply.headers.contains_key("allow"), status == 405, "{method} {path}");
        assert!(reply.headers.contains_key("x-openstack-request-id"));
    }
}

#[tokio::test]
async fn no_token_no_answer() {
    let app = TestApp::new().await;
    for path in ["/v2/", "/v2/images", "/v2.9/images", "/v2/schemas/image"] {
        let reply = app.request("GET", path, None, &[("accept", "application/json")], Body::empty()).await;
        assert_eq!(reply.status.as_u16(), 401, "{path}");
        assert_eq!(reply.json()["code"], "401 Unauthorized");
        assert!(reply.headers.contains_key("x-openstack-request-id"));
    }
}

#[tokio::test]
async fn request_ids_are_adopted_within_bounds() {
    let app = TestApp::new().await;
    let long = "x".repeat(65);
    for (sent, status, want) in [("req-1", 200, "req-1"), ("abc", 200, "req-abc"), (long.as_str(), 431, "")] {
        let headers = [("x-openstack-request-id", sent), ("accept", "application/json")];
        let reply = app.request("GET", "/v2/images", Some(ALICE), &headers, Body::empty()).await;
        assert_eq!(reply.status.as_u16(), status);
        if !want.is_empty() {
            assert_eq!(reply.header("x-openstack-request-id"), want);
        }
    }
}

#[tokio::test]
async fn error_bodies_follow_accept() {
    let app = TestApp::new().await;
    let rows = [
        (Some("application/json"), "application/json"),
        (Some("*/*"), "application/json"),
        (Some("text/html"), "text/html; charset=UTF-8"),
        (Some(""), "text/plain; charset=UTF-8"),
        (None, "text/plain; charset=UTF-8"),
    ];
    for (accept, content_type) in rows {
        let headers: Vec<_> = accept.map(|a| ("accept", a)).into_iter().collect();
        let reply = app.request("GET", "/v2/images/none", Some(ALICE), &headers, Body::empty()).await;
        assert_eq!(reply.status.as_u16(), 404);
        assert_eq!(reply.header("content-type"), content_type, "{accept:?}");
    }
}
