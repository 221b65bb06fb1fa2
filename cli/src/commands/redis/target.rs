//! Which Redis, and how its keys are named.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use pocket_config::{ConfigError, Environment, MinerConfig, RelayerConfig};
use pocket_store::{Store, StoreConfig};

use crate::parts;

const DEFAULT_URL: &str = "redis://localhost:6379";
/// First word of the meter's keys where no relayer's configuration says another.
const METER_PREFIX: &str = "ha";

/// Where Redis is.
#[derive(clap::Args)]
pub struct TargetArguments {
    /// Address of Redis, instead of the configuration's.
    #[arg(long, global = true, value_name = "URL")]
    redis: Option<String>,
    /// Configuration of a relayer or a miner, for the address of Redis and the names of its keys.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A Redis that answers.
pub struct Target {
    pub store: Store,
    pub meter_prefix: String,
}

impl Target {
    pub async fn open(arguments: &TargetArguments) -> anyhow::Result<Self> {
        let (config, meter_prefix) = if let Some(path) = &arguments.config {
            configured(path, arguments.redis.as_deref())?
        } else {
            let url = arguments.redis.clone().or_else(|| std::env::var("REDIS_URL").ok());
            let url = url.filter(|url| !url.is_empty());
            let url = url.unwrap_or_else(|| DEFAULT_URL.to_owned());
            (StoreConfig::at(url), METER_PREFIX.to_owned())
        };
        let store = Store::new(config).context("the address of Redis cannot be used")?;
        store
            .ping()
            .await
            .context("no answer; say where Redis is with --redis, --config or REDIS_URL")?;
        Ok(Self { store, meter_prefix })
    }
}

/// From a miner's file or a relayer's; of one that is neither, the mistakes as what it is nearer to.
fn configured(path: &Path, url: Option<&str>) -> Result<(StoreConfig, String), ConfigError> {
    let environment = Environment::of_process();
    let environment = match url {
        Some(url) => environment.replacing("redis.url", url, "flag --redis"),
        None => environment,
    };
    let as_miner = match MinerConfig::load_with(path, &environment) {
        Ok(config) => return Ok((parts::store_config(&config.redis), METER_PREFIX.to_owned())),
        Err(error) => error,
    };
    match RelayerConfig::load_with(path, &environment) {
        Ok(config) => Ok((parts::store_config(&config.redis), config.relay_meter.redis_key_prefix)),
        Err(error) if error.problems().len() < as_miner.problems().len() => Err(error),
        Err(_) => Err(as_miner),
    }
}
