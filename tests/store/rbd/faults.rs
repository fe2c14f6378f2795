//! Clusters that refuse, hang, die and fill up: every call ends within its limit, and nothing grows.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use fanlight::{
    config::RbdConfig,
    store::{RbdStore, Store, StoreErrorKind},
};

use super::{Cluster, alone, cluster, get, name, noise, permit, put, shared, threads};

const TIMEOUT: u32 = 3;

fn quick(cluster: &Cluster) -> RbdStore {
    RbdStore::new(RbdConfig { timeout_s: TIMEOUT, ..cluster.config() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_denied_at_once() {
    let Some(cluster) = cluster("ceph-b") else { return };
    let _turn = shared().await;
    let keyring = cluster.folder.join("wrong.keyring");
    std::fs::write(&keyring, "[client.glance]\nkey = AQBPAAAAAAAAABAAOiVp0cSk3bXkWJ6Oe8yDdw==\n").expect("written");
    for keyring in [keyring, PathBuf::from("/nonexistent")] {
        let store = RbdStore::new(RbdConfig { keyring: Some(keyring.clone()), ..cluster.config() });
        let begun = Instant::now();
        let error = store.probe().await.expect_err("refused");
        assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(!error.to_string().contains("AQBP"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said() {
    let Some(cluster) = cluster("ceph-b") else { return };
    let _turn = shared().await;
    let store = RbdStore::new(RbdConfig { pool: "nowhere".into(), ..cluster.config() });
    assert_eq!(store.probe().await.expect_err("no pool").to_string(), "there is no pool `nowhere`");
    let store = RbdStore::new(RbdConfig { conf: "/nonexistent".into(), ..cluster.config() });
    let error = store.probe().await.expect_err("no configuration");
    assert_eq!((error.kind, error.temporary), (StoreErrorKind::Unavailable, true), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_cluster_costs_nothing_but_time_and_is_found_again() {
    let Some(cluster) = cluster("ceph-b") else { return };
    let _turn = alone().await;
    cluster.control("kill-mon", &[]);
    let store = RbdStore::new(RbdConfig { timeout_s: 1, ..cluster.config() });
    let mut counts = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        let error = store.probe().await.expect_err("nobody there");
        assert_eq!((error.kind, error.temporary), (StoreErrorKind::Unavailable, true), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        counts.push(threads());
    }
    let begun = Instant::now();
    store.create(&permit(), &name(), None).await.err().expect("the last failure is remembered");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    cluster.control("start-mon", &[]);
    assert!(counts[19] <= counts[4] + 4, "threads grow with the number of tries: {counts:?}");
    let mut tries = 0;
    while let Err(error) = store.probe().await {
        tries += 1;
        assert!(tries < 60, "{error}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_osd_ends_a_write_within_the_limit_and_nothing_grows() {
    let Some(cluster) = cluster("ceph-b") else { return };
    let _turn = alone().await;
    let (store, name, data) = (quick(&cluster), name(), noise(32 << 20));
    let readable = put(&store, &super::name(), &data, None).await;
    let mut reader = store.open(&readable).await.expect("open");
    let mut writer = store.create(&permit(), &name, Some(1 << 30)).await.expect("create");
    writer.write(data.clone()).await.expect("write");
    cluster.control("pause-osd", &[]);
    let limit = Duration::from_secs(u64::from(3 * TIMEOUT + 2));
    let begun = Instant::now();
    let error = loop {
        if let Err(error) = writer.write(data.clone()).await {
            break error;
        }
    };
    assert_eq!((error.kind, error.temporary), (StoreErrorKind::Unavailable, true), "{error}");
    assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
    let begun = Instant::now();
    writer.abort().await.expect_err("the cluster does not answer");
    assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
    let begun = Instant::now();
    let error = reader.read_at(0, 512 << 10).await.expect_err("no answer");
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
    let begun = Instant::now();
    drop(reader);
    assert!(begun.elapsed() < Duration::from_millis(500), "dropping waits: {:?}", begun.elapsed());

    let mut counts = Vec::new();
    for i in 0..20 {
        let begun = Instant::now();
        let error = match i % 3 {
            0 => store.probe().await.expect_err("no answer"),
            1 => store.open(&readable).await.err().expect("no answer"),
            _ => store.create(&permit(), &super::name(), None).await.err().expect("no answer"),
        };
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(u64::from(5 * TIMEOUT + 2)), "{:?}", begun.elapsed());
        counts.push(threads());
    }
    cluster.control("start-osd", &[]);
    assert!(counts[19] <= counts[3] + 20, "threads grow with the number of tries: {counts:?}");

    let mut tries = 0;
    while let Err(error) = store.probe().await {
        tries += 1;
        assert!(tries < 60, "{error}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(get(&store, &readable).await == data);
    let mut tries = 0;
    while let Err(error) = store.discard(&permit(), &name).await {
        tries += 1;
        assert!(tries < 60, "{error}");
    }
    store.delete(&permit(), &readable).await.expect("deleted");
    for object in store.list().await.expect("listed") {
        store.discard(&permit(), &object.name).await.expect("discarded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_cluster_is_no_space_at_once_and_deletes_work() {
    let Some(cluster) = cluster("ceph-b") else { return };
    let _turn = alone().await;
    let (store, one, two, data) = (quick(&cluster), name(), name(), noise(20 << 20));
    let url = put(&store, &one, &data, None).await;
    let mut writer = store.create(&permit(), &two, Some(1 << 30)).await.expect("create");
    writer.write(data.clone()).await.expect("write");
    cluster.control("fill", &["on"]);
    let begun = Instant::now();
    let error = loop {
        if let Err(error) = writer.write(data.clone()).await {
            break error;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "a full cluster takes all");
    };
    assert_eq!(error.kind, StoreErrorKind::NoSpace, "{error}");
    let room = store.probe().await.expect("it answers");
    writer.abort().await.expect("removed although it is full");
    store.delete(&permit(), &url).await.expect("deleted although it is full");
    cluster.control("fill", &["off"]);
    assert_eq!(room.free, 0, "{room:?}");
    assert!(store.list().await.expect("listed").iter().all(|o| o.name != one && o.name != two));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_reached_is_no_space() {
    let Some(cluster) = cluster("ceph-b") else { return };
    let _turn = alone().await;
    let (store, name, data) = (quick(&cluster), name(), noise(20 << 20));
    let mut writer = store.create(&permit(), &name, None).await.expect("create");
    writer.write(data.clone()).await.expect("write");
    cluster.control("quota", &["images", "10000000"]);
    let begun = Instant::now();
    let error = loop {
        if let Err(error) = writer.write(data.clone()).await {
            break error;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "the quota is not enforced");
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    let room = store.probe().await.expect("it answers");
    let aborted = writer.abort().await;
    cluster.control("quota", &["images", "0"]);
    assert_eq!(error.kind, StoreErrorKind::NoSpace, "{error}");
    assert_eq!((room.total, room.free), (10_000_000, 0));
    aborted.expect("removed although the quota is reached");
}

/// The cluster shuts out a client that it takes for dead; the store comes back with a new connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_shut_out_connects_again() {
    let Some(cluster) = cluster("ceph-b") else { return };
    let _turn = alone().await;
    let (store, name, data) = (quick(&cluster), name(), noise(20 << 20));
    let mut writer = store.create(&permit(), &name, None).await.expect("create");
    writer.write(data.clone()).await.expect("write");
    let status = cluster.rbd_json(&["status", &format!("images/{name}")]);
    let address = status["watchers"][0]["address"].as_str().expect("an address");
    cluster.control("exec", &["ceph", "osd", "blocklist", "add", address]);
    let begun = Instant::now();
    let error = loop {
        if let Err(error) = writer.write(data.clone()).await {
            break error;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the client is not shut out");
    };
    assert_eq!((error.kind, error.temporary), (StoreErrorKind::Unavailable, true), "{error}");
    drop(writer);
    let begun = Instant::now();
    while let Err(error) = store.probe().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{error}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let url = put(&store, &super::name(), &data, None).await;
    assert!(get(&store, &url).await == data);
    store.delete(&permit(), &url).await.expect("deleted");
    store.discard(&permit(), &name).await.expect("discarded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_never_closes_is_parted_from_the_store() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = alone().await;
    let (store, name, data) = (quick(&cluster), name(), noise(20 << 20));
    let mut writer = store.create(&permit(), &name, Some(60 << 20)).await.expect("create");
    writer.write(data.clone()).await.expect("write");
    cluster.control("pause-osd", &[]);
    while writer.write(data.clone()).await.is_ok() {}
    drop(writer);
    // The close waits for the osd, and is believed never to end after a while; then the removal itself is what fails.
    let begun = Instant::now();
    loop {
        let error = store.discard(&permit(), &name).await.expect_err("the osd is frozen");
        assert!(error.temporary, "{error}");
        if !error.to_string().starts_with("close") && begun.elapsed() > Duration::from_secs(5) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{error}");
    }
    cluster.control("start-osd", &[]);
    let begun = Instant::now();
    while let Err(error) = store.discard(&permit(), &name).await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{error}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(store.list().await.expect("list").iter().all(|o| o.name != name), "it was left behind");
}
