//! Keyrings that the Cosmos SDK wrote (`keyrings/recipe` tells how), with entries of every kind.

use std::path::PathBuf;

use pocket_keys::{KeyFault, KeySet, KeyringBackend, KeyringSource, Loaded, Sources};
use serde_json::Value;
use zeroize::Zeroizing;

fn contents() -> Value {
    serde_json::from_str(include_str!("keyrings/contents.json")).unwrap()
}

/// A keyring of a backend, and its password.
fn source(backend: KeyringBackend) -> KeyringSource {
    let mut folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keyrings"));
    if backend == KeyringBackend::Os {
        folder.push("keyring-os");
    }
    let password = contents()["password"].as_str().unwrap().to_owned();
    KeyringSource {
        backend,
        folder,
        service: "pocket".to_owned(),
        password: Some(Zeroizing::new(password)),
        names: Vec::new(),
    }
}

fn load(source: KeyringSource) -> Loaded {
    KeySet::load(&Sources {
        keyring: Some(source),
        ..Sources::default()
    })
}

const WITH_FILES: [KeyringBackend; 3] = [KeyringBackend::Test, KeyringBackend::File, KeyringBackend::Os];

#[test]
fn every_key_is_read_whatever_its_name() {
    for backend in WITH_FILES {
        let loaded = load(source(backend));
        assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
        let contents = contents();
        let expected = contents["keys"].as_array().unwrap();
        assert_eq!(loaded.keys.len(), expected.len());
        for entry in expected {
            let key = loaded.keys.get(entry["address"].as_str().unwrap());
            let key = key.unwrap_or_else(|| panic!("{backend:?}: {} is missing", entry["name"]));
            assert_eq!(
                hex::encode(*key.expose_secret()),
                entry["private_key"].as_str().unwrap()
            );
        }
    }
}

#[test]
fn entries_that_are_no_suppliers_keys_are_left_out_and_told() {
    for backend in WITH_FILES {
        let loaded = load(source(backend));
        let mut told: Vec<_> = loaded.skipped.iter().map(ToString::to_string).collect();
        told.sort();
        let expected = [
            "ledger.info: holds no private key: it is a record of a Ledger key",
            "multisig.info: holds no private key: it is a record of a multisig key",
            "offline.info: holds no private key: it is a record of a public key",
            "validator.info: holds a key of type /cosmos.crypto.ed25519.PrivKey, not secp256k1",
        ];
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.ends_with(expected), "{told}");
        }
    }
}

#[test]
fn entry_that_is_asked_for_by_name_must_be_a_key() {
    for entry in contents()["keys"].as_array().unwrap() {
        let mut source = source(KeyringBackend::File);
        source.names = vec![entry["name"].as_str().unwrap().to_owned()];
        let loaded = load(source);
        assert!(
            loaded.errors.is_empty() && loaded.keys.len() == 1,
            "{:?}",
            loaded.errors
        );
        assert!(loaded.keys.get(entry["address"].as_str().unwrap()).is_some());
    }
    let mut source = source(KeyringBackend::File);
    source.names = vec!["multisig".to_owned()];
    let loaded = load(source);
    assert!(loaded.keys.is_empty() && loaded.skipped.is_empty());
    assert!(matches!(loaded.errors[0].fault, KeyFault::NoPrivateKey("multisig")));
}

#[test]
fn wrong_password_is_one_clear_error() {
    for backend in [KeyringBackend::File, KeyringBackend::Os] {
        for password in ["wrong", "", "correct horse battery", "correct hörse battery "] {
            let mut source = source(backend);
            source.password = Some(Zeroizing::new(password.to_owned()));
            let loaded = load(source);
            assert!(loaded.keys.is_empty());
            let [error] = &loaded.errors[..] else {
                panic!("{:?}", loaded.errors)
            };
            assert!(matches!(error.fault, KeyFault::WrongPassword));
            assert!(error.to_string().ends_with(": the password is wrong"), "{error}");
        }
    }
}
