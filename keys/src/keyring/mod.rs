//! Cosmos keyrings on disk: the folders `keyring-test` and `keyring-file` of the SDK.

mod jwe;
mod record;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::{KeyFault, LoadError, SigningKey};

/// The password of the `test` backend, as the SDK fixes it.
const TEST_PASSWORD: &str = "test";

/// Where a keyring lies and how it is opened.
#[derive(Clone)]
pub struct KeyringSource {
    /// How it is stored.
    pub backend: KeyringBackend,
    /// The folder in which `keyring-test` or `keyring-file` lies.
    pub folder: PathBuf,
    /// The password of the `file` backend; the `test` backend takes none.
    pub password: Option<Zeroizing<String>>,
    /// Names of the keys to load; all of them if empty.
    pub names: Vec<String>,
}

impl fmt::Debug for KeyringSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringSource")
            .field("backend", &self.backend)
            .field("folder", &self.folder)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// The SDK's keyring backends that need nothing but files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyringBackend {
    /// `keyring-test`, sealed with a password that everyone knows.
    Test,
    /// `keyring-file`, sealed with the owner's password.
    File,
}

/// A backend that keeps its keys out of files, or none of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("keyring backend `{0}` is not supported: use `file` or `test`")]
pub struct KeyringBackendError(String);

impl FromStr for KeyringBackend {
    type Err = KeyringBackendError;

    fn from_str(name: &str) -> Result<Self, KeyringBackendError> {
        match name {
            "test" => Ok(Self::Test),
            "file" => Ok(Self::File),
            other => Err(KeyringBackendError(other.to_owned())),
        }
    }
}

/// The keys of a keyring's `.info` files, in the order of their names.
pub(crate) fn load(source: &KeyringSource) -> (Vec<SigningKey>, Vec<LoadError>) {
    let (folder, password) = match (source.backend, &source.password) {
        (KeyringBackend::Test, _) => (source.folder.join("keyring-test"), Ok(TEST_PASSWORD)),
        (KeyringBackend::File, Some(password)) => (source.folder.join("keyring-file"), Ok(password.as_str())),
        (KeyringBackend::File, None) => (source.folder.join("keyring-file"), Err(KeyFault::PasswordNeeded)),
    };
    let opened = password.and_then(|password| {
        check_password(&folder, password)?;
        Ok((password, files(&folder, &source.names)?))
    });
    let (password, paths) = match opened {
        Ok(opened) => opened,
        Err(fault) => return (Vec::new(), vec![LoadError { path: folder, fault }]),
    };
    let (mut keys, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        match read(&path, password) {
            Ok(key) => keys.push(key),
            Err(fault) => errors.push(LoadError { path, fault }),
        }
    }
    (keys, errors)
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
            password: password.map(|text| Zeroizing::new(text.to_owned())),
            names: Vec::new(),
        }
    }

    #[test]
    fn wrong_password_is_one_error_and_a_missing_one_another() {
        let (keys, errors) = load(&source(KeyringBackend::File, Some("wrong horse")));
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
        let (_, errors) = load(&source(KeyringBackend::File, None));
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
        let (keys, errors) = load(&source);
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
    fn backends_outside_files_are_refused_by_name() {
        assert_eq!("file".parse(), Ok(KeyringBackend::File));
        assert!("os".parse::<KeyringBackend>().is_err());
    }
}
