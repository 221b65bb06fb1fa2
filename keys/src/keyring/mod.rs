//! Cosmos keyrings: the folders `keyring-test` and `keyring-file` of the SDK, and what it calls `os`.

mod bus;
mod jwe;
mod record;
mod secret_service;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::{KeyFault, KeyProvider, LoadError, SigningKey};

/// The password of the `test` backend, as the SDK fixes it.
const TEST_PASSWORD: &str = "test";

/// Where a keyring lies and how it is opened.
#[derive(Clone)]
pub struct KeyringSource {
    /// How it is stored.
    pub backend: KeyringBackend,
    /// The folder in which `keyring-test` or `keyring-file` lies.
    pub folder: PathBuf,
    /// The application's name, under which the `os` backend keeps keys.
    pub service: String,
    /// The password of the `file` backend, and of `os` where it keeps keys in files; the others take none.
    pub password: Option<Zeroizing<String>>,
    /// Names of the keys to load; all of them if empty.
    pub names: Vec<String>,
}

impl KeyringSource {
    /// Whether there is a password to be given.
    pub fn needs_password(&self) -> bool {
        match self.backend {
            KeyringBackend::File => true,
            KeyringBackend::Os => self.os_store() == OsStore::Files,
            KeyringBackend::Test | KeyringBackend::Memory => false,
        }
    }

    /// The folder with the keyring's files.
    pub fn place(&self) -> PathBuf {
        match self.backend {
            KeyringBackend::Test => self.folder.join("keyring-test"),
            KeyringBackend::File => self.folder.join("keyring-file"),
            KeyringBackend::Os | KeyringBackend::Memory => self.folder.clone(),
        }
    }

    /// Where the `os` backend keeps keys on this machine: without a desktop's key store the SDK falls back on files.
    fn os_store(&self) -> OsStore {
        if files(&self.folder, &[]).is_ok_and(|files| !files.is_empty()) {
            OsStore::Files
        } else {
            OsStore::SecretService
        }
    }
}

/// Where the SDK's `os` backend keeps keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OsStore {
    SecretService,
    Files,
}

impl fmt::Debug for KeyringSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringSource")
            .field("backend", &self.backend)
            .field("folder", &self.folder)
            .field("service", &self.service)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// The SDK's keyring backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyringBackend {
    /// `keyring-test`, sealed with a password that everyone knows.
    Test,
    /// `keyring-file`, sealed with the owner's password.
    File,
    /// The desktop's key store (Secret Service), or, on a machine without one, files as those of [`Self::File`] in the
    /// folder itself.
    Os,
    /// Nothing: such a keyring is gone with the process that filled it, so it is always empty here.
    Memory,
}

/// No backend of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no keyring backend `{0}`: use `file`, `os`, `test` or `memory`")]
pub struct KeyringBackendError(String);

impl FromStr for KeyringBackend {
    type Err = KeyringBackendError;

    fn from_str(name: &str) -> Result<Self, KeyringBackendError> {
        match name {
            "test" => Ok(Self::Test),
            "file" => Ok(Self::File),
            "os" => Ok(Self::Os),
            "memory" => Ok(Self::Memory),
            other => Err(KeyringBackendError(other.to_owned())),
        }
    }
}

/// What a keyring gave.
#[derive(Default)]
pub(crate) struct Found {
    pub keys: Vec<SigningKey>,
    pub errors: Vec<LoadError>,
    /// Entries that are no supplier's keys, where none was asked for by its name.
    pub skipped: Vec<LoadError>,
}

impl Found {
    fn add(&mut self, path: PathBuf, read: Result<SigningKey, KeyFault>, is_named: bool) {
        match read {
            Ok(key) => self.keys.push(key),
            Err(fault) if fault.is_of_another_kind() && !is_named => self.skipped.push(error(path, fault)),
            Err(fault) => self.errors.push(error(path, fault)),
        }
    }

    fn nothing(path: PathBuf, fault: KeyFault) -> Self {
        Self {
            errors: vec![error(path, fault)],
            ..Self::default()
        }
    }
}

fn error(path: PathBuf, fault: KeyFault) -> LoadError {
    LoadError {
        provider: KeyProvider::Keyring,
        path,
        fault,
    }
}

