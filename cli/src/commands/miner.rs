//! `relay-miner miner`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use pocket_config::MinerConfig;
use pocket_miner::{Deps, Metrics, Miner, Refused, Settings};
use pocket_tx::{GasPrice, TxConfig, TxMetrics, TxSender};
use tokio_util::sync::CancellationToken;

use crate::check;
use crate::commands::validate;
use crate::keys::KeySource;
use crate::metrics::ProcessMetrics;
use crate::output::Output;
use crate::parts::{self, Parts};
use crate::reload::{MinerHalf, Place, Reloader, Source};
use crate::{shown, signals};

/// Claim and prove what relayers served: trees from streams, claims and proofs in their windows.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Example:\n  relay-miner miner --config miner.yaml\n\nRun several for availability: they share the suppliers, and take over from one that dies."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Configuration file.
    #[arg(long, value_name = "FILE", env = "MINER_CONFIG_FILE", required = true)]
    config: Option<PathBuf>,
    /// Redis address, instead of the configuration's.
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
    /// Name of this miner among those that share the Redis; host name and process id if not given.
    #[arg(long, value_name = "NAME")]
    consumer_name: Option<String>,
}

/// What there is to do beside running.
#[derive(clap::Subcommand)]
enum Command {
    /// Look at a configuration and at all that it names, without starting anything.
    ///
    /// Reads the file, loads the keys, and asks Redis and the chain's node whether they are there and as they
    /// should be. With --check-stake it asks the chain for the suppliers of the keys too: stakes and balances.
    /// Each finding says what is wrong and what to do; the exit code is 0 if nothing is, else 1.
    #[command(
        after_help = "Examples:\n  relay-miner miner validate --config miner.yaml\n  relay-miner miner validate --config miner.yaml --check-stake\n  relay-miner miner validate --config miner.yaml --offline --output json"
    )]
    Validate {
        /// Configuration file.
        #[arg(long, value_name = "FILE", env = "MINER_CONFIG_FILE")]
        config: PathBuf,
        #[command(flatten)]
        arguments: validate::Arguments,
    },
    /// Print what a configuration may hold, as JSON Schema.
    ///
    /// Every key with its description, type, default and bounds. Editors complete and check by it.
    #[command(after_help = "Example:\n  relay-miner miner schema > miner.schema.json")]
    Schema,
    /// Print a commented configuration with every key.
    #[command(after_help = "Example:\n  relay-miner miner example > miner.yaml")]
    Example,
}

impl Command {
    async fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Validate { config, arguments } => return validate::miner(&config, &arguments, output).await,
            Self::Schema => println!("{:#}", MinerConfig::schema()),
            Self::Example => print!("{}", MinerConfig::EXAMPLE),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Runs until a signal.
pub async fn run(arguments: Arguments, output: Output) -> anyhow::Result<ExitCode> {
    if let Some(command) = arguments.command {
        return command.run(output).await;
    }
    let place = Place {
        path: arguments.config.context("--config is missing")?,
        environment: parts::environment(arguments.redis_url.as_deref()),
    };
    let source = Source::read::<MinerHalf>(place)?;
    let logs = parts::logs(&source.config.logging)?;
    parts::tell_unknown(&MinerConfig::unknown_variables(&source.place.environment));
    let source = source.setting_level_of(logs.control());
    let cancel = CancellationToken::new();
    signals::watch(cancel.clone())?;
    serve(source, arguments.consumer_name, cancel).await?;
    Ok(ExitCode::SUCCESS)
}

/// Mines until `cancel`, under a name that no other has; follows its configuration meanwhile.
pub async fn serve(source: Source<MinerConfig>, name: Option<String>, cancel: CancellationToken) -> anyhow::Result<()> {
    let config = &source.config;
    let metrics = ProcessMetrics::of("miner")?;
    let ports = parts::probe_ports(&[&config.metrics]).await?;
    let mut keys = KeySource::default();
    let parts = Parts::gather(&mut keys, &config.keys, &config.redis, &config.pocket_node, &metrics).await?;
    let _stakes = check::at_miners_start(&parts);
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
        keys: parts.keys.clone().into(),
        tx: TxSender::with_metrics(
            parts.chain.clone(),
            parts.keys.clone(),
            tx,
            TxMetrics::register(&metrics.registry)?,
        ),
        metrics: Metrics::register(&metrics.registry)?,
    };
    let name = name.or_else(|| config.redis.consumer_name.clone());
    let instance = name.unwrap_or_else(instance);
    let settings = Settings {
        refused: refused(),
        ..Settings::of(config, instance.clone())
    };
    let miner = Miner::start(settings, deps, cancel.clone());
    let probes = parts.show(
        ports,
        &shown::miner(miner.status(), &metrics.registry, &source.place.path),
    )?;
    metrics.started();
    tracing::info!(instance, "mining");
    let reloader = Reloader::new(MinerHalf(miner.control()), source, parts.keys.clone(), keys, &metrics);
    tokio::join!(miner.stopped(), reloader.run(cancel));
    parts.end(probes).await
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
