//! Benchmarks of functions, and with the argument `goals` what has a limit.
#![expect(clippy::expect_used, reason = "a benchmark that cannot run must stop")]

mod authz;
mod data_path;
mod goals;
mod wasm;

/// The allocator of the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    if std::env::args().any(|argument| argument == "goals") {
        goals::run();
    } else {
        divan::main();
    }
}
