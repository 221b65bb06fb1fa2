//! The relay in a proof's leaf (spec §4.1, steps 5 to 10; §4.2).

use bytes::Bytes;
use pocket_proto::pocket::service::{Relay, RelayRequest, RelayResponse};
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::admission::{basic_request, basic_response, same_header};
use pocket_protocol::difficulty::is_mined;
use pocket_protocol::relay::{request_signable_hash, response_signable_hash};
use pocket_protocol::signature::verify_response;
use pocket_ring::{PublicKey, RingSignature, Verifier};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{BrokenRule, RingFault};

/// What the chain knows of the session that a relay is to be one of.
#[derive(Clone, Copy, Debug)]
pub struct RelayFacts<'a> {
    /// The chain's own header.
    pub header: &'a SessionHeader,
    /// The operator who claims.
    pub supplier: &'a str,
    /// Its account's key, compressed.
    pub supplier_key: &'a [u8; 33],
    /// The service's difficulty target at the session's start, big-endian.
    pub target: &'a [u8],
    /// The keys that may sign for the application in this session.
    pub ring: &'a [PublicKey],
}

/// All that the chain asks of a leaf's value, when that leaf is proven.
pub fn check_relay(bytes: &Bytes, facts: &RelayFacts<'_>, verifier: &Verifier) -> Result<(), BrokenRule> {
    let relay = decode_relay(bytes)?;
    check_relay_form(&relay, facts.header, facts.supplier)?;
    check_difficulty(bytes, facts.target)?;
    check_request_signature(&relay.req.unwrap_or_default(), facts.ring, verifier)?;
    check_response_signature(&relay.res.unwrap_or_default(), facts.supplier_key)
}

/// Reads a leaf's value.
pub fn decode_relay(bytes: &Bytes) -> Result<Relay, BrokenRule> {
    Relay::decode(bytes.clone()).map_err(|error| BrokenRule::RelayBytes(error.to_string()))
}

/// Request and response are whole, of this session in all five fields of its header, and asked of this supplier.
pub fn check_relay_form(relay: &Relay, header: &SessionHeader, operator: &str) -> Result<(), BrokenRule> {
    let (no_request, no_response) = (RelayRequest::default(), RelayResponse::default());
    let request = relay.req.as_ref().unwrap_or(&no_request);
    let of_request = basic_request(request).map_err(BrokenRule::Request)?;
    let asked = request
        .meta
        .as_ref()
        .map_or("", |meta| meta.supplier_operator_address.as_str());
    if asked != operator {
        return Err(BrokenRule::RelaySupplier {
            expected: operator.to_owned(),
            got: asked.to_owned(),
        });
    }
    let response = relay.res.as_ref().unwrap_or(&no_response);
    let of_response = basic_response(response).map_err(BrokenRule::Response)?;
    for got in [of_request, of_response] {
        if !same_header(header, got) {
            return Err(BrokenRule::RelayHeader {
                expected: Box::new(header.clone()),
                got: Box::new(got.clone()),
            });
        }
    }
    Ok(())
}

/// The relay may be in the tree at all.
pub fn check_difficulty(relay: &[u8], target: &[u8]) -> Result<(), BrokenRule> {
    let hash: [u8; 32] = Sha256::digest(relay).into();
    if is_mined(&hash, target) {
        return Ok(());
    }
    let target = target.to_vec();
    Err(BrokenRule::Difficulty { hash, target })
}

/// The request was signed by one of the ring, and by a ring of none but these.
pub fn check_request_signature(
    request: &RelayRequest,
    ring: &[PublicKey],
    verifier: &Verifier,
) -> Result<(), BrokenRule> {
    let signature = request.meta.as_ref().map_or(&[][..], |meta| &meta.signature);
    let broken = |fault: RingFault| BrokenRule::RingSignature(fault);
    let signature = RingSignature::parse(signature).map_err(|error| broken(error.into()))?;
    let verdict = verifier.verify(&request_signable_hash(request), &signature, ring);
    verdict.map_err(|error| broken(error.into()))
}

/// The response was signed by the supplier.
pub fn check_response_signature(response: &RelayResponse, supplier_key: &[u8; 33]) -> Result<(), BrokenRule> {
    let signature = response
        .meta
        .as_ref()
        .map_or(&[][..], |meta| &meta.supplier_operator_signature);
    verify_response(&response_signable_hash(response), supplier_key, signature)
        .map_err(|_| BrokenRule::ResponseSignature)
}
