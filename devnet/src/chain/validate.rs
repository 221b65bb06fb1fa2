//! Checks of messages that need no state.

use pocket_proto::pocket::proof::{MsgCreateClaim, MsgSubmitProof};
use pocket_proto::pocket::service::{RelayRequest, RelayResponse};
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::claim::{RootError, RootTotals};

use crate::chain::refusal::{Refusal, proof, sdk, service, session, shared};

/// Whether a text is an account address, and why not.
pub fn address(text: &str) -> Result<(), String> {
    pocket_protocol::decode_account(text)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// A service's id.
pub fn service_id(id: &str) -> Result<(), Refusal> {
    let detail = match () {
        () if id.is_empty() => "empty service ID".to_owned(),
        () if id.len() > 42 => format!("service ID '{id}' exceeds maximum length: 42"),
        () if !id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) =>
        {
            format!("service ID '{id}' contains invalid characters")
        }
        () => return Ok(()),
    };
    Err(shared::INVALID_SERVICE_ID.wrap(detail))
}

/// A session header by itself (spec `sessions.md` §3.4).
pub fn header(header: &SessionHeader) -> Result<(), Refusal> {
    let application = &header.application_address;
    address(application).map_err(|reason| session::INVALID_APP_ADDRESS.wrap(format!("{application:?}; ({reason})")))?;
    if header.session_id.is_empty() {
        return Err(session::INVALID_SESSION_ID.wrap("\"\""));
    }
    service_id(&header.service_id)?;
    if header.session_start_block_height <= 0 {
        return Err(session::INVALID_BLOCK_HEIGHT.wrap("sessions can only start at height 1 or greater"));
    }
    if header.session_end_block_height <= header.session_start_block_height {
        let detail = "session end block height cannot be less than or equal to session start block height";
        return Err(session::INVALID_BLOCK_HEIGHT.wrap(detail));
    }
    Ok(())
}

/// A claim by itself (spec `claims-and-proofs.md` §3, steps 1 to 5).
pub fn create_claim(message: &MsgCreateClaim) -> Result<(), Refusal> {
    let operator = &message.supplier_operator_address;
    address(operator).map_err(|_| proof::INVALID_ADDRESS.wrap(operator))?;
    let given = message.session_header.as_ref();
    let given = given.ok_or_else(|| proof::INVALID_SESSION_HEADER.wrap("session header is nil"))?;
    header(given)
        .map_err(|refusal| proof::INVALID_SESSION_HEADER.wrap(format!("invalid session header: {refusal}")))?;
    let hex = || hex::encode(&message.root_hash);
    let detail = match RootTotals::of(&message.root_hash) {
        Ok(_) => return Ok(()),
        Err(RootError::Length(length)) => format!("expecting root hash to be 48 bytes, got {length} bytes"),
        Err(RootError::NoRelays) => format!("has zero count in Merkle root (hex) {}", hex()),
        Err(RootError::NoComputeUnits) => format!("has zero sum in Merkle root (hex) {}", hex()),
    };
    Err(proof::INVALID_ROOT.wrap(detail))
}

/// A proof by itself (spec `claims-and-proofs.md` §4.1, step 1).
pub fn submit_proof(message: &MsgSubmitProof) -> Result<(), Refusal> {
    let operator = &message.supplier_operator_address;
    address(operator).map_err(|reason| {
        sdk::INVALID_ADDRESS.wrap(format!("supplier operator address {operator:?}, error: {reason}"))
    })?;
    let given = message.session_header.as_ref();
    let given = given.ok_or_else(|| proof::INVALID_SESSION_HEADER.wrap("session header is nil"))?;
    header(given).map_err(|refusal| refusal.under(proof::INVALID_SESSION_HEADER))?;
    if message.proof.is_empty() {
        return Err(proof::INVALID_PROOF.wrap("proof cannot be empty"));
    }
    Ok(())
}

/// A relay's request by itself.
pub fn relay_request(request: &RelayRequest) -> Result<(), Refusal> {
    let refuse = |detail: &str| Err(service::INVALID_RELAY_REQUEST.wrap(detail));
    let meta = request.meta.clone().unwrap_or_default();
    let Some(given) = &meta.session_header else {
        return refuse("missing session header");
    };
    if let Err(reason) = header(given) {
        return refuse(&format!("invalid session header: {reason}"));
    }
    if meta.signature.is_empty() {
        return refuse("missing application signature");
    }
    if meta.supplier_operator_address.is_empty() {
        return refuse("relay metadata missing supplier operator address");
    }
    Ok(())
}

/// A relay's response by itself.
pub fn relay_response(response: &RelayResponse) -> Result<(), Refusal> {
    let refuse = |detail: &str| Err(service::INVALID_RELAY_RESPONSE.wrap(detail));
    let meta = response.meta.clone().unwrap_or_default();
    let Some(given) = &meta.session_header else {
        return refuse("missing meta");
    };
    if let Err(reason) = header(given) {
        return refuse(&format!("invalid session header: {reason}"));
    }
    if meta.supplier_operator_signature.is_empty() {
        return refuse("missing supplier operator signature");
    }
    Ok(())
}
