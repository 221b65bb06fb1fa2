//! The file itself, and the variables beside it.

use std::path::Path;

use pocket_config::{ConfigError, Environment, MinerConfig, RelayerConfig, UnknownVariable, UnusedKey};
use pocket_protocol::ServiceId;

use super::Finding;

const ABOUT: &str = "configuration";

/// A configuration of either half.
pub trait Half: Sized {
    /// Reads a file.
    fn load(path: &Path, environment: &Environment) -> Result<Self, ConfigError>;
    /// Variables that look like ours.
    fn unknown_variables(environment: &Environment) -> Vec<UnknownVariable>;
    /// Keys of the file that do nothing.
    fn unused_keys(text: &str) -> Vec<UnusedKey>;
    /// What it configures, in a few words.
    fn summary(&self) -> String;
}

impl Half for RelayerConfig {
    fn load(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        Self::load_with(path, environment)
    }

    fn unknown_variables(environment: &Environment) -> Vec<UnknownVariable> {
        Self::unknown_variables(environment)
    }

    fn unused_keys(text: &str) -> Vec<UnusedKey> {
        Self::unused_keys(text)
    }

    fn summary(&self) -> String {
        let backends: usize = self.services.values().map(|service| service.backends.len()).sum();
        let names: Vec<&str> = self.services.keys().map(ServiceId::as_str).collect();
        format!("a relayer of {} with {backends} backends", names.join(", "))
    }
}

impl Half for MinerConfig {
    fn load(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        Self::load_with(path, environment)
    }

    fn unknown_variables(environment: &Environment) -> Vec<UnknownVariable> {
        Self::unknown_variables(environment)
    }

    fn unused_keys(text: &str) -> Vec<UnusedKey> {
        Self::unused_keys(text)
    }

    fn summary(&self) -> String {
        "a miner".to_owned()
    }
}

/// Reads the file; `None` for one that cannot be used. One that cannot be read at all is an error of the command.
pub fn settings<C: Half>(path: &Path, environment: &Environment) -> Result<(Option<C>, Vec<Finding>), ConfigError> {
    let (config, mut findings) = match C::load(path, environment) {
        Ok(config) => {
            let summary = config.summary();
            (Some(config), vec![Finding::ok(ABOUT, summary)])
        }
        Err(ConfigError::Invalid(problems)) => (None, problems.found.iter().map(Finding::from).collect()),
        Err(error) => return Err(error),
    };
    findings.extend(C::unknown_variables(environment).iter().map(unknown_variable));
    if config.is_some() {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        findings.extend(C::unused_keys(&text).into_iter().map(unused_key));
    }
    Ok((config, findings))
}

fn unknown_variable(variable: &UnknownVariable) -> Finding {
    let what = format!("the variable {} stands for no key", variable.name);
    Finding::warning(ABOUT, what, &variable.remedy)
}

/// Nothing to worry about: the Go relay miner's files have many of them.
fn unused_key(key: UnusedKey) -> Finding {
    Finding {
        line: Some(key.line),
        ..Finding::ok(ABOUT, key.reason)
    }
    .at_key(key.key)
}
