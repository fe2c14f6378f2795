//! The `fanlight` command.

fn main() -> std::process::ExitCode {
    fanlight::cli::main()
}
