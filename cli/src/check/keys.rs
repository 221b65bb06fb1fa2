//! The suppliers' keys.

use pocket_config::KeysConfig;
use pocket_keys::KeySet;

use super::Finding;
use crate::keys::KeySource;

const ABOUT: &str = "keys";

/// Loads all keys; those that could be loaded, and what there is to say.
pub async fn keys(config: &KeysConfig) -> (KeySet, Vec<Finding>) {
    let loaded = match KeySource::default().load(config).await {
        Ok(loaded) => loaded,
        Err(error) => {
            let remedy = "correct the section keys";
            return (
                KeySet::default(),
                vec![Finding::error(ABOUT, format!("{error:#}"), remedy)],
            );
        }
    };
    let mut findings: Vec<Finding> = loaded
        .keys
        .addresses()
        .map(|address| Finding::ok(ABOUT, address.to_string()))
        .collect();
    let skipped = loaded
        .skipped
        .iter()
        .map(|entry| Finding::ok(ABOUT, format!("left out: {entry}")));
    findings.extend(skipped);
    let remedy = "see to it that the file is there, can be read by this user, and holds hexadecimal private keys";
    findings.extend(
        loaded
            .errors
            .iter()
            .map(|error| Finding::error(ABOUT, error.to_string(), remedy)),
    );
    if loaded.keys.is_empty() && loaded.errors.is_empty() {
        let remedy = "add a supplier's operator key to what keys.keys_file, keys.keys_dir or keys.keyring names";
        findings.push(Finding::error(ABOUT, "there is no key", remedy));
    }
    (loaded.keys, findings)
}
