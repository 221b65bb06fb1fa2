//! From a relayer's bytes to an answer that can be believed (spec `relay.md` §4.3).

use std::borrow::Cow;

use bytes::Bytes;
use pocket_keys::PublicKey;
use pocket_proto::pocket::service::RelayResponse;
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::admission::{basic_response, differing_field};
use pocket_protocol::envelope::{Headers, decode_http_response};
use pocket_protocol::relay::{payload_hash, response_signable_hash};
use prost::Message as _;

use crate::{Mode, ReceivedAnswer, RelayError};

/// How much of an answer is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// Form, session, signature and payload hash.
    #[default]
    All,
    /// Form and session: for load, where arithmetic is saved.
    Form,
}

/// What the backend answered, as far as it came and was believed.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The backend's HTTP status; a message over a WebSocket has none.
    pub status: Option<u32>,
    /// The backend's headers, by name; of a stream the relayer signs none.
    pub headers: Headers,
    /// The backend's words, each signed by itself: one body, a stream's batches, or messages.
    pub bodies: Vec<Bytes>,
    /// Why nothing more came, although more was due.
    pub cut_off: Option<RelayError>,
}

/// Who answers, and to what.
pub(crate) struct Expected<'a> {
    pub mode: Mode,
    pub session: &'a SessionHeader,
    pub supplier: &'a PublicKey,
    pub check: Check,
}

impl Answer {
    /// The backend's words, joined.
    pub fn body(&self) -> Bytes {
        match &self.bodies[..] {
            [one] => one.clone(),
            several => several.concat().into(),
        }
    }

    /// Nothing less than the whole answer.
    pub fn whole(self) -> Result<Self, RelayError> {
        match self.cut_off {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    /// What the backend says went wrong, although the relay itself did not: a status of 400 or more, a gRPC status
    /// but 0, or a JSON-RPC error.
    pub fn backend_error(&self, mode: Mode) -> Option<String> {
        if let Some(status) = self.status.filter(|status| *status >= 400) {
            return Some(format!("status {status}"));
        }
        if mode == Mode::Grpc {
            return match self.grpc_status().as_ref() {
                "0" => None,
                "" => Some("no gRPC status".to_owned()),
                code => Some(format!("gRPC status {code}")),
            };
        }
        if !mode.is_json_rpc() {
            return None;
        }
        let error = |body: &Bytes| serde_json::from_slice::<Reply>(body).ok()?.error;
        let error = self.bodies.iter().find_map(error)?;
        Some(format!("JSON-RPC error {}", error.code))
    }

    /// Of the backend's trailers, which are among its headers here.
    fn grpc_status(&self) -> Cow<'_, str> {
        let named = |(name, _): &(&String, _)| name.eq_ignore_ascii_case("grpc-status");
        let status = self.headers.iter().find(named);
        status
            .and_then(|(_, header)| header.values.first())
            .map_or("".into(), |value| value.trim().into())
    }

    /// Reads what came. Fails if nothing of it can be believed; if a later piece cannot, the answer ends before it.
    pub(crate) fn read(received: ReceivedAnswer, expected: &Expected<'_>) -> Result<Self, RelayError> {
        let mut answer = Self {
            status: None,
            headers: Headers::default(),
            bodies: Vec::with_capacity(received.pieces.len()),
            cut_off: received.cut_off,
        };
        for piece in received.pieces {
            match Piece::read(piece, expected) {
                Ok(piece) => {
                    if answer.bodies.is_empty() {
                        (answer.status, answer.headers) = (piece.status, piece.headers);
                    }
                    answer.bodies.push(piece.body);
                }
                Err(error) if answer.bodies.is_empty() => return Err(error),
                Err(error) => {
                    answer.cut_off = Some(error);
                    break;
                }
            }
        }
        Ok(answer)
    }
}

/// What one signature covers.
struct Piece {
    status: Option<u32>,
    headers: Headers,
    body: Bytes,
}

impl Piece {
    /// Reads an encoded `RelayResponse`.
    fn read(bytes: Bytes, expected: &Expected<'_>) -> Result<Self, RelayError> {
        let response = RelayResponse::decode(bytes).map_err(|error| RelayError::Malformed(error.to_string()))?;
        let header = match basic_response(&response) {
            Ok(header) => header,
            // Other relay miners tell of failures without a signature (spec §4.4).
            Err(error) => return Err(failure(&response).unwrap_or(error.into())),
        };
        if let Some(field) = differing_field(expected.session, header) {
            return Err(RelayError::OtherSession(field));
        }
        if expected.check == Check::All {
            verify(&response, expected.supplier)?;
        }
        if let Some(failed) = failure(&response) {
            return Err(failed);
        }
        if expected.mode == Mode::WebSocket {
            return Ok(Self {
                status: None,
                headers: Headers::default(),
                body: response.payload,
            });
        }
        let answer = decode_http_response(&response.payload)?;
        Ok(Self {
            status: Some(answer.status_code),
            headers: answer.header,
            body: answer.body_bz,
        })
    }
}

/// What tells an error in a JSON-RPC reply. Errors in batches are not looked for.
#[derive(serde::Deserialize)]
struct Reply {
    error: Option<ReplyError>,
}

#[derive(serde::Deserialize)]
struct ReplyError {
    #[serde(default)]
    code: i64,
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
