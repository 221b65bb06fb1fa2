//! `relay-miner relayer`.

use std::path::PathBuf;
use std::process::ExitCode;

use pocket_config::RelayerConfig;
use pocket_relayer::{Deps, Relayer};
use pocket_store::PublisherConfig;
use tokio_util::sync::CancellationToken;

use crate::metrics::ProcessMetrics;
use crate::parts::{self, Parts};
use crate::signals;

/// Serve relays: verify, forward to the backend, sign, and pass mined relays on to miners.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  relay-miner relayer --config relayer.yaml\n\nRun as many as you like, behind any load balancer: they share Redis and keep nothing else."
)]
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
    let environment = parts::environment(arguments.redis_url.as_deref());
    let config = RelayerConfig::load_with(&arguments.config, &environment)?;
    let _logs = parts::logs(&config.logging)?;
    let metrics = ProcessMetrics::of("relayer")?;
    let cancel = CancellationToken::new();
    signals::watch(cancel.clone())?;

    let parts = Parts::gather(&config.keys, &config.redis, &config.pocket_node, &metrics).await?;
    let deps = Deps {
        chain: parts.chain.clone(),
        feed: parts.feed.clone(),
        store: parts.store.clone(),
        keys: parts.keys.clone(),
        registry: metrics.registry.clone(),
        publisher: PublisherConfig::default(),
    };
    let relayer = Relayer::start(&config, deps, cancel.clone()).await?;
    let probes = parts
        .probes(&[&config.metrics, &config.health_check], &metrics, &cancel)
        .await?;
    metrics.started();
    tracing::info!(address = %relayer.local_addr(), services = config.services.len(), "serving relays");
    relayer.join().await;
    parts.end(probes).await?;
    Ok(ExitCode::SUCCESS)
}
