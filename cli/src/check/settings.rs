//! The file itself, and the variables beside it.

use std::path::Path;

use pocket_config::{
    ConfigError, Environment, MinerConfig, RelayerConfig, SimulationIdentity, UnknownVariable, UnusedKey,
};
use pocket_protocol::ServiceId;
use pocket_relayer::check_tls;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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
    /// What is wrong with it that its text does not show.
    fn beyond_the_text(&self) -> Vec<Finding> {
        Vec::new()
    }
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

    fn beyond_the_text(&self) -> Vec<Finding> {
        let tls = self.tls.as_ref().and_then(|files| check_tls(files).err());
        let tls = tls.map(|error| Finding::error(ABOUT, error.to_string(), "correct the path, or write the file anew"));
        let now = OffsetDateTime::now_utc();
        let identities = self.simulation.identities.iter().filter(|identity| identity.enabled);
        let over = identities.filter(|identity| is_over(identity, now)).map(expired);
        tls.into_iter().chain(over).collect()
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
            let mut findings = vec![Finding::ok(ABOUT, config.summary())];
            findings.extend(config.beyond_the_text());
            (Some(config), findings)
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

fn is_over(identity: &SimulationIdentity, now: OffsetDateTime) -> bool {
    let until = identity
        .not_after
        .as_deref()
        .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
    until.is_some_and(|until| until < now)
}

fn expired(identity: &SimulationIdentity) -> Finding {
    let what = format!("the identity {:?} is over: its relays are refused", identity.key_id);
    Finding::warning(ABOUT, what, "set a later not_after").at_key("simulation.identities")
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
