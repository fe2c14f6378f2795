//! Plug-ins that do what they must not, files that are not plug-ins, and swaps while requests run.

use data_encoding::HEXLOWER;
use fanlight::{
    rules::Fault,
    wasm::{Engine, Plugins, types},
};
use sha2::{Digest, Sha256};

mod broken;
mod by_hand;
mod limits;
mod manifests;
mod start;
mod swap;

const MISBEHAVING: &[u8] = include_bytes!("../fixtures/misbehaving.wasm");
const MOST_FREE: &[u8] = include_bytes!("../../plugins/dist/most-free.wasm");

/// A manifest of `wasm` under `name`, with `rest` behind the keys that must be there.
fn manifest(name: &str, wasm: &[u8], rest: &str) -> String {
    let digest = HEXLOWER.encode(&Sha256::digest(wasm));
    format!(
        "name = \"{name}\"\nworld = \"fanlight:placement@1.0.0\"\nwasm = \"{name}.wasm\"\nsha256 = \"{digest}\"\n{rest}\n"
    )
}

fn files(name: &str, wasm: &[u8], rest: &str) -> Vec<(String, Vec<u8>)> {
    let manifest = manifest(name, wasm, rest).into_bytes();
    vec![(format!("{name}.toml"), manifest), (format!("{name}.wasm"), wasm.to_vec())]
}

/// Loads `wasm` alone and returns its only fault.
fn fault(name: &str, wasm: &[u8], rest: &str) -> Fault {
    fault_of(&files(name, wasm, rest))
}

fn fault_of(files: &[(String, Vec<u8>)]) -> Fault {
    let engine = Engine::new().unwrap();
    let mut faults = Plugins::load(files, &engine).err().expect("refused");
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

/// A request of `project` with `stores` stores named s0, s1 …
fn request(project: &str, stores: usize) -> types::Request {
    let store = |n: usize| types::Store {
        id: format!("s{n}"),
        kind: "file".into(),
        labels: Vec::new(),
        weight: 0,
        total: 1000,
        free: 500,
        in_flight: 0,
        latency_us: 0,
    };
    let image = types::Image {
        id: "i".into(),
        project: Some(project.into()),
        size: None,
        disk_format: None,
        container_format: None,
        visibility: "shared".into(),
        tags: Vec::new(),
        properties: Vec::new(),
        domain: None,
    };
    types::Request { image, stores: (0..stores).map(store).collect(), now_ms: 1, seed: 1, operation: "upload".into() }
}
