//! `relay-miner relayer`.

use std::path::PathBuf;
use std::process::ExitCode;

use pocket_config::RelayerConfig;
use pocket_observability::Reloads;
use pocket_observability::prometheus::Registry;
use pocket_relayer::{Deps, Relayer};
use pocket_store::PublisherConfig;
use tokio_util::sync::CancellationToken;

use crate::keys::KeySource;
use crate::parts::{self, Parts};
use crate::reload::{Hangups, KeySeries, Place, RelayerHalf, Reloader, Watched};
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
    let hangups = Hangups::catch()?;
    let place = Place {
        environment: parts::environment(arguments.redis_url.as_deref()),
        path: arguments.config,
    };
    let mut watched = Watched::new(place.referred(None));
    let config = RelayerConfig::load_with(&place.path, &place.environment)?;
    watched.follow(place.referred(Some(&config.keys)));
    let logs = parts::logs(&config.logging)?;
    let cancel = CancellationToken::new();
    signals::watch(cancel.clone())?;

    let mut source = KeySource::default();
    let parts = Parts::gather(&mut source, &config.keys, &config.redis, &config.pocket_node).await?;
    let keys = parts.keys.keys.clone();
    let registry = Registry::new();
    let deps = Deps {
        chain: parts.chain.clone(),
        feed: parts.feed.clone(),
        store: parts.store.clone(),
        keys: keys.clone().into(),
        registry: registry.clone(),
        publisher: PublisherConfig::default(),
    };
    let relayer = Relayer::start(&config, deps, cancel.clone()).await?;
    let probes = parts
        .probes(&[&config.metrics, &config.health_check], &registry, &cancel)
        .await?;
    tracing::info!(address = %relayer.local_addr(), services = config.services.len(), "serving relays");
    let reloader = Reloader {
        half: RelayerHalf(relayer.control()),
        reloads: Reloads::register(&registry)?,
        series: KeySeries::register(&registry, &parts.keys)?,
        logs: logs.control(),
        place,
        config,
        keys,
        source,
        watched,
    };
    tokio::join!(relayer.join(), reloader.run(hangups, cancel));
    parts.end(probes).await?;
    Ok(ExitCode::SUCCESS)
}
