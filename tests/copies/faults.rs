//! Stores that break midway, disks that lie, stores that are full.

use std::sync::atomic::Ordering;

use fanlight::store::StoreErrorKind;
use serde_json::json;

use super::{Case, MIB, data};
use crate::support::ALICE;

/// Changes one byte of an object on the disk.
fn corrupt(case: &Case, store: &str, id: &str) {
    let path = case.app.folder().join("stores").join(store).join(id);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

#[tokio::test]
async fn data_that_are_not_the_images_never_become_visible() {
    let case = Case::new().await;
    let id = case.image(data(2 * MIB), &["alpha"]).await;
    corrupt(&case, "alpha", &id);
    let copy = case.begin(&id, Some("beta")).await;
    let failed = case.until(&copy, "failed").await;
    assert_eq!(failed["error"], "no copy of the image has the data that its hash (sha512) says");
    assert_eq!(case.stores_of(&id).await, "alpha");
}

#[tokio::test]
async fn another_copy_is_taken_in_place_of_a_bad_one() {
    let case = Case::new().await;
    let bytes = data(2 * MIB);
    let id = case.image(bytes, &["alpha", "beta"]).await;
    corrupt(&case, "alpha", &id);
    let copy = case.begin(&id, Some("gamma")).await;
    assert_eq!(case.until(&copy, "done").await["source"], "beta");
    assert_eq!(case.stores_of(&id).await, "alpha,beta,gamma");
    let read = case.app.get(&format!("/v2/images/{id}/file?prefer=gamma"), ALICE).await;
    assert_eq!(&read.bytes()[..], bytes);
}

#[tokio::test]
async fn a_source_that_fails_midway_is_left_for_another_at_the_same_offset() {
    let case = Case::new().await;
    let id = case.image(data(8 * MIB), &["alpha", "beta"]).await;
    *case.faults("alpha").read.lock().unwrap() = Some(3 * MIB as u64);
    case.faults("beta").lowest_read.store(u64::MAX, Ordering::Relaxed);
    let copy = case.begin(&id, Some("gamma")).await;
    assert_eq!(case.until(&copy, "done").await["source"], "beta");
    assert_eq!(case.faults("beta").lowest_read.load(Ordering::Relaxed), 3 * MIB as u64);
    assert_eq!(case.stores_of(&id).await, "alpha,beta,gamma");
}

#[tokio::test]
async fn a_target_that_goes_away_midway_is_written_on_when_it_is_back() {
    let case = Case::slow(8).await;
    let id = case.image(data(32 * MIB), &["alpha"]).await;
    *case.faults("beta").write.lock().unwrap() = Some((20 * MIB as u64, StoreErrorKind::Unavailable));
    let copy = case.begin(&id, Some("beta")).await;
    let waiting = case.wait(&copy, "waiting", |c| c["state"] == "queued" && !c["error"].is_null()).await;
    let safe = waiting["done"].as_u64().unwrap();
    assert!(safe > 0 && safe < 32 * MIB as u64, "{waiting}");
    assert!(waiting["error"].as_str().unwrap().contains("the fake cluster is gone"), "{waiting}");
    assert_eq!(case.app.inventory().await, [format!("alpha/{id}"), format!("beta/{id} (partial)")]);
    case.in_order().await;
    case.faults("alpha").lowest_read.store(u64::MAX, Ordering::Relaxed);
    *case.faults("beta").write.lock().unwrap() = None;
    case.until(&copy, "done").await;
    assert_eq!(case.faults("alpha").lowest_read.load(Ordering::Relaxed), safe, "bytes were read again");
    assert_eq!(case.faults("beta").created.load(Ordering::Relaxed), 1);
    assert_eq!(case.stores_of(&id).await, "alpha,beta");
}

#[tokio::test]
async fn a_target_that_lost_its_part_is_written_from_the_start() {
    let case = Case::slow(8).await;
    let id = case.image(data(24 * MIB), &["alpha"]).await;
    *case.faults("beta").write.lock().unwrap() = Some((18 * MIB as u64, StoreErrorKind::Unavailable));
    let copy = case.begin(&id, Some("beta")).await;
    case.wait(&copy, "waiting", |c| c["state"] == "queued" && c["done"].as_u64() > Some(0)).await;
    std::fs::remove_file(case.app.folder().join(format!("stores/beta/.{id}.partial"))).unwrap();
    *case.faults("beta").write.lock().unwrap() = None;
    case.until(&copy, "done").await;
    assert_eq!(case.faults("beta").created.load(Ordering::Relaxed), 2);
    assert_eq!(case.stores_of(&id).await, "alpha,beta");
}

#[tokio::test]
async fn a_part_that_was_changed_meanwhile_is_found_out() {
    let case = Case::slow(8).await;
    let id = case.image(data(24 * MIB), &["alpha"]).await;
    *case.faults("beta").write.lock().unwrap() = Some((18 * MIB as u64, StoreErrorKind::Unavailable));
    let copy = case.begin(&id, Some("beta")).await;
    case.wait(&copy, "waiting", |c| c["state"] == "queued" && c["done"].as_u64() > Some(0)).await;
    let partial = case.app.folder().join(format!("stores/beta/.{id}.partial"));
    let mut bytes = std::fs::read(&partial).unwrap();
    bytes[MIB] ^= 1;
    std::fs::write(&partial, bytes).unwrap();
    *case.faults("beta").write.lock().unwrap() = None;
    case.until(&copy, "done").await;
    assert_eq!(case.faults("beta").created.load(Ordering::Relaxed), 2, "the whole of it was written anew");
    let read = case.app.get(&format!("/v2/images/{id}/file?prefer=beta"), ALICE).await;
    assert_eq!(&read.bytes()[..], data(24 * MIB));
}

#[tokio::test]
async fn data_that_nobody_knows_are_not_overwritten() {
    let case = Case::new().await;
    let id = case.image(data(MIB), &["alpha"]).await;
    let unknown = case.app.folder().join("stores/beta").join(&id);
    std::fs::write(&unknown, "not ours").unwrap();
    let copy = case.begin(&id, Some("beta")).await;
    let failed = case.until(&copy, "failed").await;
    assert_eq!(failed["error"], "store beta holds data of this image's name that no image has: scrub it");
    assert_eq!(std::fs::read_to_string(&unknown).unwrap(), "not ours");
    std::fs::remove_file(&unknown).unwrap();
    assert_eq!(case.stores_of(&id).await, "alpha");
}

#[tokio::test]
async fn a_full_target_ends_the_copy_that_named_it() {
    let case = Case::new().await;
    let id = case.image(data(4 * MIB), &["alpha"]).await;
    *case.faults("beta").write.lock().unwrap() = Some((MIB as u64, StoreErrorKind::NoSpace));
    let copy = case.begin(&id, Some("beta")).await;
    let failed = case.until(&copy, "failed").await;
    assert_eq!(failed["error"], "store beta: the fake cluster does not want to");
    assert_eq!(case.stores_of(&id).await, "alpha");
}

#[tokio::test]
async fn a_full_target_is_left_for_the_next_when_none_was_named() {
    let case = Case::new().await;
    let id = case.image(data(4 * MIB), &["alpha"]).await;
    *case.faults("beta").write.lock().unwrap() = Some((MIB as u64, StoreErrorKind::NoSpace));
    let copy = case.begin(&id, None).await;
    let done = case.until(&copy, "done").await;
    assert_eq!((&done["store"], &done["others"]), (&json!("gamma"), &json!([])));
    assert_eq!(case.stores_of(&id).await, "alpha,gamma");
}

#[tokio::test]
async fn a_download_goes_on_from_another_copy() {
    let case = Case::new().await;
    let bytes = data(8 * MIB);
    let id = case.image(bytes, &["alpha", "beta"]).await;
    let path = format!("/v2/images/{id}/file");
    for from in [0, 3 * MIB as u64] {
        *case.faults("alpha").read.lock().unwrap() = Some(from);
        let read = case.app.get(&path, ALICE).await;
        assert_eq!((read.status.as_u16(), &read.bytes()[..]), (200, bytes));
    }
    *case.faults("beta").read.lock().unwrap() = Some(5 * MIB as u64);
    assert!(case.app.get(&path, ALICE).await.is_cut(), "a short copy must not look like a whole one");
}

#[tokio::test]
async fn an_upload_whose_store_fails_midway_is_told_to_come_back() {
    let case = Case::new().await;
    let id = case.app.queued(ALICE, "unlucky").await;
    *case.faults("alpha").write.lock().unwrap() = Some((2 * MIB as u64, StoreErrorKind::Unavailable));
    let reply = case.app.upload(&id, ALICE, data(6 * MIB)).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (503, "10"), "{}", reply.text());
    let image = case.app.get(&format!("/v2/images/{id}"), ALICE).await.json();
    assert_eq!((&image["status"], &image["size"]), (&json!("queued"), &json!(null)));
    assert_eq!(case.app.inventory().await, Vec::<String>::new());
    case.in_order().await;
    *case.faults("alpha").write.lock().unwrap() = None;
    assert_eq!(case.app.upload(&id, ALICE, data(6 * MIB)).await.status, 204);
    assert_eq!(case.stores_of(&id).await, "alpha");
}
