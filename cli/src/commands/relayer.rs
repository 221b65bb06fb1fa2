//! `relay-miner relayer`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use pocket_config::RelayerConfig;
use pocket_relayer::{Deps, Relayer};
use pocket_store::PublisherConfig;
use tokio_util::sync::CancellationToken;

use crate::check;
use crate::commands::validate;
use crate::keys::KeySource;
use crate::metrics::ProcessMetrics;
use crate::output::Output;
use crate::parts::{self, Parts};
use crate::reload::{Place, RelayerHalf, Reloader, Source};
use crate::{shown, signals};

/// Serve relays: verify, forward to the backend, sign, and pass mined relays on to miners.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Example:\n  relay-miner relayer --config relayer.yaml\n\nRun as many as you like, behind any load balancer: they share Redis and keep nothing else."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Configuration file.
    #[arg(long, value_name = "FILE", env = "RELAYER_CONFIG_FILE", required = true)]
    config: Option<PathBuf>,
    /// Redis address, instead of the configuration's.
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
}

/// What there is to do beside running.
#[derive(clap::Subcommand)]
enum Command {
    /// Look at a configuration and at all that it names, without starting anything.
    ///
    /// Reads the file, loads the keys, and asks Redis, the chain's node and every backend whether they are there and as they
    /// should be. With --check-stake it asks the chain for the suppliers of the keys too: the services that they are staked for beside the backends.
    /// Each finding says what is wrong and what to do; the exit code is 0 if nothing is, else 1.
    #[command(
        after_help = "Examples:\n  relay-miner relayer validate --config relayer.yaml\n  relay-miner relayer validate --config relayer.yaml --check-stake\n  relay-miner relayer validate --config relayer.yaml --offline --output json"
    )]
    Validate {
        /// Configuration file.
        #[arg(long, value_name = "FILE", env = "RELAYER_CONFIG_FILE")]
        config: PathBuf,
        #[command(flatten)]
        arguments: validate::Arguments,
    },
    /// Print what a configuration may hold, as JSON Schema.
    ///
    /// Every key with its description, type, default and bounds. Editors complete and check by it.
    #[command(after_help = "Example:\n  relay-miner relayer schema > relayer.schema.json")]
    Schema,
    /// Print a commented configuration with every key.
    #[command(after_help = "Example:\n  relay-miner relayer example > relayer.yaml")]
    Example,
}

impl Command {
    async fn run(self, output: Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Validate { config, arguments } => return validate::relayer(&config, &arguments, output).await,
            Self::Schema => println!("{:#}", RelayerConfig::schema()),
            Self::Example => print!("{}", RelayerConfig::EXAMPLE),
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
    let source = Source::read::<RelayerHalf>(place)?;
    let logs = parts::logs(&source.config.logging)?;
    parts::tell_unknown(&RelayerConfig::unknown_variables(&source.place.environment));
    let source = source.setting_level_of(logs.control());
    let cancel = CancellationToken::new();
    signals::watch(cancel.clone())?;
    serve(source, cancel).await?;
    Ok(ExitCode::SUCCESS)
}

/// Serves until `cancel`, and until all that was answered is handed over; follows its configuration meanwhile.
pub async fn serve(source: Source<RelayerConfig>, cancel: CancellationToken) -> anyhow::Result<()> {
    let config = &source.config;
    let metrics = ProcessMetrics::of("relayer")?;
    let ports = parts::probe_ports(&[&config.metrics, &config.health_check]).await?;
    let mut keys = KeySource::default();
    let parts = Parts::gather(&mut keys, &config.keys, &config.redis, &config.pocket_node, &metrics).await?;
    let _stakes = check::at_relayers_start(config, &parts);
    let deps = Deps {
        chain: parts.chain.clone(),
        feed: parts.feed.clone(),
        store: parts.store.clone(),
        keys: parts.keys.clone().into(),
        registry: metrics.registry.clone(),
        publisher: PublisherConfig::default(),
    };
    let relayer = Relayer::start(config, deps, cancel.clone()).await?;
    let probes = parts.show(
        ports,
        &shown::relayer(relayer.status(), &metrics.registry, &source.place.path),
    )?;
    metrics.started();
    tracing::info!(address = %relayer.local_addr(), services = config.services.len(), "serving relays");
    let reloader = Reloader::new(
        RelayerHalf(relayer.control()),
        source,
        parts.keys.clone(),
        keys,
        &metrics,
    );
    tokio::join!(relayer.join(), reloader.run(cancel));
    parts.end(probes).await
}
