//! Cases of `relay_requests.json`.

mod decoding;
mod envelopes;

use pocket_keys::SigningKey;
use pocket_proto::pocket::service::{RelayRequest, RelayResponse};
use pocket_protocol::admission::{basic_request, basic_response};
use pocket_protocol::difficulty::{is_mined, multiplier, probability, scaled_target};
use pocket_protocol::relay::{
    encode_request, encode_response, mined_relay, payload_hash, received_response_signable_hash, relay_hash,
    request_signable_bytes, request_signable_hash, response_digest_to_sign, response_signable_bytes,
    response_signable_hash,
};
use pocket_protocol::rings::{PLACEHOLDER_ADDRESS, PLACEHOLDER_PUBLIC_KEY};
use pocket_protocol::signature::verify_response;
use pocket_protocol::{AppAddress, SupplierAddress};
use pocket_ring::{Limits, PublicKey, RingSignature, Verifier};
use prost::Message as _;
use serde_json::Value;

use crate::Report;
use crate::read::{array, bytes, flag, number, same, session_header, text, texts};

pub fn check(file: &Value, report: &mut Report) {
    report.only(
        file,
        &[
            "cases",
            "response_checks",
            "decoding",
            "http_envelopes",
            "difficulty",
            "difficulty_steps",
        ],
    );
    report.list(file, "cases", check_relay);
    report.list(file, "response_checks", check_response);
    report.list(file, "decoding", decoding::check);
    report.list(file, "http_envelopes", envelopes::check);
    report.list(file, "difficulty", |case| {
        let mined = is_mined(&array(case, "relay_hash")?, &bytes(case, "target_hash")?);
        same("is mined", mined, flag(case, "mined")?)
    });
    report.list(file, "difficulty_steps", |case| {
        let (target_num_relays, relays_ema) = (number(case, "target_num_relays")?, number(case, "relays_ema")?);
        let target = scaled_target(&array(case, "previous_target_hash")?, target_num_relays, relays_ema);
        same("new target", target, array(case, "new_target_hash")?)?;
        let multiplier = multiplier(&target).map_err(|error| error.to_string())?;
        same(
            "multiplier",
            multiplier.to_string().as_str(),
            text(case, "new_multiplier")?,
        )?;
        same(
            "probability",
            probability(&target).to_string().as_str(),
            text(case, "new_probability")?,
        )
    });
}

fn check_relay(case: &Value) -> Result<(), String> {
    let (request_bytes, response_bytes) = (bytes(case, "request")?, bytes(case, "response")?);
    let request = RelayRequest::decode(&request_bytes[..]).map_err(|error| error.to_string())?;
    let response = RelayResponse::decode(&response_bytes[..]).map_err(|error| error.to_string())?;
    same("request", encode_request(&request).to_vec(), request_bytes)?;
    same("response", encode_response(&response).to_vec(), response_bytes)?;
    check_request(case, &request)?;
    check_signed_response(case, &response)?;

    let mined = mined_relay(&request, &response);
    same("relay", mined.bytes.to_vec(), bytes(case, "dehydrated_relay")?)?;
    same("relay's hash", mined.hash, array(case, "relay_hash")?)?;
    same(
        "relay's hash without its bytes",
        relay_hash(&request, &response),
        mined.hash,
    )
}

fn check_request(case: &Value, request: &RelayRequest) -> Result<(), String> {
    let header = session_header(&case["session_header"])?;
    same("request's header", basic_request(request), Ok(&header))?;
    same(
        "signable request",
        request_signable_bytes(request).to_vec(),
        bytes(case, "request_signable")?,
    )?;
    same(
        "request's hash",
        request_signable_hash(request),
        array(case, "request_signable_hash")?,
    )?;
    let meta = request.meta.as_ref().ok_or("the request has no metadata")?;
    let supplier = text(case, "supplier_operator_address")?;
    same("supplier", meta.supplier_operator_address.as_str(), supplier)?;
    same(
        "ring signature",
        meta.signature.to_vec(),
        bytes(case, "request_signature")?,
    )?;

    let application: [u8; 33] = array(case, "application_public_key")?;
    same(
        "application",
        AppAddress::of_public_key(&application).as_str(),
        header.application_address.as_str(),
    )?;
    let members = texts(case, "ring_public_keys")?;
    let signer: usize = number(case, "ring_signer")?;
    same("signer is a member", signer < members.len(), true)?;
    let addresses = texts(case, "ring_addresses")?;
    same("members and addresses", members.len(), addresses.len())?;
    for (member, address) in members.iter().zip(addresses) {
        same("member's address", address_of(member)?.as_str(), address)?;
    }
    check_ring(&meta.signature, &request_signable_hash(request), &members)
}

