//! Kind `transactions`: the bytes of body, fee, sign document, signature and whole transaction.

use pocket_keys::SigningKey;
use pocket_protocol::{Height, Upokt};
use pocket_tx::{Document, Parts, Validity, tx_hash};
use prost_types::{Any, Timestamp};
use serde_json::Value;

use crate::read::{array, bytes, number, same, text};

/// A transaction made of a case's parts has the case's bytes.
pub fn transaction(case: &Value) -> Result<(), String> {
    let key = SigningKey::from_bytes(&bytes(case, "private_key")?).map_err(|error| error.to_string())?;
    same("address", key.address().as_str(), text(case, "address")?)?;
    let public_key: [u8; 33] = array(case, "public_key")?;
    same("public_key", key.public_key(), public_key)?;
    let messages = messages(case)?;
    let document = Document::new(&Parts {
        messages: &messages,
        memo: text(case, "memo")?,
        validity: validity(case)?,
        public_key: &public_key,
        gas_limit: number(case, "gas_limit")?,
        fee: fee(text(case, "fee")?)?,
        chain_id: text(case, "chain_id")?,
        account_number: number(case, "account_number")?,
    })
    .map_err(|error| error.to_string())?;
    same("body_bytes", document.body_bytes(), &bytes(case, "body_bytes")?)?;
    same(
        "auth_info_bytes",
        document.auth_info_bytes(),
        &bytes(case, "auth_info_bytes")?,
    )?;
    let sign_bytes = document.sign_bytes();
    same("sign_bytes", &sign_bytes, &bytes(case, "sign_bytes")?)?;
    let signature = key.sign_message(&sign_bytes);
    same("signature", &signature[..], &bytes(case, "signature")?)?;
    let raw = document.with_signature(&signature);
    same("tx_raw", &raw[..], &bytes(case, "tx_raw")?)?;
    same(
        "tx_hash",
        hex::encode_upper(tx_hash(&raw)).as_str(),
        text(case, "tx_hash")?,
    )?;
    let unsigned = document.with_signature(&[]);
    same("tx_for_simulation", &unsigned[..], &bytes(case, "tx_for_simulation")?)
}

fn messages(case: &Value) -> Result<Vec<Any>, String> {
    let list = case["messages"]
        .as_array()
        .ok_or("field messages is missing or no list")?;
    list.iter()
        .map(|message| {
            Ok(Any {
                type_url: text(message, "type_url")?.to_owned(),
                value: bytes(message, "value")?,
            })
        })
        .collect()
}

fn validity(case: &Value) -> Result<Validity, String> {
    if case["unordered"] == true {
        same("sequence", number::<u64>(case, "sequence")?, 0)?;
        let written = text(case, "timeout_timestamp")?;
        let timeout: Timestamp = written.parse().map_err(|error| format!("{written}: {error}"))?;
        return Ok(Validity::Unordered { timeout });
    }
    let timeout = match &case["timeout_height"] {
        Value::Null => 0,
        _ => number(case, "timeout_height")?,
    };
    Ok(Validity::Ordered {
        sequence: number(case, "sequence")?,
        timeout: Height(timeout),
    })
}

/// `12upokt`, or nothing for no fee.
fn fee(written: &str) -> Result<Upokt, String> {
    if written.is_empty() {
        return Ok(Upokt(0));
    }
    let amount = written.strip_suffix("upokt").and_then(|amount| amount.parse().ok());
    amount.map(Upokt).ok_or_else(|| format!("{written} is no fee in upokt"))
}
