//! What every back end must do, as functions over `&dyn Store`: a back end is done when [`run`] finds nothing.
//!
//! Runs against a real store: it uses names of its own and removes what it made.

use bytes::Bytes;
use uuid::Uuid;

use super::{Object, Reader, Store, StoreError, StoreErrorKind, Writer};
use crate::authz::Permit;

/// A check that did not hold, in words.
pub type Outcome = Result<(), String>;

/// A name of its own, and the store.
struct Case<'a> {
    store: &'a dyn Store,
    permit: &'a Permit,
    name: String,
}

/// Runs every check; gives the name of each with its outcome.
pub async fn run(store: &dyn Store, permit: &Permit) -> Vec<(&'static str, Outcome)> {
    let mut results = Vec::new();
    macro_rules! checks {
        ($($check:ident),* $(,)?) => {$(
            let case = Case { store, permit, name: Uuid::new_v4().to_string() };
            let outcome = case.$check().await;
            let cleaned = store.discard(permit, &case.name).await.map_err(|e| format!("clean up: {e}"));
            results.push((stringify!($check), outcome.and(cleaned)));
        )*};
    }
    checks!(
        probe_gives_room,
        written_is_read,
        empty_object,
        many_small_chunks,
        large_chunks,
        ranges,
        sequential_reads,
        several_readers,
        not_visible_before_finish,
        abort_leaves_nothing,
        dropped_write_is_discarded,
        discard_of_nothing,
        discard_of_finished,
        discard_beats_a_late_finish,
        existing_object_is_kept,
        write_in_progress_is_kept,
        resumed_write,
        resume_of_nothing,
        delete_removes,
        unknown_object,
        inventory,
        declared_size_is_no_promise,
        too_large_is_refused,
        bad_names,
        bad_urls,
        names_of_urls,
    );
    results
}

/// Bytes that differ at every offset that a mix-up of blocks would produce.
fn pattern(len: usize) -> Bytes {
    (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)).to_le_bytes().into_iter().next().unwrap_or_default()).collect()
}

fn ensure(holds: bool, text: impl Into<String>) -> Outcome {
    if holds { Ok(()) } else { Err(text.into()) }
}

fn fails<T>(result: Result<T, StoreError>, kind: StoreErrorKind, what: &str) -> Outcome {
    match result {
        Err(e) if e.kind == kind => Ok(()),
        Err(e) => Err(format!("{what}: expected {kind:?}, got {:?}: {e}", e.kind)),
        Ok(_) => Err(format!("{what}: expected {kind:?}, got success")),
    }
}

fn text(what: &'static str) -> impl Fn(StoreError) -> String {
    move |e| format!("{what}: {:?}: {e}", e.kind)
}

