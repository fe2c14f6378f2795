//! Benchmarks of functions.
#![expect(clippy::expect_used, reason = "a benchmark that cannot run must stop")]

mod data_path;
mod wasm;

fn main() {
    divan::main();
}
