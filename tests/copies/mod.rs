//! Copies between stores: a whole gateway in process whose three file stores break where a test says.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use fanlight::{
    config::{self, Backend, Config, StoreState},
    store::{Entry, Stores},
};
use serde_json::{Value, json};

use crate::support::{ALICE, Faults, FaultyStore, TestApp};

mod ends;
mod faults;
mod requests;

const MIB: usize = 1 << 20;
const STORES: [&str; 3] = ["alpha", "beta", "gamma"];

/// A gateway with the stores `alpha` (heaviest), `beta` and `gamma`, and its background work.
struct Case {
    app: TestApp,
    faults: BTreeMap<&'static str, Arc<Faults>>,
    _jobs: fanlight::jobs::Running,
}

impl Case {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With copies at this rate.
    async fn slow(rate_mib_s: u64) -> Self {
        Self::with(|c| c.copies.rate_mib_s = rate_mib_s).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let faults: BTreeMap<_, _> = STORES.map(|id| (id, Arc::<Faults>::default())).into();
        let app = TestApp::with_stores(
            |c| {
                three_stores(c);
                change(c);
            },
            |stores| faulty(stores, &faults),
        )
        .await;
        let _jobs = app.app.start_jobs();
        Self { app, faults, _jobs }
    }

    /// An active image with these data in these stores.
    async fn image(&self, data: &'static [u8], stores: &[&str]) -> String {
        let id = self.app.queued(ALICE, "image").await;
        let (first, others) = stores.split_first().unwrap();
        let headers = [("content-type", "application/octet-stream"), ("x-image-meta-store", *first)];
        let path = format!("/v2/images/{id}/file");
        let reply = self.app.request("PUT", &path, Some(ALICE), &headers, data).await;
        assert_eq!(reply.status, 204, "{}", reply.text());
        for store in others {
            let copy = self.begin(&id, Some(store)).await;
            self.until(&copy, "done").await;
        }
        id
    }

    /// Puts a copy into the queue; gives its id.
    async fn begin(&self, image: &str, store: Option<&str>) -> String {
        let wish = match store {
            Some(store) => json!({"image": image, "store": store}),
            None => json!({"image": image}),
        };
        let reply = self.app.admin("POST", "/copies", Some(wish)).await;
        assert_eq!(reply.status, 202, "{}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    async fn copy(&self, id: &str) -> Value {
        let reply = self.app.admin("GET", &format!("/copies/{id}"), None).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// Waits for a state.
    async fn until(&self, id: &str, state: &str) -> Value {
        self.wait(id, state, |copy| copy["state"] == state).await
    }

    async fn wait(&self, id: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let copy = self.copy(id).await;
            if holds(&copy) {
                return copy;
            }
            assert!(begun.elapsed() < Duration::from_secs(40), "not {what}: {copy}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn faults(&self, store: &str) -> &Faults {
        &self.faults[store]
    }

    /// The stores of the image as its owner sees them, which must be what lies on the disks, and the ledger must agree.
    async fn stores_of(&self, id: &str) -> String {
        let image = self.app.get(&format!("/v2/images/{id}"), ALICE).await.json();
        let mut stores: Vec<_> = image["stores"].as_str().unwrap().split(',').map(str::to_owned).collect();
        stores.sort();
        let expected: Vec<_> = stores.iter().map(|s| format!("{s}/{id}")).collect();
        assert_eq!(self.app.inventory().await, expected);
        self.in_order().await;
        let usage = self.app.app.db.usage("blue").await.unwrap()["image_size_total"];
        assert_eq!(usage.in_use, image["size"].as_u64().unwrap() * stores.len() as u64);
        stores.join(",")
    }

    async fn in_order(&self) {
        assert_eq!(self.app.app.db.check().await.unwrap(), Vec::<String>::new());
    }
}

/// Weights make the order of the stores known.
fn three_stores(c: &mut Config) {
    c.rules.plugins = Some(c.data_dir.join("no-plugins"));
    std::fs::create_dir_all(c.data_dir.join("no-plugins")).unwrap();
    let store = |id: &str, weight, default| config::Store {
        description: None,
        weight,
        labels: BTreeMap::new(),
        default,
        state: StoreState::Up,
        backend: Backend::File { path: c.data_dir.join("stores").join(id) },
    };
    let [alpha, beta, gamma] = STORES;
    let stores = [(alpha, store(alpha, 30, true)), (beta, store(beta, 20, false)), (gamma, store(gamma, 10, false))];
    c.stores = stores.map(|(id, store)| (id.to_owned(), store)).into();
}

fn faulty(stores: &Stores, faults: &BTreeMap<&'static str, Arc<Faults>>) -> Stores {
    let entries = stores.iter().map(|entry| {
        let store = FaultyStore { inner: entry.store().clone(), faults: faults[entry.id()].clone() };
        Entry::new(entry.id(), entry.config().clone(), "file", Arc::new(store))
    });
    Stores::of(entries.collect::<Vec<_>>()).unwrap()
}

/// Data that differ everywhere.
fn data(len: usize) -> &'static [u8] {
    let mut x = 1_u32;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.extend_from_slice(&x.to_le_bytes());
    }
    bytes.truncate(len);
    bytes.leak()
}
