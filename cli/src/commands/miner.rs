//! `relay-miner miner`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use pocket_config::{Environment, MinerConfig};
use pocket_miner::{Deps, Metrics, Miner, Settings};
use pocket_observability::{ProbeServer, Readiness, prometheus::Registry};
use pocket_query::BlockFeed;
use pocket_tx::{GasPrice, TxConfig, TxSender};
use tokio_util::sync::CancellationToken;

use crate::{parts, signals};

/// Claim and prove what relayers served: trees from streams, claims and proofs in their windows.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  relay-miner miner --config miner.yaml\n\nRun several for availability: they share the suppliers, and take over from one that dies.")]
pub struct Arguments {
    /// Configuration file.
    #[arg(long, value_name = "FILE", env = "MINER_CONFIG_FILE")]
    config: PathBuf,
    /// Redis address, instead of the configuration's.
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
    /// Name of this miner among those that share the Redis; host name and process id if not given.
    #[arg(long, value_name = "NAME")]
    consumer_name: Option<String>,
}

/// Runs until a signal.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut environment = Environment::of_process();
    if let Some(url) = &arguments.redis_url {
        environment = environment.replacing("redis.url", url, "--redis-url");
    }
    let config = MinerConfig::load_with(&arguments.config, &environment)?;
    let _logs = parts::logs(&config.logging)?;
    let cancel = CancellationToken::new();
    signals::watch(cancel.clone())?;

    let keys = parts::keys(&config.keys).await?;
    let store = parts::store(&config.redis).await?;
    let chain = parts::chain(&config.pocket_node).await?;
    let end_feed = CancellationToken::new();
    let (feed, following) = BlockFeed::start(chain.clone(), end_feed.clone());
    let registry = Registry::new();
    let tx = TxConfig {
        gas_limit: config.transaction.gas_limit,
        gas_price: GasPrice::of_atto(config.transaction.gas_price.atto_upokt)
            .context("transaction.gas_price is beyond any supply")?,
        gas_adjustment: config.transaction.gas_adjustment,
        ..TxConfig::default()
    };
    let deps = Deps {
        tx: TxSender::new(chain.clone(), keys.clone(), tx),
        chain,
        feed: feed.clone(),
        store,
        keys,
        metrics: Metrics::register(&registry)?,
    };
    let instance = arguments.consumer_name.or_else(|| config.redis.consumer_name.clone()).unwrap_or_else(instance);
    let miner = Miner::start(Settings::of(&config, instance.clone()), deps, cancel.clone());
    tracing::info!(instance, "mining");

    let ready: Readiness = Arc::new(move || match feed.height().0 {
        0 => Err("no block of the chain was seen yet".to_owned()),
        _ => Ok(()),
    });
    let mut probe = None;
    if config.metrics.enabled {
        let address = &config.metrics.address;
        let address = address.to_string().parse().with_context(|| format!("{address} is no address to listen on"))?;
        let server = ProbeServer::start(address, registry, ready, cancel.clone());
        probe = Some(server.await.with_context(|| format!("cannot listen on {address}"))?);
    }
    miner.stopped().await;
    if let Some(probe) = probe {
        probe.stopped().await;
    }
    end_feed.cancel();
    following.await?;
    Ok(ExitCode::SUCCESS)
}

/// Different for every process that may share a Redis.
fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}-{}", if host.is_empty() { "miner" } else { host }, std::process::id())
}
