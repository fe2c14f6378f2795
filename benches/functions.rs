//! Benchmarks of functions.

fn main() {
    divan::main();
}
