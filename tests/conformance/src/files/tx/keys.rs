//! Keys, their addresses and signatures, and the forms in which they are kept.

use std::path::Path;

use pocket_keys::{KeyFault, KeySet, KeyringSource, PublicKey, SigningKey, Sources};
use pocket_protocol::{account_of_public_key, decode_account, encode_account};
use serde_json::Value;

use crate::read::{array, bytes, flag, same, text};

/// A key, what follows from it, and its public key as it stands in a transaction.
pub fn key(case: &Value) -> Result<(), String> {
    let key = SigningKey::from_hex(text(case, "private_key")?).map_err(|error| error.to_string())?;
    same("public key", key.public_key(), array::<33>(case, "public_key")?)?;
    same("address", key.address().as_str(), text(case, "address")?)?;
    same(
        "address bytes",
        account_of_public_key(&key.public_key()).to_vec(),
        bytes(case, "address_bytes")?,
    )?;
    same(
        "public key in a transaction",
        any_public_key(&key.public_key()),
        bytes(case, "public_key_any")?,
    )
}

fn any_public_key(key: &[u8; 33]) -> Vec<u8> {
    use prost::Message as _;
    let key = pocket_proto::cosmos::crypto::secp256k1::PubKey {
        key: key.to_vec().into(),
    };
    prost_types::Any {
        type_url: pocket_proto::type_url::PUB_KEY.to_owned(),
        value: key.encode_to_vec(),
    }
    .encode_to_vec()
}

/// A text that is an address, or not.
pub fn address(case: &Value) -> Result<(), String> {
    let written = text(case, "address")?;
    match (decode_account(written), flag(case, "valid")?) {
        (Ok(account), true) => {
            same("account", &account, &bytes(case, "bytes")?)?;
            same("written again", encode_account(&account), Ok(written.to_lowercase()))
        }
        (Err(_), false) => Ok(()),
        (ours, valid) => Err(format!("ours {ours:?}, expected valid = {valid}")),
    }
}

/// Words and the key that is derived from them.
pub fn mnemonic(case: &Value) -> Result<(), String> {
    let key = derive(case, text(case, "passphrase")?)?;
    same("public key", key.public_key(), array::<33>(case, "public_key")?)?;
    is_key_of(&key, case)
}

fn derive(case: &Value, passphrase: &str) -> Result<SigningKey, String> {
    SigningKey::from_mnemonic(text(case, "mnemonic")?, passphrase, text(case, "path")?)
        .map_err(|error| error.to_string())
}

fn is_key_of(key: &SigningKey, case: &Value) -> Result<(), String> {
    same("address", key.address().as_str(), text(case, "address")?)?;
    same("private key", *key.expose_secret(), array::<32>(case, "private_key")?)
}

/// A signature, which is the same each time, and its check.
pub fn signature(case: &Value) -> Result<(), String> {
    let key = SigningKey::from_hex(text(case, "private_key")?).map_err(|error| error.to_string())?;
    let message = bytes(case, "message")?;
    let expected = array::<64>(case, "signature")?;
    same("signature", key.sign_message(&message), expected)?;
    same(
        "signature of the digest",
        key.sign_digest(&array(case, "signed_hash")?),
        expected,
    )?;
    let public = PublicKey::from_compressed(&bytes(case, "public_key")?).map_err(|error| error.to_string())?;
    same("its check", public.verify(&message, &expected), Ok(()))?;
    let mut changed = expected;
    changed[40] ^= 1;
    same(
        "a changed one is refused",
        public.verify(&message, &changed).is_err(),
        true,
    )
}

/// A keyring on disk: all of its keys are found, with its password and with no other.
pub fn keyring(folder: &Path, case: &Value) -> Result<(), String> {
    let place = folder.join(text(case, "folder")?);
    let mut source = KeyringSource {
        backend: text(case, "name")?
            .parse()
            .map_err(|error: pocket_keys::KeyringBackendError| error.to_string())?,
        folder: place.parent().ok_or("the keyring's folder has no parent")?.to_owned(),
        service: text(case, "application_name")?.to_owned(),
        password: Some(text(case, "password")?.to_owned().into()),
        names: Vec::new(),
    };
    let keys = load(&source)?;
    let expected = case["keys"].as_array().ok_or("keys is no list")?;
    same("number of keys", keys.len(), expected.len())?;
    for entry in expected {
        let key = keys
            .get(text(entry, "address")?)
            .ok_or_else(|| format!("{} is missing", entry["name"]))?;
        is_key_of(&key, entry)?;
        same(
            "the key of the mnemonic",
            derive(entry, "")?.public_key(),
            key.public_key(),
        )?;
    }
    if source.backend == pocket_keys::KeyringBackend::File {
        source.password = Some("another".to_owned().into());
        let refusal = load(&source).err().unwrap_or_default();
        same("another password is refused", refusal.contains("WrongPassword"), true)?;
    }
    Ok(())
}

fn load(source: &KeyringSource) -> Result<KeySet, String> {
    let loaded = KeySet::load(&Sources {
        keyring: Some(source.clone()),
        ..Sources::default()
    });
    if loaded.errors.is_empty() {
        Ok(loaded.keys)
    } else {
        Err(format!("{:?}", loaded.errors))
    }
}

/// An exported key, opened with its passphrase and with no other.
pub fn armored(case: &Value) -> Result<(), String> {
    let exported = text(case, "text")?;
    let passphrase = text(case, "passphrase")?;
    let key = SigningKey::from_armored(exported, passphrase).map_err(|fault| fault.to_string())?;
    is_key_of(&key, case)?;
    match SigningKey::from_armored(exported, &format!("{passphrase}!")) {
        Err(KeyFault::WrongPassword) => Ok(()),
        other => Err(format!("with another passphrase: {other:?}")),
    }
}
