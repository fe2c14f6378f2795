//! The `fanlight` command.

/// Many small objects live as long as one request: entities, rows, bodies. `docs/benchmarks.md` has what this saves.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    fanlight::cli::main()
}
