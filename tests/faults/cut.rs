//! Uploads that end badly in process: cut connections, data that is not what it was declared to be, limits.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use crate::support::{ALICE, TestApp};

/// After the failure: queued, no size, no hash, no byte, no reservation; and a correct upload then works (BUG-01).
async fn assert_untouched(app: &TestApp, id: &str) {
    let image = app.get(&format!("/v2/images/{id}"), ALICE).await.json();
    assert_eq!(image["status"], "queued");
    for attribute in ["size", "checksum", "os_hash_value", "virtual_size"] {
        assert!(image[attribute].is_null(), "{attribute}: {image}");
    }
    assert_eq!(app.inventory().await, Vec::<String>::new());
    assert_eq!(app.app.db.recount().await.unwrap(), []);
    let usage = app.app.db.usage("blue").await.unwrap();
    assert!(usage.get("image_size_total").is_none_or(|u| u.in_use == 0 && u.reserved == 0), "{usage:?}");
    let again = app.upload(id, ALICE, "good data").await;
    assert_eq!(again.status, 204, "{}", again.text());
}

#[tokio::test]
async fn bug_01_a_connection_cut_midway_leaves_nothing() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "cut").await;
    let chunks = vec![
        Ok(Bytes::from(vec![7; 3 << 20])),
        Ok(Bytes::from(vec![8; 3 << 20])),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ];
    let reply = app.upload(&id, ALICE, Body::from_stream(stream::iter(chunks))).await;
    assert_eq!(reply.status, 400);
    assert_untouched(&app, &id).await;
}

#[tokio::test]
async fn bug_01_data_of_another_format_leave_nothing() {
    let app = TestApp::new().await;
    let wish = serde_json::json!({"name": "liar", "disk_format": "qcow2", "container_format": "bare"});
    let id = app.created(ALICE, wish).await;
    let reply = app.upload(&id, ALICE, vec![0_u8; 1 << 20]).await;
    assert_eq!(reply.status, 415, "{}", reply.text());
    let image = app.get(&format!("/v2/images/{id}"), ALICE).await.json();
    assert_eq!(image["status"], "queued");
    assert_eq!(app.inventory().await, Vec::<String>::new());
}

#[tokio::test]
async fn bug_01_a_wrong_declared_size_leaves_nothing() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "short").await;
    let headers = [("content-type", "application/octet-stream"), ("x-openstack-image-size", "100")];
    let body = Body::from_stream(stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"only this"))]));
    let path = format!("/v2/images/{id}/file");
    let reply = app.request("PUT", &path, Some(ALICE), &headers, body).await;
    assert_eq!(reply.status, 400);
    assert_untouched(&app, &id).await;
}

#[tokio::test]
async fn data_over_the_cap_leaves_nothing() {
    let app = TestApp::with(|c| c.quota.image_size_cap = Some(1 << 20)).await;
    let id = app.queued(ALICE, "big").await;
    let chunks = (0..40).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![1_u8; 64 << 10])));
    let reply = app.upload(&id, ALICE, Body::from_stream(stream::iter(chunks))).await;
    assert_eq!(reply.status, 413, "{}", reply.text());
    assert_untouched(&app, &id).await;
}

#[tokio::test]
async fn data_over_the_quota_leaves_nothing() {
    let app = TestApp::with(|c| c.quota.image_size_total = Some(1 << 20)).await;
    let id = app.queued(ALICE, "big").await;
    let chunks = (0..40).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![1_u8; 64 << 10])));
    let reply = app.upload(&id, ALICE, Body::from_stream(stream::iter(chunks))).await;
    assert_eq!(reply.status, 413, "{}", reply.text());
    assert_untouched(&app, &id).await;
}

#[tokio::test]
async fn an_image_deleted_during_its_upload_is_gone_and_leaves_nothing() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "vanishing").await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = Body::from_stream(stream::unfold(receiver, |mut r| async { r.recv().await.map(|x| (x, r)) }));
    let feed = async {
        sender.send(Ok(Bytes::from(vec![3; 2 << 20]))).await.unwrap();
        sender.send(Ok(Bytes::from(vec![4; 2 << 20]))).await.unwrap();
        assert_eq!(app.delete(&format!("/v2/images/{id}"), ALICE).await.status, 204);
        drop(sender);
    };
    let (reply, ()) = tokio::join!(app.upload(&id, ALICE, body), feed);
    assert_eq!(reply.status, 410, "{}", reply.text());
    assert_eq!(app.inventory().await, Vec::<String>::new());
    assert_eq!(app.app.db.recount().await.unwrap(), []);
}

#[tokio::test]
async fn a_file_that_shrinks_under_a_download_cuts_the_connection() {
    let app = TestApp::new().await;
    let data: &'static [u8] = vec![9_u8; 8 << 20].leak();
    let id = app.active(ALICE, "shrinking", data).await;
    let object = app.inventory().await.pop().unwrap();
    let (store, name) = object.split_once('/').unwrap();
    let path = app.folder().join("stores").join(store).join(name);
    let whole = app.get(&format!("/v2/images/{id}/file"), ALICE).await;
    assert_eq!(whole.bytes().len(), data.len());
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(3 << 20).unwrap();
    let reply = app.get(&format!("/v2/images/{id}/file"), ALICE).await;
    assert!(reply.status == 503 || reply.is_cut(), "a short copy must not look like a whole one: {}", reply.status);
}
