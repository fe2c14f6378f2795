//! The file store: layout on disk, and what only a file system can do to it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use bytes::Bytes;
use fanlight::{
    authz::Permit,
    store::{FileStore, Store, StoreErrorKind},
};

fn permit() -> Permit {
    Permit::system("test")
}

async fn store(folder: &Path) -> FileStore {
    let store = FileStore::new(folder).expect("a good path");
    store.probe().await.expect("the folder can be made");
    store
}

async fn put(store: &FileStore, name: &str, data: &'static [u8]) -> String {
    let mut writer = store.create(&permit(), name, None).await.expect("create");
    writer.write(Bytes::from_static(data)).await.expect("write");
    writer.finish().await.expect("finish")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<_> = entries.map(|e| e.expect("readable").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn conformance() {
    let dir = tempfile::tempdir().expect("a folder");
    super::conforms(&store(&dir.path().join("deep/er")).await).await;
    assert_eq!(names(&dir.path().join("deep/er")), [""; 0], "the suite cleans up");
}

#[tokio::test(flavor = "multi_thread")]
async fn conformance_in_a_folder_with_odd_characters() {
    let dir = tempfile::tempdir().expect("a folder");
    super::conforms(&store(&dir.path().join("a %41 b#?ä")).await).await;
}

#[tokio::test]
async fn layout_is_that_of_glance_store() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("images");
    let store = store(&folder).await;
    let mut writer = store.create(&permit(), "one", None).await.expect("create");
    writer.write(Bytes::from_static(b"data")).await.expect("write");
    assert_eq!(names(&folder), [".one.partial"]);
    let url = writer.finish().await.expect("finish");
    assert_eq!(names(&folder), ["one"]);
    assert_eq!(url, format!("file://{}/one", folder.display()));
    assert_eq!(fs::read(folder.join("one")).expect("readable"), b"data");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("one")) & !0o640, 0, "nobody else reads the object");
}

#[tokio::test]
async fn a_link_is_not_followed() {
    let dir = tempfile::tempdir().expect("a folder");
    let secret = dir.path().join("secret");
    fs::write(&secret, "secret").expect("written");
    let folder = dir.path().join("images");
    let store = store(&folder).await;
    symlink(&secret, folder.join("link")).expect("linked");
    fs::create_dir(folder.join("folder")).expect("made");
    let url = |name: &str| format!("file://{}/{name}", folder.display());
    assert!(store.open(&url("link")).await.is_err());
    assert!(store.open(&url("folder")).await.is_err());
    assert!(store.list().await.expect("listed").is_empty());
    let over = store.create(&permit(), "link", None).await.err().expect("refused");
    assert_eq!(over.kind, StoreErrorKind::AlreadyExists);
    store.delete(&permit(), &url("link")).await.expect("the link goes");
    assert_eq!(fs::read(&secret).expect("kept"), b"secret");
}

#[tokio::test]
async fn a_shrunk_object_is_an_error_never_silence() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = store(dir.path()).await;
    let url = put(&store, "one", &[7; 10_000]).await;
    let mut reader = store.open(&url).await.expect("open");
    fs::OpenOptions::new().write(true).open(dir.path().join("one")).expect("there").set_len(5000).expect("cut");
    assert_eq!(reader.read_at(0, 4096).await.expect("still there").len(), 4096);
    let error = reader.read_at(4096, 4096).await.expect_err("bytes are missing");
    assert_eq!(error.kind, StoreErrorKind::Unexpected);
    assert!(reader.read_at(9000, 10).await.is_err());
}

#[tokio::test]
async fn a_deleted_object_is_read_to_its_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = store(dir.path()).await;
    let url = put(&store, "one", &[7; 10_000]).await;
    let mut reader = store.open(&url).await.expect("open");
    store.delete(&permit(), &url).await.expect("deleted");
    assert_eq!(reader.read_at(0, 20_000).await.expect("the open file lives on").len(), 10_000);
}

#[tokio::test]
async fn a_vanished_folder_is_a_fault_and_is_not_made_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("images");
    let store = store(&folder).await;
    fs::remove_dir(&folder).expect("empty");
    let error = store.create(&permit(), "one", None).await.err().expect("no folder");
    assert_eq!((error.kind, error.temporary), (StoreErrorKind::Unavailable, true));
    assert!(store.probe().await.is_err());
    assert!(!folder.exists());
}

#[tokio::test]
async fn an_object_that_appears_meanwhile_is_not_overwritten() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = store(dir.path()).await;
    let writer = store.create(&permit(), "one", None).await.expect("create");
    fs::write(dir.path().join("one"), "other").expect("written");
    let error = writer.finish().await.expect_err("the name is taken");
    assert_eq!(error.kind, StoreErrorKind::AlreadyExists);
    assert_eq!(fs::read(dir.path().join("one")).expect("kept"), b"other");
}

#[tokio::test]
async fn other_files_in_the_folder_are_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = store(dir.path()).await;
    for name in [".hidden", "with space", "lost+found"] {
        fs::write(dir.path().join(name), "x").expect("written");
    }
    assert!(store.list().await.expect("listed").is_empty());
}
