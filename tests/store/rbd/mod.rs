//! The store in Ceph, on real clusters: `FANLIGHT_TEST_CEPH` names the folder in which `tests/services/ceph` made
//! them. Without it these tests say that they were not run.

mod clones;
mod faults;
mod layout;
mod within;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use fanlight::{
    authz::Permit,
    config::RbdConfig,
    store::{RbdStore, Store},
};
use serde_json::Value;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// A cluster that `tests/services/ceph` made.
struct Cluster {
    folder: PathBuf,
    name: &'static str,
}

/// The cluster, unless none are there.
fn cluster(name: &'static str) -> Option<Cluster> {
    let Some(folder) = std::env::var_os("FANLIGHT_TEST_CEPH").map(PathBuf::from) else {
        eprintln!("NOT RUN: FANLIGHT_TEST_CEPH is not set");
        return None;
    };
    let cluster = Cluster { folder, name };
    assert!(cluster.conf().exists(), "{} is not there", cluster.conf().display());
    Some(cluster)
}

/// Tests that hurt a cluster have it for themselves.
fn turns() -> Arc<RwLock<()>> {
    static TURNS: std::sync::LazyLock<Arc<RwLock<()>>> = std::sync::LazyLock::new(Arc::default);
    Arc::clone(&TURNS)
}

async fn shared() -> OwnedRwLockReadGuard<()> {
    turns().read_owned().await
}

async fn alone() -> OwnedRwLockWriteGuard<()> {
    turns().write_owned().await
}

impl Cluster {
    fn conf(&self) -> PathBuf {
        self.folder.join(self.name).join("ceph.conf")
    }

    fn config(&self) -> RbdConfig {
        RbdConfig {
            pool: "images".into(),
            user: "glance".into(),
            conf: self.conf(),
            keyring: None,
            data_pool: None,
            chunk_size_mib: 8,
            thin_provisioning: false,
            timeout_s: 15,
            in_flight: 4,
        }
    }

    fn store(&self) -> RbdStore {
        RbdStore::new(self.config())
    }

    /// A sub-command of `tests/services/ceph`.
    fn control(&self, command: &str, args: &[&str]) -> String {
        let script = std::env::var_os("FANLIGHT_TEST_CEPH_CTL")
            .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/ceph").into());
        let output = Command::new(script).arg(command).arg(&self.folder).arg(self.name).args(args).output();
        let output = output.expect("the script runs");
        assert!(output.status.success(), "{command} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// `rbd …` as the administrator.
    fn rbd(&self, args: &[&str]) -> String {
        self.control("exec", &[&["rbd"], args].concat())
    }

    fn rbd_json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.rbd(&[args, &["--format", "json"]].concat())).expect("JSON")
    }
}

fn permit() -> Permit {
    Permit::system("test")
}

fn name() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Bytes without a page of zeros.
fn noise(len: usize) -> Bytes {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut data = Vec::with_capacity(len + 8);
    while data.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        data.extend(state.to_le_bytes());
    }
    data.truncate(len);
    data.into()
}

async fn put(store: &dyn Store, name: &str, data: &Bytes, size: Option<u64>) -> String {
    let mut writer = store.create(&permit(), name, size).await.expect("create");
    for part in data.chunks(3 << 20) {
        writer.write(data.slice_ref(part)).await.expect("write");
    }
    writer.finish().await.expect("finish")
}

async fn get(store: &dyn Store, url: &str) -> Bytes {
    let mut reader = store.open(url).await.expect("open");
    let mut data = Vec::new();
    while (data.len() as u64) < reader.size() {
        data.extend_from_slice(&reader.read_at(data.len() as u64, 512 << 10).await.expect("read"));
    }
    data.into()
}

/// Threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("Linux").count()
}

/// Waits until `holds`.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..300 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn conformance() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    super::conforms(&cluster.store()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conformance_with_small_chunks_and_thin() {
    let Some(cluster) = cluster("ceph-a") else { return };
    let _turn = shared().await;
    let config =
        RbdConfig { chunk_size_mib: 1, thin_provisioning: true, in_flight: 1, timeout_s: 30, ..cluster.config() };
    super::conforms(&RbdStore::new(config)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conformance_with_erasure_coded_data() {
    let Some(cluster) = cluster("ceph-c") else { return };
    let _turn = shared().await;
    let config = RbdConfig { data_pool: Some("images-data".into()), ..cluster.config() };
    super::conforms(&RbdStore::new(config)).await;
}
