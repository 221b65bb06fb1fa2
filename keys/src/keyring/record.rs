//! What a sealed `.info` file holds: a JSON item around a protobuf `cosmos.crypto.keyring.v1.Record`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::secret_text::SecretText;
use crate::{KeyFault, SigningKey};

const SECP256K1: &str = "/cosmos.crypto.secp256k1.PrivKey";

/// The keyring library's own wrapping; `Data` is base64.
#[derive(Deserialize)]
struct Item {
    #[serde(rename = "Data")]
    data: SecretText,
}

/// `cosmos.crypto.keyring.v1.Record`, without its public key: that follows from the private one.
#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(oneof = "Kind", tags = "3, 4, 5, 6")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "3")]
    Local(Local),
    #[prost(message, tag = "4")]
    Ledger(()),
    #[prost(message, tag = "5")]
    Multi(()),
    #[prost(message, tag = "6")]
    Offline(()),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Local {
    #[prost(message, optional, tag = "1")]
    private_key: Option<AnyKey>,
}

/// `google.protobuf.Any` around a key.
#[derive(Clone, PartialEq, prost::Message)]
struct AnyKey {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PrivKey {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

/// The record's bytes in an opened `.info` file.
pub(crate) fn item_data(item: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let item: Item = serde_json::from_slice(item).map_err(|_| KeyFault::Damaged("its item is not readable"))?;
    STANDARD
        .decode(item.data.expose())
        .map(Zeroizing::new)
        .map_err(|_| KeyFault::Damaged("its item is not base64"))
}

/// The private key of a record.
pub(crate) fn signing_key(record: &[u8]) -> Result<SigningKey, KeyFault> {
    let damaged = |_| KeyFault::Damaged("its record is not readable (before version 0.46 it had another form)");
    let any = match Record::decode(record).map_err(damaged)?.kind {
        Some(Kind::Local(local)) => local.private_key.ok_or(KeyFault::Damaged("its record is empty"))?,
        Some(Kind::Ledger(())) => return Err(KeyFault::NoPrivateKey("Ledger")),
        Some(Kind::Multi(())) => return Err(KeyFault::NoPrivateKey("multisig")),
        Some(Kind::Offline(())) => return Err(KeyFault::NoPrivateKey("public")),
        None => return Err(KeyFault::Damaged("its record is empty")),
    };
    if any.type_url != SECP256K1 {
        return Err(KeyFault::Algorithm(any.type_url));
    }
    let value = Zeroizing::new(any.value);
    let key = Zeroizing::new(PrivKey::decode(value.as_slice()).map_err(damaged)?.key);
    Ok(SigningKey::from_bytes(&key)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: Kind) -> Vec<u8> {
        Record { kind: Some(kind) }.encode_to_vec()
    }

    #[test]
    fn records_without_a_secp256k1_key_say_what_they_are() {
        let offline = signing_key(&record(Kind::Offline(())));
        assert!(matches!(offline, Err(KeyFault::NoPrivateKey("public"))));
        let ed25519 = signing_key(&record(Kind::Local(Local {
            private_key: Some(AnyKey {
                type_url: "/cosmos.crypto.ed25519.PrivKey".into(),
                value: vec![],
            }),
        })));
        assert!(matches!(ed25519, Err(KeyFault::Algorithm(_))));
        assert!(matches!(signing_key(&[]), Err(KeyFault::Damaged(_))));
    }
}
