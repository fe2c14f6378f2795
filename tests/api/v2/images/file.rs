//!

use axum::body::Body;

use crate::support::{ALICE, TestApp};

const DATA: &[u8] = b"0123456789";

#[tokio::test]
async fn parts_of_the_data() {
    let app = TestApp::new().await;
    let id = app.active(ALICE, "a", DATA).await;
    let path = format!("/v2/images/{id}/file");
    let whole = app.get(&path, ALICE).await;
    assert_eq!((whole.status.as_u16(), &whole.bytes()[..]), (200, DATA));
    assert_eq!((whole.header("content-length"), whole.header("content-md5").len()), ("10", 32));
    let etag = whole.header("etag").to_owned();
    let rows: [(&str, &str, u16, &str, &str); 7] = [
        ("range", "bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("range", "bytes=-3", 206, "bytes 7-9/10", "789"),
        ("range", "bytes=8-99", 206, "bytes 8-9/10", "89"),
        ("content-range", "bytes 1-2/*", 206, "bytes 1-2/10", "12"),
        ("range", "bytes=10-", 416, "bytes */10", ""),
        ("range", "bytes=0-1,3-4", 400, "", ""),
        ("if-none-match", &etag, 304, "", ""),
    ];
    for (name, value, status, content_range, data) in rows {
        let reply = app.request("GET", &path, Some(ALICE), &[(name, value)], Body::empty()).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-range")), (status, content_range), "{name}: {value}");
        if status == 206 {
            assert_eq!(reply.text(), data);
            assert_eq!(reply.header("content-md5"), whole.header("content-md5"));
        }
    }
    let changed = [("range", "bytes=2-4"), ("if-range", "\"other\"")];
    assert_eq!(app.request("GET", &path, Some(ALICE), &changed, Body::empty()).await.status.as_u16(), 200);
    let head = app.request("HEAD", &path, Some(ALICE), &[("range", "bytes=2-4")], Body::empty()).await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.bytes().len()), (206, "3", 0));
}

#[tokio::test]
async fn no_data_yet() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "a").await;
    let path = format!("/v2/images/{id}/file");
    assert_eq!(app.get(&path, ALICE).await.status.as_u16(), 204);
    assert_eq!(app.get(&format!("{path}?prefer=nowhere"), ALICE).await.status.as_u16(), 400);
}

#[tokio::test]
async fn an_upload_says_what_it_is() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "a").await;
    let path = format!("/v2/images/{id}/file");
    let octets = ("content-type", "application/octet-stream");
    let rows: [(&[(&str, &str)], u16); 5] = [
        (&[("content-type", "application/json")], 415),
        (&[], 415),
        (&[octets, ("x-openstack-image-size", "x")], 400),
        (&[octets, ("x-openstack-image-size", "7")], 400),
        (&[octets, ("x-image-meta-store", "nowhere")], 400),
    ];
    for (headers, status) in rows {
        let reply = app.request("PUT", &path, Some(ALICE), headers, DATA).await;
        assert_eq!(reply.status.as_u16(), status, "{headers:?}: {}", reply.text());
    }
    let stored = app.request("PUT", &path, Some(ALICE), &[octets, ("x-image-meta-store", "beta")], DATA).await;
    assert_eq!(stored.status.as_u16(), 204, "{}", stored.text());
    assert_eq!(app.get(&format!("/v2/images/{id}"), ALICE).await.json()["stores"], "beta");
    assert_eq!(app.upload(&id, ALICE, DATA).await.status.as_u16(), 409);
}
