//! What the backend shall get, and its envelope.

use bytes::Bytes;
use pocket_proto::sdk::types::{Header, PokthttpRequest};
use pocket_protocol::envelope::{canonical_header_name, encode_http_request};

use crate::Mode;

/// The JSON-RPC call that says least.
pub(crate) const BLOCK_NUMBER: &str = r#"{"id":1,"jsonrpc":"2.0","method":"eth_blockNumber","params":[]}"#;
/// Bytes before a gRPC message: whether it is compressed, and its length.
pub(crate) const FRAME_PREFIX: usize = 5;

/// An HTTP request for a backend, as a gateway's user would send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendCall {
    /// What the backend speaks.
    pub mode: Mode,
    /// The HTTP method.
    pub method: String,
    /// Path and query, or a whole URL, of which the relayer uses path and query.
    pub url: String,
    /// Names and values; a name may come several times.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// What a relay carries: a call in its envelope, encoded once for any number of relays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// What the backend speaks.
    pub mode: Mode,
    /// A `POKTHTTPRequest`, or the message itself that is sent over a WebSocket.
    pub bytes: Bytes,
    /// Messages that answer it: one, but over a WebSocket as many as are waited for.
    pub answers: usize,
}

impl BackendCall {
    /// A call of this JSON to `/`.
    pub fn json(mode: Mode, body: impl Into<Bytes>) -> Self {
        Self {
            mode,
            method: "POST".to_owned(),
            url: "/".to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: body.into(),
        }
    }

    /// A GET of a path.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            mode: Mode::Rest,
            method: "GET".to_owned(),
            url: path.into(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// A gRPC call: the method as `/package.Service/Method`, and its one message, encoded.
    pub fn grpc(method: impl Into<String>, message: &[u8]) -> Self {
        let mut body = Vec::with_capacity(FRAME_PREFIX + message.len());
        // Not compressed, and how long it is.
        body.push(0);
        body.extend_from_slice(&(message.len() as u32).to_be_bytes());
        body.extend_from_slice(message);
        let headers = [("Content-Type", "application/grpc"), ("TE", "trailers")];
        Self {
            mode: Mode::Grpc,
            method: "POST".to_owned(),
            url: method.into(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            body: body.into(),
        }
    }

    /// A call of this JSON to `/`, which wants a stream.
    pub fn stream(body: impl Into<Bytes>) -> Self {
        let mut call = Self::json(Mode::Stream, body);
        let streams = "text/event-stream, application/x-ndjson;q=0.9, */*;q=0.1";
        call.headers.push(("Accept".to_owned(), streams.to_owned()));
        call
    }

    /// A call that says little and that every backend of the kind answers; a gRPC backend if it is the sample backend
    /// or the Go peer's.
    pub fn usual(mode: Mode) -> Self {
        const STATUS: &str = r#"{"id":1,"jsonrpc":"2.0","method":"status","params":[]}"#;
        match mode {
            Mode::JsonRpc | Mode::WebSocket => Self::json(mode, BLOCK_NUMBER),
            Mode::CometBft => Self::json(mode, STATUS),
            Mode::Rest => Self::get("/"),
            Mode::Grpc => Self::grpc("/demo.DemoService/GetBlockHeight", &[]),
            Mode::Stream => Self::stream(BLOCK_NUMBER),
        }
    }

    /// The call in its envelope, with names of headers as Go writes them; over a WebSocket the body alone.
    pub fn payload(self) -> Payload {
        if self.mode == Mode::WebSocket {
            return Payload::message(self.body);
        }
        let mut request = PokthttpRequest {
            method: self.method,
            url: self.url,
            body_bz: self.body,
            ..Default::default()
        };
        for (name, value) in self.headers {
            let key = canonical_header_name(&name).into_owned();
            let header = request.header.entry(key.clone()).or_insert_with(|| Header {
                key,
                ..Default::default()
            });
            header.values.push(value);
        }
        Payload {
            mode: self.mode,
            bytes: encode_http_request(&request),
            answers: 1,
        }
    }
}

impl Payload {
    /// A message for a WebSocket, with one answer.
    pub fn message(bytes: Bytes) -> Self {
        Self {
            mode: Mode::WebSocket,
            bytes,
            answers: 1,
        }
    }

    /// Of a subscription: its first answer is followed by so many messages.
    #[must_use]
    pub fn with_pushes(self, pushes: usize) -> Self {
        Self {
            answers: 1 + pushes,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use pocket_protocol::envelope::decode_http_request;

    use super::*;

    #[test]
    fn header_that_comes_twice_is_one_entry_with_both_values() {
        let mut call = BackendCall::get("/a?b=c");
        call.headers = ["x-a", "X-A"].map(|name| (name.to_owned(), name.to_owned())).to_vec();
        let request = decode_http_request(&call.payload().bytes).unwrap();
        assert_eq!((request.method.as_str(), request.url.as_str()), ("GET", "/a?b=c"));
        assert_eq!(request.header.len(), 1);
        assert_eq!(request.header["X-A"].values, ["x-a", "X-A"]);
    }

    #[test]
    fn usual_json_rpc_calls_are_json() {
        for kind in [Mode::JsonRpc, Mode::CometBft, Mode::WebSocket, Mode::Stream] {
            let call = BackendCall::usual(kind);
            assert!(serde_json::from_slice::<serde_json::Value>(&call.body).is_ok());
            assert_eq!(call.mode, kind);
        }
    }

    #[test]
    fn grpc_message_has_its_length_before_it() {
        let call = BackendCall::grpc("/a.B/C", &[7; 300]);
        assert_eq!(call.body[..5], [0, 0, 0, 1, 44]);
        assert_eq!(call.body.len(), 305);
        let request = decode_http_request(&call.payload().bytes).unwrap();
        assert_eq!(request.header["Content-Type"].values, ["application/grpc"]);
        assert_eq!(request.header["Te"].values, ["trailers"]);
    }

    #[test]
    fn message_of_a_socket_has_no_envelope() {
        let payload = BackendCall::usual(Mode::WebSocket).payload().with_pushes(2);
        assert_eq!((&payload.bytes[..], payload.answers), (BLOCK_NUMBER.as_bytes(), 3));
    }
}
