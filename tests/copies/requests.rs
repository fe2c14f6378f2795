//! What may be asked for, and what a copy that works leaves.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::{Case, MIB, data, faulty};
use crate::support::ALICE;

#[tokio::test]
async fn a_copy_is_a_second_location() {
    let case = Case::new().await;
    let bytes = data(3 * MIB + 5);
    let id = case.image(bytes, &["alpha"]).await;
    let copy = case.begin(&id, Some("beta")).await;
    let done = case.until(&copy, "done").await;
    assert_eq!(
        (&done["done"], &done["total"], &done["source"]),
        (&json!(bytes.len()), &json!(bytes.len()), &json!("alpha"))
    );
    assert_eq!(case.stores_of(&id).await, "alpha,beta");
    let read = case.app.get(&format!("/v2/images/{id}/file?prefer=beta"), ALICE).await;
    assert_eq!(&read.bytes()[..], bytes);
    let again = case.app.admin("POST", "/copies", Some(json!({"image": id, "store": "beta"}))).await;
    assert_eq!(again.outcome(), format!("409 Image {id} has a copy in store beta"));
}

#[tokio::test]
async fn without_a_store_placement_chooses_until_all_have_it() {
    let case = Case::new().await;
    let id = case.image(data(100), &["gamma"]).await;
    for expected in ["alpha", "beta"] {
        let copy = case.begin(&id, None).await;
        assert_eq!(case.until(&copy, "done").await["store"], expected);
    }
    let more = case.app.admin("POST", "/copies", Some(json!({"image": id}))).await;
    assert_eq!(more.outcome(), format!("409 Every store has a copy of image {id}"));
    assert_eq!(case.stores_of(&id).await, "alpha,beta,gamma");
    let all = case.app.admin("GET", "/copies", None).await.json();
    assert_eq!(all["copies"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_copied_is_refused_and_nothing_changes() {
    let case = Case::with(|c| c.quota.image_size_total = Some(1500)).await;
    let id = case.image(data(1000), &["alpha"]).await;
    let queued = case.app.queued(ALICE, "empty").await;
    let reply = case.app.admin("PUT", "/stores/gamma/state", Some(json!({"state": "draining"}))).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let rows = [
        (json!({"image": "nothing"}), 404),
        (json!({"image": queued}), 409),
        (json!({"image": id, "store": "nowhere"}), 400),
        (json!({"image": id, "store": "alpha"}), 409),
        (json!({"image": id, "store": "gamma"}), 409),
        (json!({"image": id, "store": "beta"}), 413),
        (json!({"image": id}), 413),
        (json!({"image": id, "shop": "beta"}), 400),
        (json!([]), 400),
    ];
    for (wish, status) in rows {
        let reply = case.app.admin("POST", "/copies", Some(wish.clone())).await;
        assert_eq!(reply.status.as_u16(), status, "{wish}: {}", reply.text());
    }
    assert_eq!(case.app.admin("GET", "/copies/none", None).await.status, 404);
    assert_eq!(case.app.admin("DELETE", "/copies/none", None).await.status, 404);
    assert_eq!(case.app.admin("GET", "/copies", None).await.json(), json!({"copies": []}));
    assert_eq!(case.stores_of(&id).await, "alpha");
}

#[tokio::test]
async fn two_gateways_share_the_queue_and_never_a_copy() {
    let case = Case::slow(64).await;
    let mut config = case.app.app.config.clone();
    config.node = Some("another".into());
    let mut other = fanlight::App::open(config).await.unwrap();
    std::sync::Arc::get_mut(&mut other).unwrap().stores = faulty(&other.stores, &case.faults);
    other.stores.refresh().await;
    let _jobs = other.start_jobs();
    let mut images = Vec::new();
    for _ in 0..8 {
        images.push(case.image(data(16 * MIB), &["alpha"]).await);
    }
    let mut copies = Vec::new();
    for id in &images {
        copies.push(case.begin(id, Some("beta")).await);
    }
    for copy in &copies {
        case.until(copy, "done").await;
    }
    assert_eq!(case.faults("beta").created.load(Ordering::Relaxed), 8, "each was written once");
    case.in_order().await;
}
