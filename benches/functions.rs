//! Benchmarks of functions, and with the argument `goals` what has a limit.
#![expect(clippy::expect_used, reason = "a benchmark that cannot run must stop")]

mod authz;
mod data_path;
mod goals;
mod wasm;

/// The allocator of the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    if std::env::args().any(|argument| argument == "goals") {
        return goals::run();
    }
    divan::main();
    std::process::ExitCode::SUCCESS
}
