//! `relay-miner relayer`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use pocket_config::{Environment, RelayerConfig};
use pocket_observability::{ProbeServer, Readiness, prometheus::Registry};
use pocket_query::BlockFeed;
use pocket_relayer::{Deps, Relayer};
use pocket_store::PublisherConfig;
use tokio_util::sync::CancellationToken;

use crate::{parts, signals};

/// Serve relays: verify, forward to the backend, sign, and pass mined relays on to miners.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  relay-miner relayer --config relayer.yaml\n\nRun as many as you like, behind any load balancer: they share Redis and keep nothing else.")]
pub struct Arguments {
    /// Configuration file.
    #[arg(long, value_name = "FILE", env = "RELAYER_CONFIG_FILE")]
    config: PathBuf,
    /// Redis address, instead of the configuration's.
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
}

/// Runs until a signal.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut environment = Environment::of_process();
    if let Some(url) = &arguments.redis_url {
        environment = environment.replacing("redis.url", url, "--redis-url");
    }
    let config = RelayerConfig::load_with(&arguments.config, &environment)?;
    let _logs = parts::logs(&config.logging)?;
    let cancel = CancellationToken::new();
    signals::watch(cancel.clone())?;

    let keys = parts::keys(&config.keys).await?;
    let store = parts::store(&config.redis).await?;
    let chain = parts::chain(&config.pocket_node).await?;
    // The feed outlives the relayer, which needs heights until its last relay is done.
    let end_feed = CancellationToken::new();
    let (feed, following) = BlockFeed::start(chain.clone(), end_feed.clone());
    let registry = Registry::new();
    let deps = Deps {
        chain,
        feed: feed.clone(),
        store,
        keys,
        registry: registry.clone(),
        publisher: PublisherConfig::default(),
    };
    let relayer = Relayer::start(&config, deps, cancel.clone()).await?;
    tracing::info!(address = %relayer.local_addr(), services = config.services.len(), "serving relays");

    let ready: Readiness = Arc::new(move || match feed.height().0 {
        0 => Err("no block of the chain was seen yet".to_owned()),
        _ => Ok(()),
    });
    let mut probes = Vec::new();
    let mut addresses = Vec::new();
    addresses.extend(config.metrics.enabled.then_some(&config.metrics.address));
    addresses.extend(config.health_check.enabled.then_some(&config.health_check.address));
    for address in addresses {
        let address = address.to_string().parse().with_context(|| format!("{address} is no address to listen on"))?;
        let server = ProbeServer::start(address, registry.clone(), ready.clone(), cancel.clone());
        probes.push(server.await.with_context(|| format!("cannot listen on {address}"))?);
    }
    relayer.join().await;
    for probe in probes {
        probe.stopped().await;
    }
    end_feed.cancel();
    following.await?;
    Ok(ExitCode::SUCCESS)
}
