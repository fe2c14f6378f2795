//! What every byte of an image goes through: hashes, inspection, the file store.

use std::path::Path;

use bytes::Bytes;
use divan::{Bencher, black_box, counter::BytesCount};
use fanlight::{
    authz::Permit,
    config::Images,
    digest::Digester,
    format::Inspector,
    store::{FileStore, Store},
};
use tokio::runtime::Runtime;

/// Bytes of the streams.
const SIZE: usize = 256 << 20;
/// Bytes of a chunk, as an HTTP server hands them over.
const CHUNK: usize = 64 << 10;
/// Bytes of a read, as a download asks for them.
const READ: usize = 256 << 10;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads")
}

fn chunks() -> impl Iterator<Item = Bytes> {
    let data = Bytes::from(vec![0x5a; CHUNK]);
    (0..SIZE / CHUNK).map(move |_| data.clone())
}

#[divan::bench(args = ["md5", "sha1", "sha256", "sha512"], sample_count = 5, sample_size = 1)]
fn md5_and(bencher: Bencher<'_, '_>, algorithm: &str) {
    let runtime = runtime();
    bencher.counter(BytesCount::new(SIZE)).bench_local(|| {
        runtime.block_on(async {
            let mut digester = Digester::start(algorithm).expect("known");
            for chunk in chunks() {
                digester.update(chunk).await;
            }
            digester.finish().await.expect("threads live")
        })
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn inspect_raw(bencher: Bencher<'_, '_>) {
    bencher.counter(BytesCount::new(SIZE)).bench_local(|| {
        let mut inspector = Inspector::new(Some("raw"), Some("bare"), &Images::default());
        chunks().for_each(|chunk| inspector.feed(&chunk));
        inspector.finish(SIZE as u64)
    });
}

async fn put(store: &FileStore, permit: &Permit, name: &str) -> String {
    let mut writer = store.create(permit, name, Some(SIZE as u64)).await.expect("create");
    for chunk in chunks() {
        writer.write(chunk).await.expect("write");
    }
    writer.finish().await.expect("finish")
}

fn open(folder: &Path) -> FileStore {
    FileStore::new(folder).expect("a good path")
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn file_put(bencher: Bencher<'_, '_>) {
    let (runtime, dir, permit) = (runtime(), tempfile::tempdir().expect("a folder"), Permit::system("bench"));
    let store = open(dir.path());
    bencher.counter(BytesCount::new(SIZE)).bench_local(|| {
        runtime.block_on(async {
            let url = put(&store, &permit, "one").await;
            store.delete(&permit, &url).await.expect("delete");
        });
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn file_put_with_hashes_and_inspection(bencher: Bencher<'_, '_>) {
    let (runtime, dir, permit) = (runtime(), tempfile::tempdir().expect("a folder"), Permit::system("bench"));
    let store = open(dir.path());
    bencher.counter(BytesCount::new(SIZE)).bench_local(|| {
        runtime.block_on(async {
            let mut digester = Digester::start("sha512").expect("known");
            let mut inspector = Inspector::new(Some("raw"), Some("bare"), &Images::default());
            let mut writer = store.create(&permit, "one", Some(SIZE as u64)).await.expect("create");
            for chunk in chunks() {
                inspector.feed(&chunk);
                digester.update(chunk.clone()).await;
                writer.write(chunk).await.expect("write");
            }
            let digests = digester.finish().await.expect("threads live");
            let url = writer.finish().await.expect("finish");
            store.delete(&permit, &url).await.expect("delete");
            digests
        })
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn file_get(bencher: Bencher<'_, '_>) {
    let (runtime, dir, permit) = (runtime(), tempfile::tempdir().expect("a folder"), Permit::system("bench"));
    let store = open(dir.path());
    let url = runtime.block_on(put(&store, &permit, "one"));
    bencher.counter(BytesCount::new(SIZE)).bench_local(|| {
        runtime.block_on(async {
            let mut reader = store.open(&url).await.expect("open");
            let mut offset = 0;
            while offset < SIZE as u64 {
                let data = reader.read_at(offset, READ).await.expect("read");
                offset += data.len() as u64;
                black_box(data);
            }
        });
    });
}