fn address_of(member: &str) -> Result<String, String> {
    let key = hex::decode(member).map_err(|error| error.to_string())?;
    let key: [u8; 33] = key.try_into().map_err(|_| "a member's key has not 33 bytes")?;
    if key == PLACEHOLDER_PUBLIC_KEY {
        return Ok(PLACEHOLDER_ADDRESS.to_owned());
    }
    Ok(AppAddress::of_public_key(&key).to_string())
}

/// The signature is one of the hash, and its keys are the ring's, in the ring's order.
fn check_ring(signature: &[u8], hash: &[u8; 32], members: &[&str]) -> Result<(), String> {
    let signature = RingSignature::parse(signature).map_err(|error| error.to_string())?;
    let keys: Vec<_> = signature.keys().map(hex::encode).collect();
    same(
        "ring",
        keys.iter().map(String::as_str).collect::<Vec<_>>(),
        members.to_vec(),
    )?;
    let allowed: Result<Vec<_>, _> = signature.keys().map(|key| PublicKey::parse(key)).collect();
    let allowed = allowed.map_err(|error| error.to_string())?;
    Verifier::new(Limits::default())
        .verify(hash, &signature, &allowed)
        .map_err(|error| error.to_string())
}

fn check_signed_response(case: &Value, response: &RelayResponse) -> Result<(), String> {
    let header = session_header(&case["session_header"])?;
    same("response's header", basic_response(response), Ok(&header))?;
    same(
        "signable response",
        response_signable_bytes(response).to_vec(),
        bytes(case, "response_signable")?,
    )?;
    let hash = response_signable_hash(response);
    same("response's hash", hash, array(case, "response_signable_hash")?)?;
    same(
        "payload hash",
        response.payload_hash.to_vec(),
        bytes(case, "response_payload_hash")?,
    )?;
    let kind = text(case, "kind")?;
    same(
        "has a payload hash",
        !response.payload_hash.is_empty(),
        kind.starts_with("with payload hash"),
    )?;
    same(
        "has an error",
        response.relay_miner_error.is_some(),
        kind.ends_with("with an error of the supplier"),
    )?;
    if !response.payload_hash.is_empty() && !response.payload.is_empty() {
        same(
            "payload's hash",
            payload_hash(&response.payload).to_vec(),
            response.payload_hash.to_vec(),
        )?;
    }

    let key = SigningKey::from_hex(text(case, "supplier_private_key")?).map_err(|error| error.to_string())?;
    let public_key = array(case, "supplier_public_key")?;
    same("supplier's key", key.public_key(), public_key)?;
    let supplier = SupplierAddress::of_public_key(&public_key);
    same(
        "supplier's address",
        supplier.as_str(),
        text(case, "supplier_operator_address")?,
    )?;
    let signature: [u8; 64] = array(case, "response_signature")?;
    same(
        "signature",
        key.sign_digest(&response_digest_to_sign(response)),
        signature,
    )?;
    let meta = response.meta.as_ref().ok_or("the response has no metadata")?;
    same(
        "signature in the response",
        &meta.supplier_operator_signature[..],
        &signature[..],
    )?;
    verify_response(&hash, &public_key, &signature).map_err(|error| error.to_string())
}

fn check_response(case: &Value) -> Result<(), String> {
    let wire = bytes(case, "response")?;
    let response = RelayResponse::decode(&wire[..]).map_err(|error| error.to_string())?;
    same(
        "basic check",
        basic_response(&response).is_ok(),
        text(case, "basic_error")?.is_empty(),
    )?;
    let hash = received_response_signable_hash(&response, &wire);
    let signature = response
        .meta
        .as_ref()
        .map(|meta| &meta.supplier_operator_signature[..])
        .unwrap_or_default();
    let valid = verify_response(&hash, &array(case, "supplier_public_key")?, signature).is_ok();
    same("signature is valid", valid, flag(case, "valid")?)
}
