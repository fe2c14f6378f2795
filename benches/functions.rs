//! Benchmarks of functions.
#![expect(clippy::expect_used, reason = "a benchmark that cannot run must stop")]

mod authz;
mod data_path;
mod wasm;

fn main() {
    divan::main();
}
