//! A file with the keys of an application and, perhaps, a gateway.

use std::io;
use std::path::Path;

use pocket_keys::{SigningKey, SigningKeyError};
use serde::Deserialize;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// One hex key under `applications`, at most one under `gateway` or `gateways`. Other fields are ignored.
#[derive(Deserialize)]
struct KeysFile {
    #[serde(default)]
    applications: Vec<Secret>,
    #[serde(default)]
    gateway: Vec<Secret>,
    #[serde(default)]
    gateways: Vec<Secret>,
}

#[derive(Deserialize, ZeroizeOnDrop)]
#[serde(transparent)]
struct Secret(String);

/// Why a file gives no keys. Nothing here holds any of its text.
#[derive(Debug, thiserror::Error)]
pub enum KeysFileError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is no YAML of this shape.
    #[error("line {line}: expected lists of hex keys under `applications` and `gateway`")]
    Syntax {
        /// Where, from 1; 0 is unknown.
        line: u64,
    },
    /// A list with more or fewer keys than there must be.
    #[error("`{list}` holds {found} keys, expected {expected}")]
    Count {
        /// The list.
        list: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: &'static str,
    },
    /// A key that is none.
    #[error("`{list}`: {error}")]
    Key {
        /// The list.
        list: &'static str,
        /// What is wrong.
        error: SigningKeyError,
    },
}

/// The application's key, and the gateway's if there is one.
pub(crate) fn load(path: &Path) -> Result<(SigningKey, Option<SigningKey>), KeysFileError> {
    parse(&Zeroizing::new(std::fs::read_to_string(path)?))
}

fn parse(text: &str) -> Result<(SigningKey, Option<SigningKey>), KeysFileError> {
    // The parser's message may quote the text, so only the place is kept.
    let file: KeysFile = serde_saphyr::from_str(text).map_err(|error| KeysFileError::Syntax {
        line: error.location().map_or(0, |place| place.line()),
    })?;
    let [application] = &file.applications[..] else {
        return Err(count("applications", file.applications.len(), "1"));
    };
    let gateways: Vec<_> = file.gateway.iter().chain(&file.gateways).collect();
    let gateway = match gateways[..] {
        [] => None,
        [gateway] => Some(key("gateway", gateway)?),
        _ => return Err(count("gateway", gateways.len(), "at most 1")),
    };
    Ok((key("applications", application)?, gateway))
}

fn count(list: &'static str, found: usize, expected: &'static str) -> KeysFileError {
    KeysFileError::Count { list, found, expected }
}

fn key(list: &'static str, secret: &Secret) -> Result<SigningKey, KeysFileError> {
    SigningKey::from_hex(&secret.0).map_err(|error| KeysFileError::Key { list, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn application_and_gateway_are_read() {
        let (one, two) = ("01".repeat(32), "02".repeat(32));
        for text in [
            format!("applications:\n  - {one}\ngateway:\n  - 0x{two}\n"),
            format!("applications: [\"{one}\"]\ngateways: [\"{two}\"]\nsuppliers: [x]\n"),
        ] {
            let (application, gateway) = parse(&text).unwrap();
            assert_eq!(
                application.address(),
                SigningKey::from_bytes(&[1; 32]).unwrap().address()
            );
            assert_eq!(
                gateway.unwrap().address(),
                SigningKey::from_bytes(&[2; 32]).unwrap().address()
            );
        }
        assert!(parse(&format!("applications: [{one}]")).unwrap().1.is_none());
    }

    #[test]
    fn one_application_and_at_most_one_gateway_is_allowed() {
        let key = "01".repeat(32);
        for (text, wrong) in [
            (format!("gateway: [{key}]"), "applications"),
            (format!("applications: [{key}, {key}]"), "applications"),
            (
                format!("applications: [{key}]\ngateway: [{key}]\ngateways: [{key}]"),
                "gateway",
            ),
        ] {
            let error = parse(&text).err().unwrap();
            assert!(
                matches!(error, KeysFileError::Count { list, .. } if list == wrong),
                "{error}"
            );
        }
    }

    #[test]
    fn error_never_shows_the_key() {
        let secret = "c5".repeat(32);
        for text in [
            format!("applications: {secret}"),
            format!("a: 1\napplications: {{ {secret}: 1 }}"),
            format!("applications: [{secret}c5]"),
        ] {
            let error = parse(&text).err().unwrap();
            assert!(!format!("{error:?} {error}").contains(&secret[..8]), "{error}");
        }
    }
}