/// The keys of a keyring, in the order of their names.
pub(crate) fn load(source: &KeyringSource) -> Found {
    let place = source.place();
    let password = match source.backend {
        KeyringBackend::Memory => return Found::default(),
        KeyringBackend::Os if source.os_store() == OsStore::SecretService => return secret_service::load(source),
        KeyringBackend::Test => Ok(TEST_PASSWORD),
        KeyringBackend::File | KeyringBackend::Os => source
            .password
            .as_ref()
            .map(|password| password.as_str())
            .ok_or(KeyFault::PasswordNeeded),
    };
    let opened = password.and_then(|password| {
        check_password(&place, password)?;
        Ok((password, files(&place, &source.names)?))
    });
    let (password, paths) = match opened {
        Ok(opened) => opened,
        Err(fault) => return Found::nothing(place, fault),
    };
    let mut found = Found::default();
    for path in paths {
        let read = read(&path, password);
        found.add(path, read, !source.names.is_empty());
    }
    found
}

/// The `file` backend keeps a bcrypt hash of its password, so that one wrong password is one error
/// and not one per key. A keyring without the hash is opened all the same.
fn check_password(folder: &Path, password: &str) -> Result<(), KeyFault> {
    let Ok(hash) = std::fs::read_to_string(folder.join("keyhash")) else {
        return Ok(());
    };
    match bcrypt::verify(password, hash.trim()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(KeyFault::WrongPassword),
        Err(_) => Err(KeyFault::Damaged("its keyhash is no bcrypt hash")),
    }
}

/// The files of the named keys, or every `.info` file.
fn files(folder: &Path, names: &[String]) -> std::io::Result<Vec<PathBuf>> {
    if !names.is_empty() {
        return Ok(names.iter().map(|name| folder.join(file_name(name))).collect());
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "info") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The keyring library writes a slash or a percent sign in a name as its code.
fn file_name(key: &str) -> String {
    format!("{}.info", key.replace('%', "%25").replace('/', "%2F"))
}

fn read(path: &Path, password: &str) -> Result<SigningKey, KeyFault> {
    let item = jwe::open(&std::fs::read(path)?, password)?;
    record::signing_key(&record::item_data(&item)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(backend: KeyringBackend, password: Option<&str>) -> KeyringSource {
        KeyringSource {
            backend,
            folder: concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/keyring").into(),
            service: "pocket".to_owned(),
            password: password.map(|text| Zeroizing::new(text.to_owned())),
            names: Vec::new(),
        }
    }

    #[test]
    fn wrong_password_is_one_error_and_a_missing_one_another() {
        let Found { keys, errors, .. } = load(&source(KeyringBackend::File, Some("wrong horse")));
        assert!(keys.is_empty());
        assert!(
            matches!(
                errors[..],
                [LoadError {
                    fault: KeyFault::WrongPassword,
                    ..
                }]
            ),
            "{errors:?}"
        );
        let errors = load(&source(KeyringBackend::File, None)).errors;
        assert!(matches!(
            errors[..],
            [LoadError {
                fault: KeyFault::PasswordNeeded,
                ..
            }]
        ));
    }

    #[test]
    fn only_the_named_keys_are_loaded() {
        let mut source = source(KeyringBackend::Test, None);
        source.names = vec!["supplier2".into(), "../absent".into()];
        let Found { keys, errors, .. } = load(&source);
        assert_eq!(keys.len(), 1);
        assert_eq!(
            keys[0].address().as_str(),
            "pokt1daeneql2ff4tdpl3wp3wckl7k7zmamdk2a5xc3"
        );
        assert_eq!(errors.len(), 1);
        assert!(errors[0].path.ends_with("keyring-test/..%2Fabsent.info"));
    }

    #[test]
    fn debug_text_holds_no_password() {
        let text = format!("{:?}", source(KeyringBackend::File, Some("correct horse")));
        assert!(!text.contains("horse"), "{text}");
    }

    #[test]
    fn unknown_backend_is_refused_by_name() {
        assert_eq!("file".parse(), Ok(KeyringBackend::File));
        let error = "kwallet".parse::<KeyringBackend>().unwrap_err().to_string();
        assert!(error.contains("kwallet") && error.contains("memory"), "{error}");
    }

    #[test]
    fn keyring_in_memory_is_empty_and_no_error() {
        let found = load(&source(KeyringBackend::Memory, None));
        assert!(found.keys.is_empty() && found.errors.is_empty() && found.skipped.is_empty());
    }

    #[test]
    fn os_keyring_in_files_is_read_where_the_sdk_puts_it() {
        let mut source = source(KeyringBackend::Os, Some("correct horse battery"));
        source.folder.push("keyring-file");
        assert!(source.needs_password());
        assert_eq!(load(&source).keys.len(), 3);
        source.password = None;
        assert!(matches!(load(&source).errors[0].fault, KeyFault::PasswordNeeded));
    }
}
