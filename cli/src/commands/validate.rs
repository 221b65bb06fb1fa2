//! `relay-miner relayer validate` and `relay-miner miner validate`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use pocket_config::{Environment, MinerConfig, RelayerConfig};

use crate::check::{self, Finding, Report};
use crate::output::Output;
use crate::parts;

/// Relayers are not told what to expect.
const BLOCK_TIME: Duration = Duration::from_secs(30);

/// What to look at, and where.
#[derive(clap::Args)]
pub struct Arguments {
    /// Look at the file and the keys alone, without the network.
    #[arg(long, conflicts_with = "check_stake")]
    offline: bool,
    /// Ask the chain for the suppliers of the keys too: stakes and services.
    #[arg(long)]
    check_stake: bool,
    /// gRPC address of the node, instead of the configuration's.
    #[arg(long, value_name = "HOST:PORT")]
    node: Option<String>,
    /// Redis address, instead of the configuration's.
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
}

impl Arguments {
    fn environment(&self) -> Environment {
        let environment = parts::environment(self.redis_url.as_deref());
        match &self.node {
            Some(node) => environment.replacing("pocket_node.query_node_grpc_url", node, "--node"),
            None => environment,
        }
    }
}

/// Looks at a relayer's configuration.
pub async fn relayer(file: &Path, arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let (config, mut findings) = check::settings::<RelayerConfig>(file, &arguments.environment())?;
    if let Some(config) = config {
        let (keys, found) = check::keys(&config.keys).await;
        findings.extend(found);
        if !arguments.offline {
            let (redis, (node, chain), backends) = tokio::join!(
                check::redis(&config.redis),
                check::chain(&config.pocket_node, BLOCK_TIME),
                check::backends(&config),
            );
            findings.extend(redis.into_iter().chain(chain).chain(backends));
            if let Some(node) = node.filter(|_| arguments.check_stake) {
                let (staked, found) = check::suppliers(&keys, &node).await;
                findings.extend(found);
                findings.extend(check::services(&config, &staked));
            }
        }
    }
    tell(file, findings, output)
}

/// Looks at a miner's configuration.
pub async fn miner(file: &Path, arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let (config, mut findings) = check::settings::<MinerConfig>(file, &arguments.environment())?;
    if let Some(config) = config {
        let (keys, found) = check::keys(&config.keys).await;
        findings.extend(found);
        if !arguments.offline {
            let (redis, (node, chain)) = tokio::join!(
                check::redis(&config.redis),
                check::chain(&config.pocket_node, config.block_time),
            );
            findings.extend(redis.into_iter().chain(chain));
            if let Some(node) = node.filter(|_| arguments.check_stake) {
                findings.extend(check::suppliers(&keys, &node).await.1);
                findings.extend(check::accounts(&config, &keys, &node).await);
            }
        }
    }
    tell(file, findings, output)
}

fn tell(file: &Path, findings: Vec<Finding>, output: Output) -> anyhow::Result<ExitCode> {
    let report = Report::new(file.display().to_string(), findings);
    output.print(&report)?;
    Ok(if report.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
