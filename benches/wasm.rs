//! What a placement decision of the shipped plug-in costs: a fresh instance, one call, the instance thrown away.

use divan::{Bencher, black_box};
use fanlight::wasm::{Engine, Plugins, types};

fn store(n: usize) -> types::Store {
    types::Store {
        id: format!("store-{n}"),
        kind: "file".into(),
        labels: vec![("class".into(), "ssd".into()), ("region".into(), "north".into())],
        weight: 0,
        total: 1 << 40,
        free: 1 << 39,
        in_flight: 0,
        latency_us: 300,
    }
}

#[divan::bench(args = [2, 8, 64])]
fn rank(bencher: Bencher<'_, '_>, stores: usize) {
    let engine = Engine::new().expect("an engine");
    let plugins = Plugins::load(&Plugins::shipped(), &engine).expect("the shipped plug-in is good");
    let plugin = plugins.placement().first().expect("one plug-in");
    let image = types::Image {
        id: "3c0bb1b4-5a58-4a43-8a0b-0f7f6c0b7a11".into(),
        project: Some("blue".into()),
        size: Some(20 << 30),
        disk_format: Some("qcow2".into()),
        container_format: Some("bare".into()),
        visibility: "private".into(),
        tags: Vec::new(),
        properties: vec![("storage_class".into(), "ssd".into())],
        domain: None,
    };
    let request = types::Request {
        image,
        stores: (0..stores).map(store).collect(),
        now_ms: 0,
        seed: 0,
        operation: "upload".into(),
    };
    bencher.bench_local(|| plugin.rank(black_box(&request)).expect("verdicts"));
}
