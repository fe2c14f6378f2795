//! Thirty-two writers on one image over HTTP: uploads, edits, changes of state and deletes, all at once.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::{ADMIN, ALICE, TestApp};

const WRITERS: usize = 32;
const ROUNDS: usize = 8;

/// One request of writer `seed` in round `round`, and its status.
async fn act(app: &TestApp, id: &str, seed: usize, round: usize) -> u16 {
    let path = format!("/v2/images/{id}");
    let reply = match (seed * 5 + round * 3) % 8 {
        0..=2 => app.upload(id, ALICE, vec![seed as u8; 40_000]).await,
        3 => {
            app.patch(id, ALICE, json!([{"op": "replace", "path": "/name", "value": format!("{seed}-{round}")}])).await
        }
        4 => app.put(&format!("{path}/tags/t{seed}"), ALICE, json!({})).await,
        5 => app.post(&format!("{path}/actions/deactivate"), ADMIN, json!({})).await,
        6 => app.post(&format!("{path}/actions/reactivate"), ADMIN, json!({})).await,
        _ => app.get(&path, ALICE).await,
    };
    reply.status.as_u16()
}

/// Every answer is one that a client can act on, whoever was faster; what is left agrees with the image.
async fn race(app: &TestApp, id: &str, delete_at: Option<(usize, usize)>) -> BTreeMap<u16, usize> {
    let mut answers = BTreeMap::new();
    let writers = (0..WRITERS).map(|seed| async move {
        let mut got = Vec::new();
        for round in 0..ROUNDS {
            if delete_at == Some((seed, round)) {
                got.push(app.delete(&format!("/v2/images/{id}"), ALICE).await.status.as_u16());
            }
            got.push(act(app, id, seed, round).await);
        }
        got
    });
    for status in futures_util::future::join_all(writers).await.into_iter().flatten() {
        *answers.entry(status).or_default() += 1;
    }
    assert!(answers.keys().all(|s| [200, 204, 403, 404, 409, 410].contains(s)), "{answers:?}");
    assert_eq!(app.app.db.recount().await.unwrap(), []);
    assert_eq!(app.app.db.check().await.unwrap(), Vec::<String>::new());
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_race_and_one_upload_wins() {
    let app = TestApp::new().await;
    let id = app.queued(ALICE, "raced").await;
    let answers = race(&app, &id, None).await;
    let image = app.app.db.image(&id).await.unwrap().unwrap();
    assert!(["active", "deactivated"].contains(&image.status.as_str()), "{:?} {answers:?}", image.status);
    assert_eq!((image.size, image.locations.len()), (Some(40_000), 1));
    let object = format!("{}/{id}", image.locations[0].store);
    assert_eq!(app.inventory().await, [object], "the losers left nothing");
    let used = app.app.db.usage("blue").await.unwrap()["image_size_total"];
    assert_eq!((used.in_use, used.reserved), (40_000, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_among_the_writers_leaves_nothing() {
    let app = TestApp::new().await;
    for turn in 0..6 {
        let id = app.queued(ALICE, "doomed").await;
        race(&app, &id, Some((turn * 5, turn))).await;
        assert_eq!(app.get(&format!("/v2/images/{id}"), ALICE).await.status, 404);
        assert_eq!(app.inventory().await, Vec::<String>::new());
        let usage = app.app.db.usage("blue").await.unwrap();
        assert!(usage.get("image_size_total").is_none_or(|u| u.in_use == 0 && u.reserved == 0), "{usage:?}");
    }
}
