//! Benchmarks of functions.

mod data_path;

fn main() {
    divan::main();
}
