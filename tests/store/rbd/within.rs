//! Copies between two pools of one cluster, which the cluster's own library makes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use fanlight::{
    config::RbdConfig,
    store::{RbdStore, Store, StoreErrorKind},
};
use tokio::time::timeout;

use super::{Cluster, cluster, eventually, get, name, noise, permit, put, shared, threads};

/// A store in the pool of instances, by a user who may read images too.
fn instances(cluster: &Cluster) -> RbdStore {
    RbdStore::new(RbdConfig { pool: "vms".into(), user: "nova-direct".into(), ..cluster.config() })
}

/// Empty but for its ends.
fn sparse(len: usize) -> Bytes {
    let mut data = BytesMut::zeroed(len);
    data[..3].copy_from_slice(b"one");
    data[len - 3..].copy_from_slice(b"two");
    data.freeze()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_a_write_that_only_has_to_be_finished() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let (source, target, name) = (cluster.store(), instances(&cluster), name());
    let data = sparse((100 << 20) + 17);
    let size = data.len() as u64;
    let from = put(&source, &name, &data, Some(size)).await;

    let copied = target.copy_within(&permit(), &name, &from, size, &|_| {}).await.expect("copied");
    assert!(copied);
    let listed = target.list().await.expect("list").into_iter().find(|o| o.name == name).expect("listed");
    assert!(listed.partial, "visible before anybody looked at it");
    let again = target.copy_within(&permit(), &name, &from, size, &|_| {}).await.expect_err("taken");
    assert_eq!(again.kind, StoreErrorKind::InUse, "{again}");

    let mut writer = target.resume(&permit(), &name, size, size).await.expect("resume");
    let end = usize::try_from(size).expect("small");
    assert!(writer.read_back(size - 20, 20).await.expect("read back") == data.slice(end - 20..));
    let url = writer.finish().await.expect("finish");
    assert!(get(&target, &url).await == data);
    // Two chunks hold something.
    let extents = cluster.rbd_json(&["diff", &format!("vms/{name}@snap")]);
    let stored: u64 = extents.as_array().expect("a list").iter().map(|e| e["length"].as_u64().expect("a number")).sum();
    assert!(stored <= 16 << 20, "{stored} bytes are stored");
    let exists = target.copy_within(&permit(), &name, &from, size, &|_| {}).await.expect_err("exists");
    assert_eq!(exists.kind, StoreErrorKind::AlreadyExists, "{exists}");

    source.delete(&permit(), &from).await.expect("deleted");
    assert!(get(&target, &url).await == data, "the copy needs the image that it was made from");
    target.delete(&permit(), &url).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_copied_is_left_alone() {
    let (Some(a), Some(b)) = (cluster("ceph-a"), cluster("ceph-b")) else { return };
    let _turn = shared().await;
    let (source, data, name) = (instances(&a), noise(1 << 20), name());
    let size = data.len() as u64;
    let from = put(&source, &name, &data, Some(size)).await;
    // Who may not read the pool, another cluster, another size, nothing there, a store of files.
    let gone = from.replace(&name, "gone");
    let cases = [
        (a.store(), &from, size),
        (b.store(), &from, size),
        (instances(&a), &from, size + 1),
        (instances(&a), &gone, size),
        (instances(&a), &"file:///etc/passwd".to_owned(), size),
    ];
    let copy = super::name();
    for (target, url, size) in cases {
        let copied = target.copy_within(&permit(), &copy, url, size, &|_| {}).await.expect("answers");
        assert!(!copied, "{url} of {size} to {target:?}");
        assert!(target.list().await.expect("list").iter().all(|o| o.name != copy), "something was left");
    }
    source.delete(&permit(), &from).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_given_up_ends_in_the_cluster_too() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let (source, name, data) = (cluster.store(), name(), noise(384 << 20));
    // Few small objects at a time, so that it lasts.
    let slow = RbdConfig {
        in_flight: 1,
        chunk_size_mib: 1,
        pool: "vms".into(),
        user: "nova-direct".into(),
        ..cluster.config()
    };
    let target = RbdStore::new(slow);
    let size = data.len() as u64;
    let from = put(&source, &name, &data, Some(size)).await;
    target.probe().await.expect("connected");
    let before = threads();
    for _ in 0..3 {
        let done = Arc::new(AtomicU64::new(0));
        let told = |bytes| done.store(bytes, Ordering::Relaxed);
        let permit = permit();
        let copy = target.copy_within(&permit, &name, &from, size, &told);
        let ended = timeout(Duration::from_millis(500), copy).await;
        assert!(ended.is_err(), "it was over before it could be given up: {ended:?}");
        // The one who copies still has the image open: the cluster has to part them.
        let discarded = timeout(Duration::from_secs(20), target.discard(&permit, &name)).await.expect("in time");
        discarded.expect("discarded");
        assert!(target.list().await.expect("list").iter().all(|o| o.name != name), "it was left behind");
    }
    eventually("the connections of the copies end", || threads() <= before + 8).await;
    // The store itself was not shut out.
    target.probe().await.expect("answers");
    source.delete(&permit(), &from).await.expect("deleted");
}
