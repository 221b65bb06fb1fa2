//! The chain's words for a broken rule, where the rule alone gives them.

use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::claim::MessageError;
use pocket_protocol::difficulty::multiplier;
use pocket_rules::{BrokenRule, RingFault};

use crate::chain::refusal::{Refusal, proof, ring, service};

impl From<BrokenRule> for Refusal {
    fn from(broken: BrokenRule) -> Self {
        match broken {
            BrokenRule::Message(MessageError::Root(_)) => proof::INVALID_ROOT.wrap(broken.to_string()),
            BrokenRule::Message(_) => proof::INVALID_SESSION_HEADER.wrap(broken.to_string()),
            BrokenRule::SessionId { expected, got } => proof::INVALID_SESSION_ID.wrap(format!(
                "session ID does not match onchain session ID; expected {expected:?}, got {got:?}"
            )),
            BrokenRule::Supplier { supplier, session } => proof::SUPPLIER_NOT_FOUND.wrap(format!(
                "supplier operator address {supplier:?} not found in session ID {session:?}"
            )),
            BrokenRule::ClaimWindow { height, open, close } => proof::CLAIM_WINDOW.wrap(if height < open {
                format!(
                    "current block height ({height}) is less than the session's earliest claim commit height ({open})"
                )
            } else {
                format!("current block height ({height}) is greater than session claim window close height ({close})")
            }),
            BrokenRule::ProofWindow { height, open, close } => proof::PROOF_WINDOW.wrap(if height < open {
                format!("current block height ({height}) is less than session's earliest proof commit height ({open})")
            } else {
                format!("current block height ({height}) is greater than session proof window close height ({close})")
            }),
            BrokenRule::ComputeUnits { .. } => proof::COMPUTE_UNITS_MISMATCH.wrap(broken.to_string()),
            BrokenRule::ProofBytes(error) => proof::INVALID_PROOF.wrap(format!(
                "failed to unmarshal sparse compact merkle closest proof: {error}"
            )),
            BrokenRule::ProofForm(error) => {
                proof::INVALID_PROOF.wrap(format!("failed to decompact sparse merkle closest proof: {error}"))
            }
            BrokenRule::RelayBytes(error) => proof::INVALID_RELAY.wrap(format!("failed to unmarshal relay: {error}")),
            BrokenRule::Request(error) => service::INVALID_RELAY_REQUEST.wrap(error.to_string()),
            BrokenRule::Response(error) => service::INVALID_RELAY_RESPONSE.wrap(error.to_string()),
            BrokenRule::RelaySupplier { .. } => proof::SUPPLIER_MISMATCH.wrap("supplier type mismatch"),
            BrokenRule::RelayHeader { expected, got } => {
                proof::INVALID_RELAY.wrap(difference_of_relay(&expected, &got))
            }
            BrokenRule::Difficulty { hash, target } => {
                let shown = |target: &[u8]| {
                    multiplier(target).map_or_else(|error| error.to_string(), |ratio| ratio.to_string())
                };
                let (reached, wanted) = (shown(&hash), shown(&target));
                proof::INVALID_RELAY.wrap(format!(
                    "the difficulty relay being proven is ({reached}), and is smaller than the target difficulty ({wanted})"
                ))
            }
            BrokenRule::ClaimHeader { expected, got } => refusal_of_claim(&expected, &got),
            BrokenRule::RingSignature(RingFault::Bytes(error)) => {
                ring::INVALID_RELAY_REQUEST_SIGNATURE.wrap(format!("error deserializing ring signature: {error}"))
            }
            BrokenRule::RingSignature(RingFault::Signature(_)) => {
                ring::INVALID_RELAY_REQUEST_SIGNATURE.wrap("invalid relay request signature or bytes")
            }
            BrokenRule::ResponseSignature => service::INVALID_RELAY_RESPONSE.wrap("invalid signature"),
            BrokenRule::Path { expected, got } => proof::INVALID_PROOF.wrap(format!(
                "the path of the proof provided ({}) does not match one expected by the onchain protocol ({})",
                hex::encode(got),
                hex::encode(expected)
            )),
            BrokenRule::Root { .. } => proof::INVALID_PROOF.wrap("invalid closest merkle proof"),
        }
    }
}

/// The first field in which they differ, in the chain's order.
fn difference_of_relay(expected: &SessionHeader, got: &SessionHeader) -> String {
    let text = |what: &str, word: &str, expected: &str, got: &str| {
        (expected != got).then(|| format!("session headers {what} mismatch; {word}: {expected:?}, got: {got:?}"))
    };
    let height = |what: &str, expected: i64, got: i64| {
        (expected != got).then(|| format!("session headers {what} mismatch; expected: {expected}, got: {got}"))
    };
    let (ours, theirs) = (expected, got);
    let (starts, ends) = ("session start heights", "session end heights");
    text(
        "application addresses",
        "expect",
        &ours.application_address,
        &theirs.application_address,
    )
    .or_else(|| text("service IDs", "expected", &ours.service_id, &theirs.service_id))
    .or_else(|| {
        height(
            starts,
            ours.session_start_block_height,
            theirs.session_start_block_height,
        )
    })
    .or_else(|| height(ends, ours.session_end_block_height, theirs.session_end_block_height))
    .or_else(|| text("session IDs", "expected", &ours.session_id, &theirs.session_id))
    .unwrap_or_default()
}

fn refusal_of_claim(header: &SessionHeader, claimed: &SessionHeader) -> Refusal {
    let (theirs, ours) = (claimed.session_start_block_height, header.session_start_block_height);
    if theirs != ours {
        let detail = format!("claim session start height {theirs} does not match proof session start height {ours}");
        return proof::INVALID_SESSION_START.wrap(detail);
    }
    let (theirs, ours) = (claimed.session_end_block_height, header.session_end_block_height);
    if theirs != ours {
        let detail = format!("claim session end height {theirs} does not match proof session end height {ours}");
        return proof::INVALID_SESSION_END.wrap(detail);
    }
    let (theirs, ours) = (&claimed.application_address, &header.application_address);
    if theirs != ours {
        let detail = format!("claim application address {theirs:?} does not match proof application address {ours:?}");
        return proof::INVALID_ADDRESS.wrap(detail);
    }
    let (theirs, ours) = (&claimed.service_id, &header.service_id);
    proof::INVALID_SERVICE.wrap(format!(
        "claim service ID {theirs:?} does not match proof service ID {ours:?}"
    ))
}
