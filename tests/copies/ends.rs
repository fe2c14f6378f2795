//! Copies that are given up: nothing is left, and the ledger has back what was reserved.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Case, MIB, data};
use crate::support::ALICE;

async fn running(case: &Case, copy: &str) {
    case.wait(copy, "running", |c| c["state"] == "running").await;
}

/// Waits for an inventory.
async fn left(case: &Case, expected: &[String]) {
    let begun = Instant::now();
    while case.app.inventory().await != expected {
        assert!(begun.elapsed() < Duration::from_secs(20), "left: {:?}", case.app.inventory().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_image_deleted_during_its_copy_leaves_nothing() {
    let case = Case::slow(2).await;
    let id = case.image(data(64 * MIB), &["alpha"]).await;
    let copy = case.begin(&id, Some("beta")).await;
    running(&case, &copy).await;
    assert_eq!(case.app.delete(&format!("/v2/images/{id}"), ALICE).await.status, 204);
    let usage = case.app.app.db.usage("blue").await.unwrap()["image_size_total"];
    assert_eq!((usage.in_use, usage.reserved), (0, 0), "given back with the delete");
    let ended = case.until(&copy, "cancelled").await;
    assert_eq!(ended["error"], "the image was deleted");
    left(&case, &[]).await;
    case.in_order().await;
}

#[tokio::test]
async fn a_copy_is_cancelled_while_it_runs_and_while_it_waits() {
    let case = Case::with(|c| (c.copies.rate_mib_s, c.copies.parallel) = (2, 1)).await;
    let first = case.image(data(32 * MIB), &["alpha"]).await;
    let second = case.image(data(100), &["alpha"]).await;
    let (one, two) = (case.begin(&first, Some("beta")).await, case.begin(&second, Some("beta")).await);
    running(&case, &one).await;
    let again = case.app.admin("POST", "/copies", Some(json!({"image": first, "store": "beta"}))).await;
    assert_eq!(again.outcome(), format!("409 A copy of image {first} to store beta is under way"));
    assert_eq!(case.copy(&two).await["state"], "queued", "one at a time, the oldest first");
    for (copy, state) in [(&two, "cancelled"), (&one, "cancelling")] {
        let reply = case.app.admin("DELETE", &format!("/copies/{copy}"), None).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["state"]), (202, &json!(state)));
    }
    case.in_order().await;
    for copy in [&one, &two] {
        case.until(copy, "cancelled").await;
    }
    let mut kept = [format!("alpha/{first}"), format!("alpha/{second}")];
    kept.sort();
    left(&case, &kept).await;
    case.in_order().await;
    let late = case.app.admin("DELETE", &format!("/copies/{one}"), None).await;
    assert_eq!(late.outcome(), format!("409 Copy {one} is cancelled already"));
    let once_more = case.begin(&second, Some("beta")).await;
    case.until(&once_more, "done").await;
    assert_eq!(case.app.inventory().await.len(), 3);
}
