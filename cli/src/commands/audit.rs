//! `relay-miner audit`.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use pocket_config::MinerConfig;
use pocket_miner::audit::{Progress as Step, Report, Verdict, audit};
use pocket_protocol::{SessionId, SupplierAddress};
use pocket_query::{ChainClient, NodeConfig};
use pocket_store::{Store, StoreConfig};
use serde::Serialize;

use crate::output::{Output, Progress};
use crate::{explain, parts};

/// Something differs.
const EXIT_DIFFERS: u8 = 1;
/// Something could not be compared.
const EXIT_CANNOT_TELL: u8 = 2;

/// Compare a session's relays in Redis with what was claimed, proven and settled on chain.
///
/// Builds the session's tree anew from its relays alone, holds every relay against the chain's rules (session,
/// difficulty, the signatures of gateway and supplier), and compares the root with the one that Redis has and with the
/// claim, the proof and the settlement on chain. Changes nothing.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  relay-miner audit 2f21730453bee5df... --config miner.yaml\n  relay-miner audit 2f21730453bee5df... --supplier pokt1... --redis redis://localhost:6379 \\\n    --node localhost:9090 --node-rpc http://localhost:26657\n\nExit codes: 0 all agrees; 1 something differs; 2 something cannot be told.\nTrees are deleted after the settlement: audit a session before."
)]
pub struct Arguments {
    /// The session's id
    session: String,
    /// A miner's configuration, for Redis, the chain and the suppliers
    #[arg(long, value_name = "FILE", env = "MINER_CONFIG_FILE")]
    config: Option<PathBuf>,
    /// This supplier's part alone, instead of that of each whose key the configuration names
    #[arg(long, value_name = "ADDRESS")]
    supplier: Option<SupplierAddress>,
    /// Redis address, instead of the configuration's
    #[arg(long, value_name = "URL", required_unless_present = "config")]
    redis: Option<String>,
    /// The node's gRPC, in plain text, instead of the configuration's
    #[arg(
        long,
        value_name = "HOST:PORT",
        required_unless_present = "config",
        requires = "node_rpc"
    )]
    node: Option<String>,
    /// The node's `CometBFT` RPC, instead of the configuration's
    #[arg(long, value_name = "URL", required_unless_present = "config", requires = "node")]
    node_rpc: Option<String>,
}

/// One report for each supplier who has a part in the session.
#[derive(Serialize)]
struct Reports(Vec<Report>);

impl fmt::Display for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("\n\n"))
    }
}

/// Prints a report for each supplier.
pub async fn run(arguments: Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let reports = match audit_all(&arguments).await {
        Ok(reports) => Reports(reports),
        Err(error) => {
            eprintln!("{}", explain::explain(&error));
            return Ok(ExitCode::from(EXIT_CANNOT_TELL));
        }
    };
    output.print(&reports)?;
    Ok(match reports.0.iter().map(Report::verdict).max() {
        Some(Verdict::Agrees) => ExitCode::SUCCESS,
        Some(Verdict::Differs) => ExitCode::from(EXIT_DIFFERS),
        Some(Verdict::CannotTell) | None => ExitCode::from(EXIT_CANNOT_TELL),
    })
}

async fn audit_all(arguments: &Arguments) -> anyhow::Result<Vec<Report>> {
    let (store, chain, suppliers) = gather(arguments).await?;
    let session = SessionId::from(arguments.session.as_str());
    let mut reports = Vec::new();
    for supplier in &suppliers {
        let mut bar = Bar::default();
        reports.extend(audit(&store, &chain, supplier, &session, |step| bar.tell(step)).await?);
    }
    if reports.is_empty() {
        bail!(
            "Redis has no session {session} of {}\n  records of sessions that are over are kept for session_ttl",
            suppliers
                .iter()
                .map(SupplierAddress::as_str)
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    Ok(reports)
}

/// Redis, the chain, and whose parts are looked at.
async fn gather(arguments: &Arguments) -> anyhow::Result<(Store, ChainClient, Vec<SupplierAddress>)> {
    let environment = parts::environment(arguments.redis.as_deref());
    let config = arguments
        .config
        .as_ref()
        .map(|file| MinerConfig::load_with(file, &environment))
        .transpose()?;
    let store = match (&config, &arguments.redis) {
        (Some(config), _) => parts::open_store(&config.redis)?,
        (None, Some(url)) => Store::new(StoreConfig::at(url)).context("--redis cannot be used")?,
        (None, None) => bail!("say where Redis is: --config or --redis"),
    };
    let chain = match (&config, &arguments.node_rpc, &arguments.node) {
        (_, Some(rpc), Some(grpc)) => ChainClient::new(NodeConfig::new(rpc, grpc))?,
        (Some(config), ..) => parts::open_chain(&config.pocket_node)?,
        (None, ..) => bail!("say where the chain's node is: --config, or --node and --node-rpc"),
    };
    let suppliers = match (&arguments.supplier, &config) {
        (Some(supplier), _) => vec![supplier.clone()],
        (None, Some(config)) => suppliers_of(config).await?,
        (None, None) => bail!("say whose part is meant: --supplier"),
    };
    Ok((store, chain, suppliers))
}

/// Those whose keys can be read.
async fn suppliers_of(config: &MinerConfig) -> anyhow::Result<Vec<SupplierAddress>> {
    let loaded = crate::keys::KeySource::default().load(&config.keys).await?;
    if loaded.keys.is_empty() {
        let reasons: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
        bail!(
            "no operator key could be loaded: say whose part is meant with --supplier\n  {}",
            reasons.join("\n  ")
        );
    }
    Ok(loaded.keys.addresses().cloned().collect())
}

/// How far it is, for whoever looks.
#[derive(Default)]
struct Bar(Option<(&'static str, Progress)>);

impl Bar {
    fn tell(&mut self, step: Step) {
        if self.0.as_ref().is_none_or(|(doing, _)| *doing != step.doing) {
            // The one before takes its line away.
            self.0 = None;
            self.0 = Some((step.doing, Progress::of(step.doing)));
        }
        if let Some((_, progress)) = &mut self.0 {
            progress.tell(step.done, Some(step.total));
        }
    }
}
