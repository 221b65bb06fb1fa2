//! `relay-miner`: the command that operators run.

mod commands;
mod explain;
mod harden;
mod keys;
mod parts;
mod prompt;
mod reload;
mod signals;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A relay miner for suppliers of Pocket Network.
///
/// A supplier runs two halves around one Redis: relayers, which answer gateways' relays, and miners,
/// which turn them into claims and proofs. Run as many of each as you like.
#[derive(Parser)]
#[command(
    name = "relay-miner",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Try it without anything set up:\n  relay-miner demo\n\nRun it for real:\n  relay-miner relayer --config relayer.yaml\n  relay-miner miner --config miner.yaml"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve relays.
    Relayer(commands::relayer::Arguments),
    /// Claim and prove what relayers served.
    Miner(commands::miner::Arguments),
    /// Send signed relays to a relayer, one or many, and check its signatures.
    Relay(Box<pocket_client::command::RelayArgs>),
    /// Show the whole way on this machine, on a chain in this process.
    Demo(commands::demo::Arguments),
    /// Show the version.
    Version,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = harden::keep_memory_private() {
        eprintln!("warning: a crash may write keys to disk: {error}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match arguments.command {
            Command::Relayer(arguments) => commands::relayer::run(arguments).await,
            Command::Miner(arguments) => commands::miner::run(arguments).await,
            Command::Relay(arguments) => commands::relay::run(*arguments).await,
            Command::Demo(arguments) => commands::demo::run(arguments).await,
            Command::Version => Ok(commands::version::run()),
        }
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", explain::explain(&error));
            explain::exit_code(&error)
        }
    }
}
