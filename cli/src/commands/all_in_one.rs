//! `relay-miner all-in-one`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use pocket_config::{Environment, MinerConfig, RelayerConfig};
use pocket_store::KeptRedis;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::commands::{miner, relayer};
use crate::reload::{MinerHalf, Place, RelayerHalf, Source};
use crate::{parts, signals};

/// The miner's name: always the same, so that the leases of a killed process are its own when it is started again. Nobody
/// else works with this Redis.
const NAME: &str = "all-in-one";

/// Run relayer and miner in one process, with a Redis of their own that keeps its data in a folder.
///
/// For a single machine. Needs redis-server installed, and nothing to look after: it is started with an append-only file,
/// started again when it dies, and ended last. What either half does when it is killed is as with a Redis elsewhere: all
/// that was answered is there when it is started again with the same folder. Whoever needs more than one machine takes the
/// halves apart, with the same files and a Redis of their choice.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  relay-miner all-in-one --relayer-config relayer.yaml --miner-config miner.yaml --data-dir /var/lib/relay-miner\n\nredis.url in the files does not count; redis.url in the folder has the address, for relay-miner redis --redis."
)]
pub struct Arguments {
    /// Configuration of the relayer
    #[arg(long, value_name = "FILE", env = "RELAYER_CONFIG_FILE")]
    relayer_config: PathBuf,
    /// Configuration of the miner
    #[arg(long, value_name = "FILE", env = "MINER_CONFIG_FILE")]
    miner_config: PathBuf,
    /// Where Redis keeps its data, and the relayer its log if its configuration names no other place
    #[arg(long, value_name = "FOLDER")]
    data_dir: PathBuf,
}

/// Runs until a signal.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    // Mistakes are told before anything is started; where Redis will be is not known yet.
    let configs = Configs::read(&arguments, "redis://127.0.0.1:1")?;
    let logs = parts::logs(&configs.relayer.config.logging)?;
    let cancel = CancellationToken::new();
    signals::watch(cancel.clone())?;
    let redis = KeptRedis::start(&arguments.data_dir.join("redis"))
        .await
        .context("no Redis of our own")?;
    let mut configs = Configs::read(&arguments, redis.url())?;
    // One log for both.
    configs.relayer = configs.relayer.setting_level_of(logs.control());
    let outcome = work(configs, cancel).await;
    redis.stop().await;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Both halves until `cancel`: then the relayer first, so that the miner finds all that was answered.
async fn work(configs: Configs, cancel: CancellationToken) -> anyhow::Result<()> {
    let end_miner = CancellationToken::new();
    let mut relayer = tokio::spawn(relayer::serve(configs.relayer, cancel.clone()));
    let mut miner = tokio::spawn(miner::serve(configs.miner, Some(NAME.to_owned()), end_miner.clone()));
    let (relayer_outcome, miner_outcome) = tokio::select! {
        outcome = &mut relayer => (Some(outcome), None),
        outcome = &mut miner => (None, Some(outcome)),
    };
    // Either both are to end, or one of them failed: it takes the other with it.
    cancel.cancel();
    let relayer_outcome = ended(relayer_outcome, relayer).await.context("the relayer");
    end_miner.cancel();
    let miner_outcome = ended(miner_outcome, miner).await.context("the miner");
    relayer_outcome.and(miner_outcome)
}

type Outcome = Result<anyhow::Result<()>, tokio::task::JoinError>;

/// How a half ended, or will.
async fn ended(known: Option<Outcome>, half: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    match known {
        Some(outcome) => outcome?,
        None => half.await?,
    }
}

struct Configs {
    relayer: Source<RelayerConfig>,
    miner: Source<MinerConfig>,
}

impl Configs {
    fn read(arguments: &Arguments, redis: &str) -> anyhow::Result<Self> {
        let own = Environment::of_process().replacing("redis.url", redis, "the Redis of all-in-one");
        let place = |path: &PathBuf, environment: &Environment| Place {
            path: path.clone(),
            environment: environment.clone(),
        };
        let miner = Source::read::<MinerHalf>(place(&arguments.miner_config, &own))?;
        let mut relayer = Source::read::<RelayerHalf>(place(&arguments.relayer_config, &own))?;
        if relayer.config.relay_log.is_none() {
            let log = arguments.data_dir.join("relay-log").display().to_string();
            let own = own.replacing("relay_log.dir", &log, "flag --data-dir");
            relayer = Source::read::<RelayerHalf>(place(&arguments.relayer_config, &own))?;
        }
        Ok(Self { relayer, miner })
    }
}
