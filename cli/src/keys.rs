//! Operators' keys for a half, from where its configuration says, and the password of a keyring.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use pocket_config::{KeyringBackend, KeyringConfig, KeysConfig};
use pocket_keys::{KeyFault, KeySet, KeyringSource, LoadError, Loaded, Sources};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::prompt;
use crate::reload::KeySeries;

/// The variable with a keyring's password.
const PASSWORD: &str = "KEYRING_PASSWORD";
/// How often a wrong password may be given at the terminal.
const ATTEMPTS: usize = 3;

/// Loads keys, again and again. A password that was given at the terminal is asked for once.
#[derive(Default)]
pub struct KeySource {
    given: Option<Zeroizing<String>>,
}

impl KeySource {
    /// Folders with keys: what comes, goes or changes there is a change of the configuration.
    pub fn folders(config: &KeysConfig) -> Vec<PathBuf> {
        let mut folders: Vec<_> = config.keys_dir.iter().cloned().collect();
        if let Some(keyring) = &config.keyring
            && let Ok(folder) = keyring_folder(keyring)
        {
            folders.extend(["keyring-file", "keyring-test"].map(|name| folder.join(name)));
            folders.push(folder);
        }
        folders
    }

    /// The keys to start with: what cannot be read is told, and is an error when nothing could be.
    pub async fn load_some(&mut self, config: &KeysConfig) -> anyhow::Result<Loaded> {
        let loaded = self.load(config).await?;
        tell_skipped(&loaded);
        for error in &loaded.errors {
            tracing::error!(%error, "a key is not loaded");
        }
        if loaded.keys.is_empty() {
            bail!("no operator key could be loaded{}", reasons(&loaded));
        }
        for supplier in loaded.keys.addresses() {
            tracing::info!(%supplier, "operator key loaded");
        }
        Ok(loaded)
    }

    /// The keys to go on with: all of them, or an error.
    pub async fn load_all(&mut self, config: &KeysConfig, series: &KeySeries) -> anyhow::Result<KeySet> {
        let loaded = self.load(config).await?;
        series.failed(&loaded);
        tell_skipped(&loaded);
        if !loaded.errors.is_empty() {
            bail!("not every operator key could be loaded{}", reasons(&loaded));
        }
        if loaded.keys.is_empty() {
            bail!("no operator key is left{}", reasons(&loaded));
        }
        Ok(loaded.keys)
    }

    /// The keys, and what could not be read.
    pub async fn load(&mut self, config: &KeysConfig) -> anyhow::Result<Loaded> {
        for attempt in 1.. {
            let (keyring, was_given) = match &config.keyring {
                Some(keyring) => {
                    let (source, was_given) = self.keyring(keyring).await?;
                    (Some(source), was_given)
                }
                None => (None, false),
            };
            let sources = Sources {
                keys_file: config.keys_file.clone(),
                keys_dir: config.keys_dir.clone(),
                keyring,
            };
            let loaded = spawn_blocking(move || KeySet::load(&sources)).await?;
            let is_wrong = |error: &LoadError| matches!(error.fault, KeyFault::WrongPassword);
            if was_given && attempt < ATTEMPTS && loaded.errors.iter().any(is_wrong) {
                eprintln!("This is not the keyring's password.");
                self.given = None;
                continue;
            }
            return Ok(loaded);
        }
        unreachable!("the attempts end before the numbers do")
    }

    /// The keyring, and whether its password was given just now.
    async fn keyring(&mut self, config: &KeyringConfig) -> anyhow::Result<(KeyringSource, bool)> {
        let backend = match config.backend {
            KeyringBackend::Test => pocket_keys::KeyringBackend::Test,
            KeyringBackend::File => pocket_keys::KeyringBackend::File,
            KeyringBackend::Os => pocket_keys::KeyringBackend::Os,
            KeyringBackend::Memory => pocket_keys::KeyringBackend::Memory,
        };
        let mut source = KeyringSource {
            backend,
            folder: keyring_folder(config)?,
            service: config.app_name.clone(),
            password: None,
            names: config.key_names.clone(),
        };
        let mut was_given = false;
        if source.needs_password() {
            (source.password, was_given) = self.password(config, &source).await?;
        }
        Ok((source, was_given))
    }

    async fn password(
        &mut self,
        config: &KeyringConfig,
        source: &KeyringSource,
    ) -> anyhow::Result<(Option<Zeroizing<String>>, bool)> {
        if let Some(file) = &config.password_file {
            let read = std::fs::read_to_string(file).map(Zeroizing::new);
            let text =
                read.with_context(|| format!("keys.keyring.password_file: {} cannot be read", file.display()))?;
            let password = text.trim_end_matches(['\r', '\n']);
            return Ok((Some(Zeroizing::new(password.to_owned())), false));
        }
        if let Ok(password) = std::env::var(PASSWORD) {
            return Ok((Some(Zeroizing::new(password)), false));
        }
        if let Some(given) = &self.given {
            return Ok((Some(given.clone()), false));
        }
        if !prompt::is_possible() {
            bail!(
                "keys.keyring: the keyring has a password; name a file with it in keys.keyring.password_file, give it \
                 in the environment variable {PASSWORD}, or start from a terminal to be asked for it"
            );
        }
        let question = format!("Password of the keyring {}: ", source.place().display());
        let given = spawn_blocking(move || prompt::ask(&question)).await?;
        let given = given.context("keys.keyring: no password was given")?;
        self.given = Some(given.clone());
        Ok((Some(given), true))
    }
}

fn keyring_folder(config: &KeyringConfig) -> anyhow::Result<PathBuf> {
    Ok(match &config.dir {
        Some(folder) => folder.clone(),
        None => PathBuf::from(std::env::var("HOME").context("keys.keyring.dir: set it, or set HOME")?)
            .join(format!(".{}", config.app_name)),
    })
}

/// Entries of a keyring that no supplier can sign with are there for something else.
fn tell_skipped(loaded: &Loaded) {
    for entry in &loaded.skipped {
        tracing::warn!(%entry, "a keyring's entry is left out");
    }
}

/// One a line.
fn reasons(loaded: &Loaded) -> String {
    let all = loaded.errors.iter().chain(&loaded.skipped);
    all.fold(String::new(), |told, reason| told + "\n  " + &reason.to_string())
}
