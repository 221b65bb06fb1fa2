//! The bytes of a transaction (spec `chain.md` §7.1).
//!
//! `AuthInfo`, `SignDoc` and `TxRaw` are cosmrs's. Its `Body` has no `unordered` and `timeout_timestamp`,
//! so the body is this project's own message; only bytes pass between the two.

use bytes::Bytes;
use cosmrs::proto::cosmos::tx::v1beta1::TxRaw;
use cosmrs::tx::{AuthInfo, Fee, Raw, SignDoc, SignerInfo};
use cosmrs::{Coin, Denom};
use pocket_proto::cosmos::tx::v1beta1::TxBody;
use pocket_protocol::{Height, Upokt};
use prost::Message as _;
use prost_types::{Any, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::TxError;

/// How long a transaction may wait, and how it is kept from being run twice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Validity {
    /// By the account's sequence.
    Ordered {
        /// The account's next sequence.
        sequence: u64,
        /// The last block that may include it; 0 for any.
        timeout: Height,
    },
    /// By a timestamp of its own.
    Unordered {
        /// The block time after which it is void, unique to the signer in its nanoseconds.
        timeout: Timestamp,
    },
}

/// What a transaction says, before it is signed.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// All of one signer.
    pub messages: &'a [Any],
    /// A public remark.
    pub memo: &'a str,
    /// Sequence or timestamp.
    pub validity: Validity,
    /// The signer's compressed key.
    pub public_key: &'a [u8; 33],
    /// The most gas it may use; the fee is for all of it.
    pub gas_limit: u64,
    /// 0 sends no coin: the chain refuses a coin of zero.
    pub fee: Upokt,
    /// The network.
    pub chain_id: &'a str,
    /// The signer's number on the chain.
    pub account_number: u64,
}

/// An encoded transaction that lacks its signature. What is signed is what is sent: nothing is encoded twice.
#[derive(Clone, Debug)]
pub struct Document(SignDoc);

impl Document {
    /// Encodes the parts. Fails when the key is no point of the curve.
    pub fn new(parts: &Parts<'_>) -> Result<Self, TxError> {
        let (sequence, timeout_height, timeout_timestamp) = match parts.validity {
            Validity::Ordered { sequence, timeout } => (sequence, timeout.0.max(0) as u64, None),
            Validity::Unordered { timeout } => (0, 0, Some(timeout)),
        };
        let body = TxBody {
            messages: parts.messages.to_vec(),
            memo: parts.memo.to_owned(),
            timeout_height,
            unordered: timeout_timestamp.is_some(),
            timeout_timestamp,
        };
        let auth_info = auth_info(parts, sequence)?;
        Ok(Self(SignDoc {
            body_bytes: body.encode_to_vec(),
            auth_info_bytes: auth_info.into_bytes().map_err(|error| TxError::unencodable(&error))?,
            chain_id: parts.chain_id.to_owned(),
            account_number: parts.account_number,
        }))
    }

    /// The encoded `TxBody`.
    pub fn body_bytes(&self) -> &[u8] {
        &self.0.body_bytes
    }

    /// The encoded `AuthInfo`.
    pub fn auth_info_bytes(&self) -> &[u8] {
        &self.0.auth_info_bytes
    }

    /// The encoded `SignDoc`, whose SHA-256 is signed.
    pub fn sign_bytes(&self) -> Vec<u8> {
        self.0.clone().into_bytes().expect("a vector takes all bytes")
    }

    /// The transaction with its signature: r‖s, 64 bytes; none for a simulation.
    pub fn with_signature(&self, signature: &[u8]) -> Bytes {
        let raw = Raw::from(TxRaw {
            body_bytes: self.0.body_bytes.clone(),
            auth_info_bytes: self.0.auth_info_bytes.clone(),
            signatures: vec![signature.to_vec()],
        });
        raw.to_bytes().expect("a vector takes all bytes").into()
    }
}

fn auth_info(parts: &Parts<'_>, sequence: u64) -> Result<AuthInfo, TxError> {
    let key = cosmrs::tendermint::PublicKey::from_raw_secp256k1(parts.public_key).ok_or_else(|| TxError::Rejected {
        codespace: "local".to_owned(),
        code: 0,
        text: "the signer's key is no point of the curve".to_owned(),
    })?;
    let coin = Coin {
        denom: "upokt".parse::<Denom>().expect("the name follows the rules"),
        amount: parts.fee.0,
    };
    let fee = Fee {
        amount: if coin.amount == 0 { vec![] } else { vec![coin] },
        gas_limit: parts.gas_limit,
        payer: None,
        granter: None,
    };
    Ok(SignerInfo::single_direct(Some(key.into()), sequence).auth_info(fee))
}

/// A transaction's hash: SHA-256 of its bytes. The chain shows it in upper-case hex.
pub fn tx_hash(tx: &[u8]) -> [u8; 32] {
    Sha256::digest(tx).into()
}
