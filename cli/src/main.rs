//! `relay-miner`: the command that operators run.

mod check;
mod commands;
mod explain;
mod harden;
mod keys;
mod metrics;
mod output;
mod parts;
mod prompt;
mod reload;
mod shown;
mod signals;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use output::{Format, Output};

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
    after_help = "Try it without anything set up:\n  relay-miner demo\n\nRun it for real:\n  relay-miner relayer --config relayer.yaml\n  relay-miner miner --config miner.yaml\n\nExit codes: 0 done, and well; 1 failed, or found something that is not well;\n2 wrong use: an argument or a configuration that cannot be"
)]
struct Arguments {
    /// Form of the result on standard output.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve relays.
    Relayer(commands::relayer::Arguments),
    /// Claim and prove what relayers served.
    Miner(commands::miner::Arguments),
    /// Run both in one process, with a Redis of their own, on a single machine.
    AllInOne(commands::all_in_one::Arguments),
    /// Send signed relays to a relayer, one or many, and check its signatures.
    Relay(Box<pocket_client::command::RelayArgs>),
    /// Compare a session's relays with what was claimed, proven and settled on chain.
    Audit(Box<commands::audit::Arguments>),
    /// Look into Redis.
    Redis(commands::redis::Arguments),
    /// Show the whole way on this machine, on a chain in this process.
    Demo(commands::demo::Arguments),
    /// Show relayers and miners at work, live.
    Top(commands::top::Arguments),
    /// Write what a shell needs to complete this command's words, or its manual.
    Completions(commands::completions::Arguments),
    /// Show the version.
    #[command(after_help = "Examples:\n  relay-miner version\n  relay-miner version --output json")]
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
    let output = Output::new(arguments.output);
    let outcome = runtime.block_on(async {
        match arguments.command {
            Command::Relayer(arguments) => commands::relayer::run(arguments, output).await,
            Command::Miner(arguments) => commands::miner::run(arguments, output).await,
            Command::AllInOne(arguments) => commands::all_in_one::run(arguments).await,
            Command::Relay(arguments) => commands::relay::run(*arguments, output).await,
            Command::Audit(arguments) => commands::audit::run(*arguments, output).await,
            Command::Redis(arguments) => commands::redis::run(arguments, output).await,
            Command::Demo(arguments) => commands::demo::run(arguments, output).await,
            Command::Top(arguments) => commands::top::run(arguments, output).await,
            Command::Completions(arguments) => commands::completions::run(&arguments, &mut Arguments::command()),
            Command::Version => commands::version::run(output),
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
