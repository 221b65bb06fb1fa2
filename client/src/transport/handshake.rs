//! What opens a WebSocket to a relayer (spec `relay.md` §5.12).

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{Mode, RelayError, RelaySession};

/// A handshake, and what its answer must show.
pub(super) struct Handshake {
    pub request: Request<Full<Bytes>>,
    accept: String,
}

impl Handshake {
    /// For one supplier of a session, signed as gateways sign it.
    pub fn new(uri: Uri, session: &RelaySession, supplier: usize) -> Self {
        let key = generate_key();
        let accept = derive_accept_key(key.as_bytes());
        let relay = session.header();
        let signature = base64::engine::general_purpose::STANDARD.encode(session.handshake_signature(supplier));
        let headers = [
            (header::CONNECTION.as_str(), "Upgrade".to_owned()),
            (header::UPGRADE.as_str(), "websocket".to_owned()),
            (header::SEC_WEBSOCKET_VERSION.as_str(), "13".to_owned()),
            (header::SEC_WEBSOCKET_KEY.as_str(), key),
            ("rpc-type", Mode::WebSocket.header_value().to_owned()),
            ("target-service-id", relay.service_id.clone()),
            ("pocket-service-id", relay.service_id.clone()),
            ("app-address", relay.application_address.clone()),
            ("pocket-session-id", relay.session_id.clone()),
            (
                "pocket-session-start-height",
                relay.session_start_block_height.to_string(),
            ),
            ("pocket-session-end-height", relay.session_end_block_height.to_string()),
            (
                "pocket-supplier-address",
                session.suppliers()[supplier].address.to_string(),
            ),
            ("pocket-signature", signature),
        ];
        let mut request = Request::new(Full::default());
        *request.uri_mut() = uri;
        for (name, value) in headers {
            // What a chain put into an id that fits no header opens no socket; the relayer says so.
            if let Ok(value) = HeaderValue::try_from(value) {
                request.headers_mut().insert(name, value);
            }
        }
        Self { request, accept }
    }

    /// Whether the relayer has understood; `false` when it has answered something else than a refusal.
    pub fn is_accepted<B>(&self, answer: &Response<B>) -> Result<bool, RelayError> {
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(false);
        }
        match answer.headers().get(header::SEC_WEBSOCKET_ACCEPT) {
            Some(accept) if *accept == self.accept => Ok(true),
            _ => Err(RelayError::Malformed(
                "the handshake's answer fits another key".to_owned(),
            )),
        }
    }
}
