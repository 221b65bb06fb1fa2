//! What the backend shall get, and its envelope.

use bytes::Bytes;
use pocket_proto::sdk::types::{Header, PokthttpRequest};
use pocket_protocol::envelope::{canonical_header_name, encode_http_request};

use crate::RpcType;

/// An HTTP request for a backend, as a gateway's user would send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendCall {
    /// What the backend speaks.
    pub rpc_type: RpcType,
    /// The HTTP method.
    pub method: String,
    /// Path and query, or a whole URL, of which the relayer uses path and query.
    pub url: String,
    /// Names and values; a name may come several times.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// The envelope of a call: a `POKTHTTPRequest`, encoded once for any number of relays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// What the backend speaks.
    pub rpc_type: RpcType,
    /// The envelope's bytes.
    pub bytes: Bytes,
}

impl BackendCall {
    /// A JSON-RPC or `CometBFT` call of this body to `/`.
    pub fn json(rpc_type: RpcType, body: impl Into<Bytes>) -> Self {
        Self {
            rpc_type,
            method: "POST".to_owned(),
            url: "/".to_owned(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: body.into(),
        }
    }

    /// A GET of a path.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            rpc_type: RpcType::Rest,
            method: "GET".to_owned(),
            url: path.into(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// A call that says little and that every backend of the kind answers.
    pub fn usual(rpc_type: RpcType) -> Self {
        const BLOCK_NUMBER: &str = r#"{"id":1,"jsonrpc":"2.0","method":"eth_blockNumber","params":[]}"#;
        const STATUS: &str = r#"{"id":1,"jsonrpc":"2.0","method":"status","params":[]}"#;
        match rpc_type {
            RpcType::JsonRpc => Self::json(rpc_type, BLOCK_NUMBER),
            RpcType::CometBft => Self::json(rpc_type, STATUS),
            RpcType::Rest => Self::get("/"),
        }
    }

    /// The call's envelope, with names of headers as Go writes them.
    pub fn payload(self) -> Payload {
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
            rpc_type: self.rpc_type,
            bytes: encode_http_request(&request),
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
        for kind in [RpcType::JsonRpc, RpcType::CometBft] {
            let call = BackendCall::usual(kind);
            assert!(serde_json::from_slice::<serde_json::Value>(&call.body).is_ok());
            assert_eq!(call.rpc_type, kind);
        }
    }
}
