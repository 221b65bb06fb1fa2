//! Tries the Go relay miner and this program one after the other on one Redis, in one session of a devnet.
//!
//! `record` takes down what the Go relay miner leaves when it ends in the middle of a session, for the test
//! `rolling_change`. `back` goes the other way: this program serves first, then the Go relay miner, which has to claim and
//! prove the relays of both.
//!
//! The Go relay miner is not part of this project: build it from its sources and name the program with `--peer`. It uses
//! a command of Redis 8.2; on an older one it needs `XACKDEL` replaced by `XACK` and `XDEL`.

mod back;
mod peer;
mod record;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::{Parser, Subcommand};
use pocket_client::{SampleBackend, SampleBackendConfig};
use pocket_devnet::{Devnet, DevnetConfig};
use pocket_integration::Recording;
use pocket_store::{PrivateRedis, Store, StoreConfig};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use peer::Peer;

/// Longest that nothing may happen.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(1);

/// Try the Go relay miner and this program on one Redis.
#[derive(Parser)]
struct Arguments {
    /// The Go relay miner's program.
    #[arg(long)]
    peer: PathBuf,
    /// Milliseconds from block to block; thirty blocks are a session.
    #[arg(long, default_value_t = 1_000)]
    block_time: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take down what the Go relay miner leaves.
    Record(record::Arguments),
    /// Go from this program back to the Go relay miner.
    Back,
}

/// Chain, Redis and backend, and how the peer is started.
struct Scene {
    devnet: Devnet,
    redis: PrivateRedis,
    store: Store,
    peer: Peer,
    _backend: SampleBackend,
    _folder: TempDir,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config = DevnetConfig {
        genesis: Recording::localnet().genesis(),
        block_time: Some(Duration::from_millis(arguments.block_time)),
        ..DevnetConfig::default()
    };
    let devnet = Devnet::start(config).await?;
    let folder = tempfile::tempdir()?;
    let redis = PrivateRedis::start(folder.path(), false).await?;
    let backend = SampleBackend::start(SampleBackendConfig::default()).await?;
    let scene = Scene {
        peer: Peer::new(folder.path(), &arguments.peer, &devnet, &redis, &backend)?,
        store: Store::new(StoreConfig::at(redis.url()))?,
        devnet,
        redis,
        _backend: backend,
        _folder: folder,
    };
    match arguments.command {
        Command::Record(arguments) => record::run(scene, &arguments).await,
        Command::Back => back::run(scene).await,
    }
}

async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !look().await {
        if Instant::now() > deadline {
            bail!("waited in vain: {what}");
        }
        sleep(LOOK).await;
    }
    Ok(())
}
