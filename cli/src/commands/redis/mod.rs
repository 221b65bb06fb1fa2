//! `relay-miner redis`: what is in Redis, for operators.

mod ask;
mod cache;
mod dedup;
mod flush;
mod invalidate;
mod keys;
mod leader;
mod meter;
mod pubsub;
mod sessions;
mod smst;
mod streams;
mod submissions;
mod supplier;
mod target;
mod words;

use std::process::ExitCode;

use clap::Subcommand;

use crate::output::Output;
use target::{Target, TargetArguments};

/// Look into Redis: sessions, trees, streams, leases and what else relayers and miners share.
///
/// All of these only read, but for `flush` and `cache --invalidate`, which ask first. They work while relayers and miners
/// do, also those of the Go relay miner, on a single Redis, behind sentinels and in a Cluster.
#[derive(clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Examples:\n  relay-miner redis leader --redis redis://localhost:6379\n  relay-miner redis sessions --config miner.yaml --supplier pokt1…\n  relay-miner redis streams --all --output json\n\nWithout --redis and --config the environment's REDIS_URL says where Redis is,\nand without that it is redis://localhost:6379."
)]
pub struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What a Go peer caches of the chain, and the supplier registry; shown or invalidated
    Cache(cache::Arguments),
    /// Relays of a session that a Go peer has taken in
    Dedup(dedup::Arguments),
    /// Delete keys; asks first
    Flush(flush::Arguments),
    /// Names of keys, with type, time to live and size
    Keys(keys::Arguments),
    /// Who does what one miner of a fleet does for all
    #[command(after_help = "Example:\n  relay-miner redis leader")]
    Leader,
    /// What is spent of applications' budgets
    Meter(meter::Arguments),
    /// Listen to a channel
    Pubsub(pubsub::Arguments),
    /// Sessions, their states and what they claim
    Sessions(sessions::Arguments),
    /// Trees of a session
    Smst(smst::Arguments),
    /// Relays on their way from relayers to miners
    Streams(streams::Arguments),
    /// Claims and proofs that were sent, and what came of them
    Submissions(submissions::Arguments),
    /// Suppliers: their stakes, and which miner works them
    Supplier(supplier::Arguments),
}

/// Does one of them.
pub async fn run(arguments: Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let target = Target::open(&arguments.target).await?;
    match arguments.command {
        Command::Cache(arguments) => cache::run(&target, arguments, output).await,
        Command::Dedup(arguments) => dedup::run(&target, &arguments, output).await,
        Command::Flush(arguments) => flush::run(&target, &arguments, output).await,
        Command::Keys(arguments) => keys::run(&target, &arguments, output).await,
        Command::Leader => leader::run(&target, output).await,
        Command::Meter(arguments) => meter::run(&target, &arguments, output).await,
        Command::Pubsub(arguments) => pubsub::run(&target, &arguments, output).await,
        Command::Sessions(arguments) => sessions::run(&target, &arguments, output).await,
        Command::Smst(arguments) => smst::run(&target, &arguments, output).await,
        Command::Streams(arguments) => streams::run(&target, &arguments, output).await,
        Command::Submissions(arguments) => submissions::run(&target, &arguments, output).await,
        Command::Supplier(arguments) => supplier::run(&target, &arguments, output).await,
    }
}
