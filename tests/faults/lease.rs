//! Leases of uploads: who lost one touches nothing, who holds one is believed alive, and nobody forgets bytes.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use fanlight::{
    Kind,
    authz::Permit,
    db::{BeginUpload, Upload},
    image::Status,
    jobs,
    quota::Limits,
};
use futures_util::stream;
use tokio::sync::mpsc::{Sender, channel};

use crate::support::{ALICE, TestApp};

/// A body that is fed by hand.
fn by_hand() -> (Sender<Result<Bytes, std::io::Error>>, Body) {
    let (sender, receiver) = channel(1);
    let body = stream::unfold(receiver, |mut r| async { r.recv().await.map(|x| (x, r)) });
    (sender, Body::from_stream(body))
}

fn chunk() -> Result<Bytes, std::io::Error> {
    Ok(Bytes::from(vec![7; 2 << 20]))
}

async fn status(app: &TestApp, id: &str) -> Status {
    app.app.db.image(id).await.unwrap().unwrap().status
}

/// Takes the upload over as the same gateway would after a restart.
async fn take_over(app: &TestApp) -> Upload {
    let mut taken = app.app.db.stale_uploads(&app.app.node, "the next boot").await.unwrap();
    assert_eq!(taken.len(), 1);
    taken.remove(0)
}

async fn clean_up(app: &TestApp, upload: &Upload) {
    let permit = Permit::system("test");
    let store = app.app.stores.get(&upload.store).unwrap().store().clone();
    store.discard(&permit, &upload.image_id).await.unwrap();
    app.app.db.fail_upload(&permit, upload, &[]).await.unwrap();
}

#[tokio::test]
async fn an_upload_that_lost_its_lease_leaves_its_successor_alone() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "two").await;
    let (sender, body) = by_hand();
    let feed = async {
        sender.send(chunk()).await.unwrap();
        sender.send(chunk()).await.unwrap();
        clean_up(&app, &take_over(&app).await).await;
        assert_eq!(app.upload(&id, ALICE, "successor").await.status, 204);
        sender.send(chunk()).await.unwrap();
        drop(sender);
    };
    let (reply, ()) = tokio::join!(app.upload(&id, ALICE, body), feed);
    assert!(reply.status.is_client_error() || reply.status.is_server_error(), "{}", reply.status);
    assert_eq!(app.get(&format!("/v2/images/{id}/file"), ALICE).await.text(), "successor");
    assert_eq!(app.inventory().await.len(), 1);
    assert_eq!(app.app.db.recount().await.unwrap(), []);
}

#[tokio::test]
async fn who_loses_the_lease_at_the_very_end_leaves_the_bytes_to_its_new_holder() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "late").await;
    let (sender, body) = by_hand();
    let feed = async {
        sender.send(chunk()).await.unwrap();
        sender.send(chunk()).await.unwrap();
        let taken = take_over(&app).await;
        drop(sender);
        taken
    };
    let (reply, taken) = tokio::join!(app.upload(&id, ALICE, body), feed);
    assert_eq!(reply.status, 410, "{}", reply.text());
    assert_eq!(status(&app, &id).await, Status::Saving);
    clean_up(&app, &taken).await;
    assert_eq!((status(&app, &id).await, app.inventory().await), (Status::Queued, vec![]));
    assert_eq!(app.app.db.recount().await.unwrap(), []);
}

#[tokio::test]
async fn a_client_that_pauses_for_longer_than_a_lease_keeps_it() {
    let app = TestApp::with(|c| c.images.upload_lease_s = 1).await;
    let id = app.queued(ALICE, "slow").await;
    let (sender, body) = by_hand();
    let feed = async {
        sender.send(chunk()).await.unwrap();
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(app.app.db.stale_uploads("another gateway", "b").await.unwrap(), []);
        }
        drop(sender);
    };
    let (reply, ()) = tokio::join!(app.upload(&id, ALICE, body), feed);
    assert_eq!(reply.status, 204, "{}", reply.text());
}

#[tokio::test]
async fn bytes_that_cannot_be_removed_keep_their_lease() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "stubborn").await;
    let (sender, body) = by_hand();
    let blocked = std::cell::OnceCell::new();
    let feed = async {
        sender.send(chunk()).await.unwrap();
        sender.send(chunk()).await.unwrap();
        let object = app.inventory().await.remove(0);
        let store = object.split('/').next().unwrap();
        // A folder in its place can neither be removed as a file nor be overlooked.
        let partial = app.folder().join(format!("stores/{store}/.{id}.partial"));
        std::fs::remove_file(&partial).unwrap();
        std::fs::create_dir(&partial).unwrap();
        blocked.set(partial).unwrap();
        sender.send(Err(std::io::ErrorKind::ConnectionReset.into())).await.unwrap();
        drop(sender);
    };
    let (reply, ()) = tokio::join!(app.upload(&id, ALICE, body), feed);
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert_eq!(status(&app, &id).await, Status::Saving, "the row still knows of the bytes");
    std::fs::remove_dir(blocked.get().unwrap()).unwrap();
    clean_up(&app, &take_over(&app).await).await;
    assert_eq!(status(&app, &id).await, Status::Queued);
    assert_eq!(app.app.db.recount().await.unwrap(), []);
}

#[tokio::test]
async fn the_reaper_does_not_forget_bytes_of_a_store_that_it_does_not_have() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "elsewhere").await;
    let image = app.app.db.image(&id).await.unwrap().unwrap();
    let begin = BeginUpload {
        store: "nowhere".into(),
        declared: Some(5),
        limits: Limits::default(),
        node: app.app.node.clone(),
        boot: "an earlier boot".into(),
        lease: Duration::from_secs(60),
    };
    let permit = Permit::system("test");
    let upload = app.app.db.begin_upload(&permit, &image, begin).await.unwrap();
    jobs::reap(&app.app).await.unwrap();
    assert_eq!(status(&app, &id).await, Status::Saving);
    assert_eq!(app.app.db.touch_upload(&upload).await.unwrap_err().kind(), Kind::Gone, "the reaper has it now");
    assert_eq!(app.app.db.recount().await.unwrap(), []);
}
