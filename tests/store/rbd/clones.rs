//! Clones, deletions under a reader, and other clients on the same image.

use std::time::{Duration, Instant};

use fanlight::store::{RbdStore, Store, StoreErrorKind};

use super::{Cluster, cluster, eventually, get, name, noise, permit, put, shared};

fn clone(cluster: &Cluster, image: &str, format: &str) -> String {
    let child = format!("vms/{image}_disk");
    let parent = format!("images/{image}@snap");
    cluster.rbd(&["clone", "--rbd-default-clone-format", format, &parent, &child]);
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_of_format_1_keeps_the_image_as_it_is() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let (store, name, data) = (cluster.store(), name(), noise(1_000_000));
    let url = put(&store, &name, &data, None).await;
    assert!(!store.in_use(&url).await.expect("asked"));
    let child = clone(&cluster, &name, "1");
    assert!(store.in_use(&url).await.expect("asked"));
    let before = cluster.rbd(&["snap", "ls", &format!("images/{name}")]);
    let error = store.delete(&permit(), &url).await.expect_err("in use");
    assert_eq!((error.kind, error.temporary), (StoreErrorKind::InUse, true));
    assert_eq!(cluster.rbd(&["snap", "ls", &format!("images/{name}")]), before);
    assert!(get(&store, &url).await == data);
    cluster.rbd(&["rm", "--no-progress", &child]);
    assert!(!store.in_use(&url).await.expect("asked"));
    store.delete(&permit(), &url).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_of_format_2_lets_the_image_go_and_keeps_its_data() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let (store, name, data) = (cluster.store(), name(), noise(1_000_000));
    let url = put(&store, &name, &data, None).await;
    let child = clone(&cluster, &name, "2");
    assert!(!store.in_use(&url).await.expect("asked"), "it does not keep the image from being deleted");
    for _ in 0..2 {
        let error = store.delete(&permit(), &url).await.expect_err("the data are needed");
        assert_eq!((error.kind, error.temporary), (StoreErrorKind::InUse, true));
        assert_eq!(store.open(&url).await.err().expect("gone").kind, StoreErrorKind::NotFound);
        assert!(store.list().await.expect("listed").iter().all(|o| o.name != name));
        assert!(cluster.rbd(&["trash", "ls", "images"]).contains(&name));
    }
    let file = cluster.folder.join(&name);
    cluster.rbd(&["export", "--no-progress", &child, file.to_str().expect("UTF-8")]);
    assert!(std::fs::read(&file).expect("exported") == data, "the clone is whole");
    std::fs::remove_file(file).expect("removed");
    cluster.rbd(&["rm", "--no-progress", &child]);
    store.delete(&permit(), &url).await.expect("nobody needs it any more");
    assert!(!cluster.rbd(&["trash", "ls", "images"]).contains(&name));
    let error = store.delete(&permit(), &url).await.expect_err("gone");
    assert_eq!(error.kind, StoreErrorKind::NotFound);
}

/// librbd gives zeros to a reader whose image was deleted.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_notices_that_its_image_is_deleted() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let (store, other) = (cluster.store(), cluster.store());
    for size in [100 << 20, 9 << 20] {
        let (name, data) = (name(), noise(size));
        let url = put(&store, &name, &data, Some(size as u64)).await;
        let mut reader = store.open(&url).await.expect("open");
        let mut offset = reader.read_at(0, 512 << 10).await.expect("read").len();
        other.delete(&permit(), &url).await.expect("deleted");
        let error = loop {
            match reader.read_at(offset as u64, 512 << 10).await {
                Ok(part) => {
                    assert!(part == data[offset..offset + part.len()], "other bytes at {offset}");
                    offset += part.len();
                    assert!(offset < size, "the whole image was read after it was deleted");
                }
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind, StoreErrorKind::NotFound, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zeros_of_an_image_that_is_there_are_read() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let (store, name) = (cluster.store(), name());
    let data = vec![0_u8; 60 << 20].into();
    let url = put(&store, &name, &data, None).await;
    assert!(get(&store, &url).await == data);
    store.delete(&permit(), &url).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_open_elsewhere_stays_readable() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let (store, name, data) = (cluster.store(), name(), noise(100_000));
    let url = put(&store, &name, &data, None).await;
    let mut child = open_elsewhere(&cluster, &name).await;
    let error = store.delete(&permit(), &url).await.expect_err("open elsewhere");
    assert_eq!((error.kind, error.temporary), (StoreErrorKind::InUse, true), "{error}");
    assert!(get(&store, &url).await == data, "it has its snapshot");
    child.kill().expect("killed");
    child.wait().expect("ended");
    // A client that was killed counts for up to half a minute.
    let mut tries = 0;
    while let Err(error) = store.delete(&permit(), &url).await {
        assert_eq!(error.kind, StoreErrorKind::InUse, "{error}");
        tries += 1;
        assert!(tries < 120, "the client still counts");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A gateway was killed while it copied; the cluster still takes it for alive, with the image's lock in its hand.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_taken_up_again_although_its_writer_was_killed() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let (store, name, data) = (cluster.store(), name(), noise(20_000_000));
    let mut writer = store.create(&permit(), &name, Some(20_000_000)).await.expect("create");
    writer.write(data.slice(..10_000_000)).await.expect("write");
    assert_eq!(writer.sync().await.expect("safe"), 10_000_000);
    drop(writer);
    let mut child = open_elsewhere(&cluster, &name).await;
    child.kill().expect("killed");
    child.wait().expect("ended");
    let begun = Instant::now();
    let mut writer = loop {
        match store.resume(&permit(), &name, 20_000_000, 0).await {
            Ok(writer) => break writer,
            Err(error) => assert!(error.temporary && begun.elapsed() < Duration::from_secs(90), "{error}"),
        }
    };
    eprintln!("taken up again after {:?}", begun.elapsed());
    writer.write(data.clone()).await.expect("write");
    let url = writer.finish().await.expect("finish");
    assert!(get(&store, &url).await == data);
    store.delete(&permit(), &url).await.expect("deleted");
}

/// Another client that writes into the image.
async fn open_elsewhere(cluster: &Cluster, name: &str) -> std::process::Child {
    let conf = cluster.folder.join(cluster.name).join("ceph.conf");
    let image = format!("images/{name}");
    let child = std::process::Command::new("rbd")
        .args(["-c", conf.to_str().expect("UTF-8"), "bench", "--io-type", "write", "--io-total", "100G"])
        .args(["--io-size", "4K", "--io-threads", "1", &image])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("rbd runs");
    eventually("it is open elsewhere", || cluster.rbd(&["status", &image]).contains("watcher=")).await;
    child
}

/// A gateway that lost its lease goes on writing while another one has begun again.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_abort_does_not_remove_what_took_its_place() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let (store, name, data) = (cluster.store(), name(), noise(10_000_000));
    let mut late = store.create(&permit(), &name, None).await.expect("create");
    late.write(data.slice(..100)).await.expect("write");
    store.discard(&permit(), &name).await.expect("discarded");
    let url = put(&store, &name, &data, None).await;
    late.abort().await.expect("nothing of it is left");
    assert!(get(&store, &url).await == data);
    store.delete(&permit(), &url).await.expect("deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_in_one_pool_know_it_before_they_connect() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let identity = |store: &RbdStore| store.identity().expect("ceph.conf says the id");
    assert_eq!(identity(&cluster.store()), identity(&cluster.store()));
    let url = "rbd://00000000-0000-0000-0000-000000000001/images/a/snap";
    assert_eq!(cluster.store().name_of(url).expect_err("another cluster").kind, StoreErrorKind::BadUrl);
}
