//! From a relayer's bytes to an answer that can be believed (spec `relay.md` §4.3).

use bytes::Bytes;
use pocket_keys::PublicKey;
use pocket_proto::pocket::service::RelayResponse;
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::admission::{basic_response, differing_field};
use pocket_protocol::envelope::{Headers, decode_http_response};
use pocket_protocol::relay::{payload_hash, response_signable_hash};
use prost::Message as _;

use crate::{RelayError, RpcType};

/// How much of an answer is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// Form, session, signature and payload hash.
    #[default]
    All,
    /// Form and session: for load, where arithmetic is saved.
    Form,
}

/// What the backend answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The backend's HTTP status.
    pub status: u32,
    /// The backend's headers, by name.
    pub headers: Headers,
    /// The backend's body.
    pub body: Bytes,
}

impl Answer {
    /// Reads an encoded `RelayResponse` to a request of the session, from the supplier with this key.
    pub(crate) fn read(
        bytes: Bytes,
        session: &SessionHeader,
        supplier: &PublicKey,
        check: Check,
    ) -> Result<Self, RelayError> {
        let response = RelayResponse::decode(bytes).map_err(|error| RelayError::Malformed(error.to_string()))?;
        let header = match basic_response(&response) {
            Ok(header) => header,
            // Other relay miners tell of failures without a signature (spec §4.4).
            Err(error) => return Err(failure(&response).unwrap_or(error.into())),
        };
        if let Some(field) = differing_field(session, header) {
            return Err(RelayError::OtherSession(field));
        }
        if check == Check::All {
            verify(&response, supplier)?;
        }
        if let Some(failed) = failure(&response) {
            return Err(failed);
        }
        let answer = decode_http_response(&response.payload)?;
        Ok(Self {
            status: answer.status_code,
            headers: answer.header,
            body: answer.body_bz,
        })
    }

    /// What the backend says went wrong, although the relay itself did not: a status of 400 or more, or a JSON-RPC
    /// error.
    pub fn backend_error(&self, rpc_type: RpcType) -> Option<String> {
        if self.status >= 400 {
            return Some(format!("status {}", self.status));
        }
        if !rpc_type.is_json_rpc() {
            return None;
        }
        #[derive(serde::Deserialize)]
        struct Reply {
            error: Option<Error>,
        }
        #[derive(serde::Deserialize)]
        struct Error {
            #[serde(default)]
            code: i64,
        }
        let error = serde_json::from_slice::<Reply>(&self.body).ok()?.error?;
        Some(format!("JSON-RPC error {}", error.code))
    }
}

/// The signature covers the payload by its hash, so that the hash is checked too; a response without a hash is signed
/// with its payload.
fn verify(response: &RelayResponse, supplier: &PublicKey) -> Result<(), RelayError> {
    let signature: &[u8] = response
        .meta
        .as_ref()
        .map_or(&[], |meta| &meta.supplier_operator_signature);
    supplier
        .verify(&response_signable_hash(response), signature)
        .map_err(|_| RelayError::WrongSignature)?;
    if !response.payload_hash.is_empty() && response.payload_hash[..] != payload_hash(&response.payload) {
        return Err(RelayError::WrongPayloadHash);
    }
    Ok(())
}

fn failure(response: &RelayResponse) -> Option<RelayError> {
    response.relay_miner_error.as_ref().map(|error| RelayError::Failed {
        code: error.code,
        description: if error.description.is_empty() {
            error.message.clone()
        } else {
            error.description.clone()
        },
    })
}