impl Case<'_> {
    async fn begin(&self, size: Option<u64>) -> Result<Box<dyn Writer>, String> {
        self.store.create(self.permit, &self.name, size).await.map_err(text("create"))
    }

    async fn put(&self, data: &Bytes, chunk: usize) -> Result<String, String> {
        let mut writer = self.begin(Some(data.len() as u64)).await?;
        let mut rest = data.clone();
        while !rest.is_empty() {
            let part = rest.split_to(chunk.min(rest.len()));
            writer.write(part).await.map_err(text("write"))?;
        }
        writer.finish().await.map_err(text("finish"))
    }

    async fn open(&self, url: &str) -> Result<Box<dyn Reader>, String> {
        self.store.open(url).await.map_err(text("open"))
    }

    async fn same(&self, url: &str, data: &Bytes, len: usize) -> Outcome {
        let mut reader = self.open(url).await?;
        ensure(reader.size() == data.len() as u64, format!("size is {}, not {}", reader.size(), data.len()))?;
        let mut offset = 0;
        while offset < data.len() {
            let got = reader.read_at(offset as u64, len).await.map_err(text("read"))?;
            let want = data.slice(offset..data.len().min(offset.saturating_add(len)));
            ensure(got == want, format!("other bytes at {offset}"))?;
            offset = offset.saturating_add(got.len());
        }
        let end = reader.read_at(data.len() as u64, len).await.map_err(text("read at the end"))?;
        ensure(end.is_empty(), "bytes after the end")
    }

    async fn listed(&self) -> Result<Vec<Object>, String> {
        let all = self.store.list().await.map_err(text("list"))?;
        Ok(all.into_iter().filter(|o| o.name == self.name).collect())
    }

    async fn gone(&self, what: &str) -> Outcome {
        let left = self.listed().await?;
        ensure(left.is_empty(), format!("{what}: left behind: {left:?}"))
    }

    async fn probe_gives_room(&self) -> Outcome {
        let room = self.store.probe().await.map_err(text("probe"))?;
        ensure(room.total > 0 && room.free <= room.total, format!("room makes no sense: {room:?}"))
    }

    async fn written_is_read(&self) -> Outcome {
        let data = pattern(100_000);
        let url = self.put(&data, 8192).await?;
        ensure(url.contains(&self.name), format!("the URL `{url}` does not name the object"))?;
        self.same(&url, &data, 65_536).await
    }

    async fn empty_object(&self) -> Outcome {
        let url = self.put(&Bytes::new(), 1).await?;
        self.same(&url, &Bytes::new(), 4096).await
    }

    async fn many_small_chunks(&self) -> Outcome {
        let data = pattern(30_011);
        let url = self.put(&data, 7).await?;
        self.same(&url, &data, 10_000).await
    }

    async fn large_chunks(&self) -> Outcome {
        let data = pattern(9 * 1024 * 1024 + 13);
        let url = self.put(&data, 4 * 1024 * 1024 + 1).await?;
        self.same(&url, &data, 2 * 1024 * 1024 + 3).await
    }

    async fn ranges(&self) -> Outcome {
        let data = pattern(3_000_000);
        let url = self.put(&data, 1 << 20).await?;
        let mut reader = self.open(&url).await?;
        for (offset, len) in
            [(2_999_999_usize, 1), (0, 1), (1_000_000, 500_000), (1_500_000, 10), (17, 100), (2_999_990, 100)]
        {
            let got = reader.read_at(offset as u64, len).await.map_err(text("read"))?;
            let want = data.slice(offset..data.len().min(offset.saturating_add(len)));
            ensure(got == want, format!("other bytes in the range {offset}+{len}"))?;
        }
        let past = reader.read_at(u64::MAX, usize::MAX).await.map_err(text("read past the end"))?;
        ensure(past.is_empty(), "bytes far after the end")
    }

    async fn sequential_reads(&self) -> Outcome {
        let data = pattern(2_500_001);
        let url = self.put(&data, 1 << 20).await?;
        self.same(&url, &data, 262_144).await?;
        // The length changes while blocks are read ahead.
        let mut reader = self.open(&url).await?;
        let mut offset = 0_usize;
        for len in [1000, 1000, 10, 100_000, 50_000, 1, 1_000_000, 1_000_000, 1_000_000] {
            let got = reader.read_at(offset as u64, len).await.map_err(text("read"))?;
            let want = data.slice(offset..data.len().min(offset.saturating_add(len)));
            ensure(got == want, format!("other bytes at {offset}+{len}"))?;
            offset = offset.saturating_add(got.len());
        }
        ensure(offset == data.len(), "the reads did not cover the object")
    }

    async fn several_readers(&self) -> Outcome {
        let data = pattern(1_000_000);
        let url = self.put(&data, 1 << 20).await?;
        let reads = (0..8).map(|i| self.same(&url, &data, 50_000 + i * 1000));
        futures_util::future::try_join_all(reads).await.map(drop)
    }

    async fn not_visible_before_finish(&self) -> Outcome {
        let data = pattern(5000);
        let url = self.put(&data, 5000).await?;
        self.store.delete(self.permit, &url).await.map_err(text("delete"))?;
        let mut writer = self.begin(None).await?;
        writer.write(data).await.map_err(text("write"))?;
        fails(self.store.open(&url).await, StoreErrorKind::NotFound, "open before finish")?;
        let listed = self.listed().await?;
        ensure(listed.iter().all(|o| o.partial), format!("listed as finished: {listed:?}"))?;
        writer.finish().await.map_err(text("finish")).map(drop)
    }

    async fn abort_leaves_nothing(&self) -> Outcome {
        let mut writer = self.begin(None).await?;
        writer.write(pattern(3 << 20)).await.map_err(text("write"))?;
        writer.abort().await.map_err(text("abort"))?;
        self.gone("abort").await?;
        let data = pattern(10);
        let url = self.put(&data, 10).await?;
        self.same(&url, &data, 10).await
    }

    async fn dropped_write_is_discarded(&self) -> Outcome {
        let mut writer = self.begin(None).await?;
        writer.write(pattern(2 << 20)).await.map_err(text("write"))?;
        drop(writer);
        self.store.discard(self.permit, &self.name).await.map_err(text("discard"))?;
        self.gone("discard").await?;
        self.put(&pattern(10), 10).await.map(drop)
    }

    async fn discard_of_nothing(&self) -> Outcome {
        self.store.discard(self.permit, &self.name).await.map_err(text("discard"))?;
        self.store.discard(self.permit, &self.name).await.map_err(text("discard again"))
    }

    async fn discard_of_finished(&self) -> Outcome {
        let url = self.put(&pattern(10), 10).await?;
        self.store.discard(self.permit, &self.name).await.map_err(text("discard"))?;
        fails(self.store.open(&url).await, StoreErrorKind::NotFound, "open")?;
        self.gone("discard").await
    }

    /// A writer that was believed dead must not publish, nor disturb the write that took its place.
    async fn discard_beats_a_late_finish(&self) -> Outcome {
        let late = self.begin(None).await?;
        let later = self.begin_over(late).await?;
        let data = pattern(20_000);
        let mut writer = self.begin(None).await?;
        writer.write(data.clone()).await.map_err(text("write"))?;
        ensure(later.finish().await.is_err(), "a discarded write was published")?;
        let url = writer.finish().await.map_err(text("finish of the new write"))?;
        self.same(&url, &data, 20_000).await
    }

    async fn begin_over(&self, mut late: Box<dyn Writer>) -> Result<Box<dyn Writer>, String> {
        late.write(pattern(10)).await.map_err(text("write"))?;
        self.store.discard(self.permit, &self.name).await.map_err(text("discard"))?;
        Ok(late)
    }

    async fn existing_object_is_kept(&self) -> Outcome {
        let data = pattern(4000);
        let url = self.put(&data, 4000).await?;
        fails(
            self.store.create(self.permit, &self.name, None).await,
            StoreErrorKind::AlreadyExists,
            "create over an object",
        )?;
        self.same(&url, &data, 4000).await
    }

    async fn write_in_progress_is_kept(&self) -> Outcome {
        let data = pattern(4000);
        let mut writer = self.begin(None).await?;
        writer.write(data.clone()).await.map_err(text("write"))?;
        let second = self.store.create(self.permit, &self.name, None).await;
        fails(second, StoreErrorKind::InUse, "create beside a write")?;
        let url = writer.finish().await.map_err(text("finish"))?;
        self.same(&url, &data, 4000).await
    }

    async fn resumed_write(&self) -> Outcome {
        let data = pattern(3_000_003);
        let total = data.len() as u64;
        let mut writer = self.begin(Some(total)).await?;
        writer.write(data.slice(..1_000_001)).await.map_err(text("write"))?;
        let safe = writer.sync().await.map_err(text("sync"))?;
        ensure(safe == 1_000_001, format!("{safe} bytes safe of 1000001"))?;
        writer.write(data.slice(1_000_001..2_000_000)).await.map_err(text("write on"))?;
        drop(writer);

        let mut writer = self.store.resume(self.permit, &self.name, total, safe).await.map_err(text("resume"))?;
        let back = writer.read_back(500_000, 500_001).await.map_err(text("read back"))?;
        ensure(back == data.slice(500_000..1_000_001), "other bytes read back")?;
        for part in [1_000_001..1_000_002, 1_000_002..2_500_000, 2_500_000..3_000_003] {
            writer.write(data.slice(part)).await.map_err(text("write after resume"))?;
        }
        let safe = writer.sync().await.map_err(text("sync after resume"))?;
        ensure(safe == total, format!("{safe} bytes safe of {total}"))?;
        let url = writer.finish().await.map_err(text("finish"))?;
        self.same(&url, &data, 1 << 20).await
    }

    async fn resume_of_nothing(&self) -> Outcome {
        let nothing = self.store.resume(self.permit, &self.name, 10, 0).await;
        fails(nothing, StoreErrorKind::NotFound, "resume of nothing")
    }

    async fn names_of_urls(&self) -> Outcome {
        let url = self.put(&pattern(10), 10).await?;
        let name = self.store.name_of(&url).map_err(text("name_of"))?;
        ensure(name == self.name, format!("the name of `{url}` is `{name}`"))?;
        fails(self.store.name_of("http://127.0.0.1/x"), StoreErrorKind::BadUrl, "name of a foreign URL")?;
        let used = self.store.in_use(&url).await.map_err(text("in_use"))?;
        ensure(!used, "an object that nobody uses is in use")
    }

    async fn delete_removes(&self) -> Outcome {
        let url = self.put(&pattern(10), 10).await?;
        self.store.delete(self.permit, &url).await.map_err(text("delete"))?;
        fails(self.store.open(&url).await, StoreErrorKind::NotFound, "open")?;
        fails(self.store.delete(self.permit, &url).await, StoreErrorKind::NotFound, "delete again")?;
        self.gone("delete").await
    }

    async fn unknown_object(&self) -> Outcome {
        let url = self.put(&pattern(10), 10).await?;
        let other = url.replace(&self.name, &Uuid::new_v4().to_string());
        fails(self.store.open(&other).await, StoreErrorKind::NotFound, "open")?;
        fails(self.store.delete(self.permit, &other).await, StoreErrorKind::NotFound, "delete")
    }

    async fn inventory(&self) -> Outcome {
        let url = self.put(&pattern(1234), 100).await?;
        let listed = self.listed().await?;
        let modified = listed.first().and_then(|object| object.modified);
        let want = Object { name: self.name.clone(), url, size: 1234, partial: false, modified };
        ensure(listed == [want], format!("listed as {listed:?}"))
    }

    /// A store keeps what came; who declared the size compares it.
    async fn declared_size_is_no_promise(&self) -> Outcome {
        let data = pattern(100);
        let mut writer = self.begin(Some(1000)).await?;
        writer.write(data.clone()).await.map_err(text("write"))?;
        let url = writer.finish().await.map_err(text("finish"))?;
        self.same(&url, &data, 100).await
    }

    async fn too_large_is_refused(&self) -> Outcome {
        let huge = self.store.create(self.permit, &self.name, Some(u64::MAX)).await;
        fails(huge, StoreErrorKind::NoSpace, "create of 16 EiB")?;
        self.gone("refused create").await
    }

    async fn bad_names(&self) -> Outcome {
        for name in ["", ".", "..", "a/b", "../a", "/etc/passwd", ".hidden", "a b", "a\0b", "ä", &"a".repeat(300)] {
            fails(self.store.create(self.permit, name, None).await, StoreErrorKind::BadUrl, name)?;
            fails(self.store.discard(self.permit, name).await, StoreErrorKind::BadUrl, name)?;
        }
        Ok(())
    }

    async fn bad_urls(&self) -> Outcome {
        let url = self.put(&pattern(10), 10).await?;
        let (folder, _) = url.split_once(&self.name).ok_or("the URL does not name the object")?;
        let urls = [
            String::new(),
            self.name.clone(),
            folder.to_owned(),
            format!("{url}/"),
            format!("{url}/../{}", self.name),
            format!("{folder}../{}", self.name),
            format!("{folder}./{}", self.name),
            format!("{folder}%2e%2e%2f{}", self.name),
            format!("x{url}"),
            "file:///etc/passwd".to_owned(),
            "filesystem:///etc/passwd".to_owned(),
            "http://127.0.0.1/x".to_owned(),
        ];
        for bad in urls {
            fails(self.store.open(&bad).await, StoreErrorKind::BadUrl, &bad)?;
            fails(self.store.delete(self.permit, &bad).await, StoreErrorKind::BadUrl, &bad)?;
        }
        self.same(&url, &pattern(10), 10).await
    }
}
