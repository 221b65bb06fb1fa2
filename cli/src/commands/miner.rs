//! `relay-miner miner`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use pocket_config::MinerConfig;
use pocket_miner::{Deps, Metrics, Miner, Refused, Settings};
use pocket_observability::Reloads;
use pocket_observability::prometheus::Registry;
use pocket_tx::{GasPrice, TxConfig, TxSender};
use tokio_util::sync::CancellationToken;

use crate::keys::KeySource;
use crate::parts::{self, Parts};
use crate::reload::{Hangups, KeySeries, MinerHalf, Place, Reloader, Watched};
use crate::signals;

/// Claim and prove what relayers served: trees from streams, claims and proofs in their windows.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  relay-miner miner --config miner.yaml\n\nRun several for availability: they share the suppliers, and take over from one that dies."
)]
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
    let hangups = Hangups::catch()?;
    let place = Place {
        environment: parts::environment(arguments.redis_url.as_deref()),
        path: arguments.config,
    };
    let mut watched = Watched::new(place.referred(None));
    let config = MinerConfig::load_with(&place.path, &place.environment)?;
    watched.follow(place.referred(Some(&config.keys)));
    let logs = parts::logs(&config.logging)?;
    let cancel = CancellationToken::new();
    signals::watch(cancel.clone())?;

    let mut source = KeySource::default();
    let parts = Parts::gather(&mut source, &config.keys, &config.redis, &config.pocket_node).await?;
    let keys = parts.keys.keys.clone();
    let registry = Registry::new();
    let tx = TxConfig {
        gas_limit: config.transaction.gas_limit,
        gas_price: GasPrice::of_atto(config.transaction.gas_price.atto_upokt)
            .context("transaction.gas_price is beyond any supply")?,
        gas_adjustment: config.transaction.gas_adjustment,
        ..TxConfig::default()
    };
    let deps = Deps {
        chain: parts.chain.clone(),
        feed: parts.feed.clone(),
        store: parts.store.clone(),
        keys: keys.clone().into(),
        tx: TxSender::new(parts.chain.clone(), keys.clone(), tx),
        metrics: Metrics::register(&registry)?,
    };
    let name = arguments.consumer_name.or_else(|| config.redis.consumer_name.clone());
    let instance = name.unwrap_or_else(instance);
    let probes = parts.probes(&[&config.metrics], &registry, &cancel).await?;
    let settings = Settings {
        refused: refused(),
        ..Settings::of(&config, instance.clone())
    };
    let miner = Miner::start(settings, deps, cancel.clone());
    tracing::info!(instance, "mining");
    let reloader = Reloader {
        half: MinerHalf(miner.control()),
        reloads: Reloads::register(&registry)?,
        series: KeySeries::register(&registry, &parts.keys)?,
        logs: logs.control(),
        place,
        config,
        keys,
        source,
        watched,
    };
    tokio::join!(miner.stopped(), reloader.run(hangups, cancel));
    parts.end(probes).await?;
    Ok(ExitCode::SUCCESS)
}

/// The test switches that the Go peer has too (spec: claims-and-proofs.md §18).
fn refused() -> Refused {
    let is_on = |switch: &str| {
        let is_on = std::env::var(switch).is_ok_and(|value| value == "true");
        if is_on {
            tracing::error!(switch, "a test switch is on: claims or proofs are not sent");
        }
        is_on
    };
    Refused {
        claims: is_on("TEST_FORCE_CLAIM_TX_ERROR"),
        proofs: is_on("TEST_FORCE_PROOF_TX_ERROR"),
    }
}

/// Different for every process that may share a Redis.
fn instance() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!(
        "{}-{}",
        if host.is_empty() { "miner" } else { host },
        std::process::id()
    )
}
