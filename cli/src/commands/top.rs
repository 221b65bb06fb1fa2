//! `relay-miner top`.

use std::fmt;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use pocket_config::{MinerConfig, RedisConfig, RelayerConfig, ServerConfig};
use pocket_store::{Store, StoreConfig};
use pocket_top::{Colours, Endpoint, Snapshot, Sources, frame, gather, live, terminal_columns};
use serde::{Serialize, Serializer};
use tokio_util::sync::CancellationToken;

use crate::output::Output;
use crate::{parts, signals};

/// Columns of a frame that goes to a file.
const FILE_COLUMNS: usize = 160;

/// Show relayers and miners at work: relays, latency, backends, sessions and what they earn, what is at risk and why.
///
/// Asks the health or metrics ports of any number of processes, and Redis, and draws what they say in the terminal
/// until `q` is pressed. Where standard output is no terminal, one frame is printed.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  relay-miner top --relayer localhost:8081 --miner localhost:9092\n  relay-miner top --config relayer.yaml --config miner.yaml\n  relay-miner top --once\n  relay-miner top --output json | jq '.miners[].status.risks'\n\nWithout an address or a file the default ports of this machine are asked."
)]
pub struct Arguments {
    /// Health or metrics port of a relayer; may be given several times.
    #[arg(long, value_name = "URL")]
    relayer: Vec<Endpoint>,
    /// Metrics port of a miner; may be given several times.
    #[arg(long, value_name = "URL")]
    miner: Vec<Endpoint>,
    /// Redis to look at too.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// A relayer's or miner's configuration file: names Redis, and a port of this machine to ask.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    every: f64,
    /// Print one frame and end.
    #[arg(long)]
    once: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    let is_fit = (0.1..=3600.0).contains(&seconds);
    is_fit
        .then_some(seconds)
        .ok_or_else(|| "between 0.1 and 3600".to_owned())
}

/// Shows until a key ends it, or once.
pub async fn run(arguments: Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let sources = sources(&arguments)?;
    let is_terminal = std::io::stdout().is_terminal();
    if is_terminal && !arguments.once && !output.is_json() {
        let cancel = CancellationToken::new();
        signals::watch(cancel.clone())?;
        let colours = match anstream::AutoStream::choice(&std::io::stdout()) {
            anstream::ColorChoice::Never => Colours::No,
            _ => Colours::Yes,
        };
        live(&sources, Duration::from_secs_f64(arguments.every), colours, cancel).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let snapshot = gather(&sources).await;
    let columns = if is_terminal { terminal_columns() } else { FILE_COLUMNS };
    output.print(&Frame {
        snapshot: &snapshot,
        columns,
    })?;
    Ok(if snapshot.away.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// All of it at once.
struct Frame<'a> {
    snapshot: &'a Snapshot,
    columns: usize,
}

impl Serialize for Frame<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.snapshot.serialize(serializer)
    }
}

impl fmt::Display for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&frame(self.snapshot, self.columns, Colours::Yes))
    }
}

/// Who is to be asked.
fn sources(arguments: &Arguments) -> anyhow::Result<Sources> {
    let mut endpoints: Vec<Endpoint> = arguments.relayer.iter().chain(&arguments.miner).cloned().collect();
    let mut redis = match &arguments.redis {
        Some(url) => Some(Store::new(StoreConfig::at(url)).context("--redis cannot be used")?),
        None => None,
    };
    let names_none = endpoints.is_empty();
    for path in &arguments.config {
        let named = Named::of(path)?;
        if names_none {
            let server = named.server.as_ref().filter(|server| server.enabled);
            endpoints.extend(server.map(local).transpose()?);
        }
        if redis.is_none() {
            redis = Some(parts::open_store(&named.redis)?);
        }
    }
    if endpoints.is_empty() && arguments.config.is_empty() && redis.is_none() {
        endpoints = ["localhost:8081", "localhost:9092"]
            .map(|place| place.parse().expect("a host and a port"))
            .into();
    }
    Ok(Sources::new(endpoints, redis))
}

/// What a configuration file names.
struct Named {
    redis: RedisConfig,
    server: Option<ServerConfig>,
}

impl Named {
    /// Of a relayer's file, or else of a miner's.
    fn of(path: &Path) -> anyhow::Result<Self> {
        let environment = parts::environment(None);
        if let Ok(relayer) = RelayerConfig::load_with(path, &environment) {
            let servers = [relayer.health_check, relayer.metrics];
            return Ok(Self {
                redis: relayer.redis,
                server: servers.into_iter().find(|server| server.enabled),
            });
        }
        let miner = MinerConfig::load_with(path, &environment);
        let miner = miner.with_context(|| format!("{} is neither a relayer's file nor a miner's", path.display()))?;
        Ok(Self {
            redis: miner.redis,
            server: Some(miner.metrics),
        })
    }
}

/// A port of this machine, which may listen on all addresses.
fn local(server: &ServerConfig) -> anyhow::Result<Endpoint> {
    let everywhere = |host: &str| ["0.0.0.0", "::"].contains(&host);
    let address = if everywhere(&server.address.host) {
        format!("localhost:{}", server.address.port)
    } else {
        server.address.to_string()
    };
    Ok(address.parse::<Endpoint>()?)
}
