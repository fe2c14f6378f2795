//! From the parsed command line to the command, and from its end to the exit code.

use std::process::ExitCode;

use clap::Parser;

use crate::{
    config::{Config, process_env},
    error::{Error, Result},
    telemetry,
};

use super::{Cli, Command, Exit, Serve, db, output, placement, serve};

/// Runs the command line of this process to its end.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(Error::internal).and_then(|runtime| runtime.block_on(run(cli.command)));
    ended
        .unwrap_or_else(|error| {
            // `Debug` has the cause as well, for the operator.
            output::complain(&format!("error: {error:?}"));
            Exit::Failed
        })
        .into()
}

async fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Serve(args) => start(&args).await,
        Command::Check(args) => super::check(&args),
        Command::Db(command) => db::run(&command).await,
        Command::Placement(command) => placement::run(&command).await,
        Command::Policy(command) => super::policy(&command).await,
        Command::Rules(command) => super::rules(&command).await,
        Command::Store(command) => super::store(&command).await,
        Command::Version => output::write(concat!("fanlight ", env!("CARGO_PKG_VERSION"))).map(|()| Exit::Done),
    }
}

/// `--listen` is read like the variable, so that the same checks hold for it.
async fn start(args: &Serve) -> Result<Exit> {
    let listen = args.listen.map(|address| address.to_string());
    let env = |name: &str| match name {
        "FANLIGHT_LISTEN" => listen.clone().or_else(|| process_env(name)),
        _ => process_env(name),
    };
    let config = match Config::load(args.config.config.as_deref(), env) {
        Ok(config) => config,
        Err(faults) => {
            output::complain(&faults.to_string());
            return Ok(Exit::Configuration);
        }
    };
    let _log = telemetry::init(&config.log)?;
    serve::run(config).await.map(|()| Exit::Done)
}
