//! `relay-miner demo`.

use std::process::ExitCode;
use std::time::Duration;

use pocket_demo::{DemoOptions, run_demo};

use crate::output::Output;

/// Show the whole way on this machine: relays served, claimed, proven and paid, on a chain in this process.
///
/// Starts a private Redis, a chain, a backend, a relayer and a miner, sends signed relays, and ends by itself with
/// what the chain says came of them. Exit code 0 means that every answered relay was claimed and every required proof
/// accepted. Needs redis-server, nothing else; nothing outlives it.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  relay-miner demo\n  relay-miner demo --relays 1000 --sessions 5 --suppliers 3")]
pub struct Arguments {
    /// Relays to have answered.
    #[arg(long, value_name = "N", default_value_t = DemoOptions::default().relays)]
    relays: u64,
    /// Sessions to spread them over.
    #[arg(long, value_name = "N", default_value_t = DemoOptions::default().sessions)]
    sessions: u64,
    /// Suppliers that serve.
    #[arg(long, value_name = "N", default_value_t = DemoOptions::default().suppliers)]
    suppliers: usize,
    /// Milliseconds from block to block.
    #[arg(long, value_name = "MS", default_value_t = DemoOptions::default().block_time.as_millis() as u64)]
    block_time: u64,
    /// Ask for every RPC type and for streams, instead of JSON-RPC alone: five times as many sessions at once, for which
    /// a slow machine needs slower blocks.
    #[arg(long)]
    all_types: bool,
}

/// Runs to its end.
pub async fn run(arguments: Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let options = DemoOptions {
        relays: arguments.relays,
        sessions: arguments.sessions,
        suppliers: arguments.suppliers,
        block_time: Duration::from_millis(arguments.block_time),
        all_types: arguments.all_types,
        aside: output.is_json(),
    };
    let summary = run_demo(options).await?;
    output.print(&summary)?;
    Ok(match summary.verdict() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}
