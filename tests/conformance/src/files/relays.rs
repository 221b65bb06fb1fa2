//! Cases of `relays.json`.

use bytes::Bytes;
use pocket_keys::SigningKey;
use pocket_proto::pocket::service::{Relay, RelayRequest, RelayResponse};
use pocket_protocol::SupplierAddress;
use pocket_protocol::relay::{
    encode_relay, encode_request, encode_response, mined_relay, relay_hash, request_signable_hash,
    response_digest_to_sign, response_signable_hash,
};
use pocket_protocol::signature::verify_response;
use prost::Message as _;
use serde_json::Value;

use crate::Report;
use crate::read::{array, bytes, number, same, text};

pub fn check(file: &Value, report: &mut Report) {
    report.only(file, &["cases"]);
    report.list(file, "cases", check_relay);
}

fn check_relay(case: &Value) -> Result<(), String> {
    let request_bytes: Bytes = bytes(case, "relay_request")?.into();
    let response_bytes: Bytes = bytes(case, "relay_response")?.into();
    let request = RelayRequest::decode(request_bytes.clone()).map_err(|error| error.to_string())?;
    let response = RelayResponse::decode(response_bytes.clone()).map_err(|error| error.to_string())?;
    same("request", encode_request(&request), request_bytes)?;
    same("response", encode_response(&response), response_bytes)?;

    same(
        "request's hash",
        request_signable_hash(&request),
        array(case, "request_signable_hash")?,
    )?;
    let hash = response_signable_hash(&response);
    same("response's hash", hash, array(case, "response_signable_hash")?)?;

    let key = SigningKey::from_hex(text(case, "supplier_private_key")?).map_err(|error| error.to_string())?;
    let public_key = array(case, "supplier_public_key")?;
    same("public key", key.public_key(), public_key)?;
    let address = SupplierAddress::of_public_key(&public_key);
    same("address", address.as_str(), text(case, "supplier_operator_address")?)?;
    let signature: [u8; 64] = array(case, "supplier_operator_signature")?;
    same(
        "signature",
        key.sign_digest(&response_digest_to_sign(&response)),
        signature,
    )?;
    verify_response(&hash, &public_key, &signature).map_err(|error| error.to_string())?;
    let written = response
        .meta
        .as_ref()
        .map(|meta| meta.supplier_operator_signature.to_vec());
    same("signature in the response", written, Some(signature.to_vec()))?;

    let mined = mined_relay(&request, &response);
    same(
        "relay",
        mined.bytes.to_vec(),
        bytes(case, "relay_without_response_payload")?,
    )?;
    same("relay's hash", mined.hash, array(case, "relay_hash")?)?;
    same(
        "relay's hash without its bytes",
        relay_hash(&request, &response),
        mined.hash,
    )?;
    let full = encode_relay(&Relay {
        req: Some(request),
        res: Some(response),
    });
    same("bytes of the full relay", full.len(), number(case, "full_relay_bytes")?)
}
