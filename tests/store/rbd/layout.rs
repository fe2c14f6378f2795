//! What lies in the pool, as `rbd` sees it.

use fanlight::{
    config::RbdConfig,
    store::{RbdStore, Store},
};
use serde_json::json;

use super::{Cluster, cluster, get, name, noise, permit, put, shared};

/// Bytes of data that an image uses, from the list of its extents.
fn used(cluster: &Cluster, name: &str) -> u64 {
    let extents = cluster.rbd_json(&["diff", &format!("images/{name}@snap")]);
    extents.as_array().expect("a list").iter().map(|e| e["length"].as_u64().expect("a number")).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn layout_is_that_of_glance_store() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let (store, name, data) = (cluster.store(), name(), noise(20_000_001));
    let url = put(&store, &name, &data, Some(data.len() as u64)).await;

    let fsid = cluster.control("exec", &["ceph", "fsid"]);
    assert_eq!(url, format!("rbd://{}/images/{name}/snap", fsid.trim()));
    let info = cluster.rbd_json(&["info", &format!("images/{name}")]);
    assert_eq!((&info["size"], &info["order"]), (&json!(20_000_001), &json!(23)));
    assert_eq!(info["features"], json!(["layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten"]));
    let snaps = cluster.rbd_json(&["snap", "ls", &format!("images/{name}")]);
    let snaps: Vec<_> = snaps.as_array().expect("a list").iter().collect();
    assert_eq!(snaps.len(), 1);
    assert_eq!((&snaps[0]["name"], &snaps[0]["size"]), (&json!("snap"), &json!(20_000_001)));
    assert_eq!(snaps[0]["protected"], json!("true"));
    let exported = cluster.folder.join(format!("{name}.raw"));
    cluster.rbd(&["export", "--no-progress", &format!("images/{name}@snap"), exported.to_str().expect("UTF-8")]);
    assert!(std::fs::read(&exported).expect("exported") == data, "other bytes in the pool");
    std::fs::remove_file(exported).expect("removed");

    store.delete(&permit(), &url).await.expect("deleted");
    assert!(!cluster.rbd(&["ls", "images"]).contains(&name));
    assert!(!cluster.rbd(&["trash", "ls", "images"]).contains(&name));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_size_ends_exact() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let (store, name, data) = (cluster.store(), name(), noise((40 << 20) + 12_345));
    let url = put(&store, &name, &data, None).await;
    assert_eq!(cluster.rbd_json(&["info", &format!("images/{name}")])["size"], json!(data.len()));
    assert!(get(&store, &url).await == data);
    store.delete(&permit(), &url).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn zeros_are_not_written_when_thin() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let mut data = vec![0_u8; 48 << 20];
    data[20 << 20..(20 << 20) + 5].copy_from_slice(b"bytes");
    let data = data.into();
    for thin in [true, false] {
        let store = RbdStore::new(RbdConfig { thin_provisioning: thin, ..cluster.config() });
        let name = name();
        let url = put(&store, &name, &data, Some(48 << 20)).await;
        assert_eq!(used(&cluster, &name), if thin { 8 << 20 } else { 48 << 20 });
        assert!(get(&store, &url).await == data);
        store.delete(&permit(), &url).await.expect("deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_go_to_the_data_pool() {
    let Some(cluster) = cluster("ceph-c") else { return };
    let _turn = shared().await;
    let store = RbdStore::new(RbdConfig { data_pool: Some("images-data".into()), ..cluster.config() });
    let (name, data) = (name(), noise(30_000_000));
    let url = put(&store, &name, &data, None).await;
    let info = cluster.rbd_json(&["info", &format!("images/{name}")]);
    assert_eq!(info["data_pool"], json!("images-data"));
    assert!(get(&store, &url).await == data);
    store.delete(&permit(), &url).await.expect("deleted");
}

/// Nova writes a direct snapshot into the pool itself: order and features are those of its disk.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_another_wrote_is_read_and_deleted() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let (store, name, data) = (cluster.store(), name(), noise(9_000_000));
    let (image, file) = (format!("images/{name}"), cluster.folder.join(format!("{name}.raw")));
    std::fs::write(&file, &data).expect("written");
    let import = ["import", "--no-progress", "--object-size", "4M", "--image-feature", "layering"];
    cluster.rbd(&[&import[..], &[file.to_str().expect("UTF-8"), &image]].concat());
    std::fs::remove_file(file).expect("removed");

    let found = |objects: Vec<fanlight::store::Object>| objects.into_iter().find(|o| o.name == name);
    let partial = found(store.list().await.expect("listed")).expect("there");
    assert!(partial.partial, "without its snapshot it is not whole");
    store.open(&partial.url).await.err().expect("no snapshot");
    let old_form = format!("rbd://{name}");
    assert!(get(&store, &old_form).await == data, "the old form reads the image itself");

    cluster.rbd(&["snap", "create", "--no-progress", &format!("{image}@snap")]);
    let whole = found(store.list().await.expect("listed")).expect("there");
    assert_eq!((whole.partial, whole.size), (false, 9_000_000));
    assert!(get(&store, &whole.url).await == data);
    store.delete(&permit(), &whole.url).await.expect("its snapshot is not protected");
    assert!(!cluster.rbd(&["ls", "images"]).contains(&name));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_image_goes_with_what_its_map_does_not_know() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let (store, name) = (cluster.store(), name());
    let mut writer = store.create(&permit(), &name, Some(64 << 20)).await.expect("create");
    writer.write(noise(9 << 20)).await.expect("write");
    writer.sync().await.expect("sync");
    drop(writer);
    // As a write leaves it that was answered too late.
    let info = cluster.rbd_json(&["info", &format!("images/{name}")]);
    let prefix = info["block_name_prefix"].as_str().expect("text").to_owned();
    let object = format!("{prefix}.0000000000000005");
    cluster.control("exec", &["rados", "-p", "images", "put", &object, "/etc/hostname"]);
    store.discard(&permit(), &name).await.expect("discarded");
    let left = cluster.control("exec", &["rados", "-p", "images", "ls"]);
    assert!(!left.contains(&prefix), "left behind: {left}");
}
