//! What relayer and miner do differently when their configuration is read again.

use std::path::PathBuf;

use pocket_config::{ConfigError, Environment, KeysConfig, LoggingConfig, MinerConfig, RelayerConfig};
use pocket_keys::KeySet;
use pocket_miner::{MinerControl, service_factors};
use pocket_relayer::RelayerControl;

use super::Referred;
use crate::keys::KeySource;

/// A half that runs.
pub trait Half: Send + 'static {
    type Config: Clone + PartialEq + Send + 'static;

    /// Reads the configuration anew.
    fn read(place: &Place) -> Result<Self::Config, ConfigError>;

    /// The files that it names.
    fn files(place: &Place) -> Vec<PathBuf>;

    /// The configuration's file, the files that it names, and the folders with keys.
    fn referred(place: &Place, keys: Option<&KeysConfig>) -> Referred {
        let mut files = vec![place.path.clone()];
        files.extend(Self::files(place));
        Referred {
            files,
            folders: keys.map(KeySource::folders).unwrap_or_default(),
        }
    }

    fn keys(config: &Self::Config) -> &KeysConfig;

    fn logging(config: &Self::Config) -> &LoggingConfig;

    /// Whether a change of a file is enough, without a signal.
    fn follows_files(config: &Self::Config) -> bool;

    fn keys_that_need_a_restart(old: &Self::Config, new: &Self::Config) -> Vec<&'static str>;

    /// Works by another configuration and with other keys from now on, or, after an error, as before.
    fn apply(&self, config: &Self::Config, keys: KeySet) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Where a half's configuration is.
#[derive(Clone)]
pub struct Place {
    pub path: PathBuf,
    pub environment: Environment,
}

/// A relayer.
pub struct RelayerHalf(pub RelayerControl);

impl Half for RelayerHalf {
    type Config = RelayerConfig;

    fn read(place: &Place) -> Result<RelayerConfig, ConfigError> {
        RelayerConfig::load_with(&place.path, &place.environment)
    }

    fn files(place: &Place) -> Vec<PathBuf> {
        RelayerConfig::files_named(&place.path, &place.environment)
    }

    fn keys(config: &RelayerConfig) -> &KeysConfig {
        &config.keys
    }

    fn logging(config: &RelayerConfig) -> &LoggingConfig {
        &config.logging
    }

    fn follows_files(_: &RelayerConfig) -> bool {
        true
    }

    fn keys_that_need_a_restart(old: &RelayerConfig, new: &RelayerConfig) -> Vec<&'static str> {
        old.keys_that_need_a_restart(new)
    }

    async fn apply(&self, config: &RelayerConfig, keys: KeySet) -> anyhow::Result<()> {
        Ok(self.0.reload(config.clone(), keys).await?)
    }
}

/// A miner.
pub struct MinerHalf(pub MinerControl);

impl Half for MinerHalf {
    type Config = MinerConfig;

    fn read(place: &Place) -> Result<MinerConfig, ConfigError> {
        MinerConfig::load_with(&place.path, &place.environment)
    }

    fn files(place: &Place) -> Vec<PathBuf> {
        MinerConfig::files_named(&place.path, &place.environment)
    }

    fn keys(config: &MinerConfig) -> &KeysConfig {
        &config.keys
    }

    fn logging(config: &MinerConfig) -> &LoggingConfig {
        &config.logging
    }

    fn follows_files(config: &MinerConfig) -> bool {
        config.hot_reload_enabled
    }

    fn keys_that_need_a_restart(old: &MinerConfig, new: &MinerConfig) -> Vec<&'static str> {
        old.keys_that_need_a_restart(new)
    }

    async fn apply(&self, config: &MinerConfig, keys: KeySet) -> anyhow::Result<()> {
        self.0.reload(keys, service_factors(config));
        Ok(())
    }
}
