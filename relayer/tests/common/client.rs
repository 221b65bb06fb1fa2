//! A gateway: signs relays and checks their answers.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use pocket_devnet::Actor;
use pocket_proto::pocket::service::{RelayRequest, RelayRequestMetadata, RelayResponse};
use pocket_proto::pocket::session::SessionHeader;
use pocket_proto::sdk::types::{Header, PokthttpRequest, PokthttpResponse};
use pocket_protocol::relay::{payload_hash, received_response_signable_hash, request_signable_hash};
use pocket_protocol::signature::verify_response;
use pocket_ring::{PrivateKey, PublicKey, sign};
use prost::Message as _;

pub const QUESTION: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#;

/// A relay to be signed and sent.
#[derive(Clone)]
pub struct Relay {
    pub header: SessionHeader,
    pub supplier: String,
    pub signer: String,
    pub ring: Vec<String>,
    pub envelope: PokthttpRequest,
    pub outer: Vec<(&'static str, String)>,
    /// Signed by the right keys, but not this request.
    pub is_forged: bool,
}

impl Relay {
    pub fn new(header: SessionHeader, supplier: &str) -> Self {
        let json = Header {
            key: "Content-Type".to_owned(),
            values: vec!["application/json".to_owned()],
        };
        Self {
            header,
            supplier: Actor::named(supplier).address,
            signer: "gateway1".to_owned(),
            ring: vec!["app1".to_owned(), "gateway1".to_owned()],
            envelope: PokthttpRequest {
                method: "POST".to_owned(),
                header: [("Content-Type".to_owned(), json)].into(),
                url: "/".to_owned(),
                body_bz: Bytes::from_static(QUESTION),
            },
            outer: Vec::new(),
            is_forged: false,
        }
    }

    /// With another inner method and URL.
    pub fn to(mut self, method: &str, url: &str) -> Self {
        method.clone_into(&mut self.envelope.method);
        url.clone_into(&mut self.envelope.url);
        self
    }

    pub fn forged(mut self) -> Self {
        self.is_forged = true;
        self
    }

    pub fn with_outer(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.outer.push((name, value.into()));
        self
    }

    /// The signed request.
    pub fn request(&self) -> RelayRequest {
        self.request_of(self.envelope.encode_to_vec().into())
    }

    /// The signed request with another payload.
    pub fn request_of(&self, payload: Bytes) -> RelayRequest {
        let mut request = RelayRequest {
            meta: Some(RelayRequestMetadata {
                session_header: Some(self.header.clone()),
                signature: Bytes::new(),
                supplier_operator_address: self.supplier.clone(),
            }),
            payload,
        };
        let ring: Vec<PublicKey> = self
            .ring
            .iter()
            .map(|name| PublicKey::parse(&Actor::named(name).public_key).unwrap())
            .collect();
        let signer = PrivateKey::parse(&Actor::named(&self.signer).private_key).unwrap();
        let mut message = request_signable_hash(&request);
        message[0] ^= u8::from(self.is_forged);
        let signature = sign(&message, &signer, &ring, &mut rand::rng()).unwrap();
        if let Some(meta) = &mut request.meta {
            meta.signature = signature.to_bytes().into();
        }
        request
    }

    pub fn bytes(&self) -> Bytes {
        self.request().encode_to_vec().into()
    }

    /// Signs and sends.
    pub async fn send(&self, url: &str) -> Reply {
        send(url, Method::POST, &self.outer, self.bytes()).await
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub content_type: String,
    pub content_encoding: Option<String>,
    pub retry_after: Option<String>,
    pub body: Bytes,
}

impl Reply {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Status and body of a refusal.
    pub fn refusal(&self) -> (u16, &str) {
        (self.status.as_u16(), self.text())
    }

    /// The answer inside, once its signature and hash are found to be right.
    pub fn answer(&self, supplier: &str) -> PokthttpResponse {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        verified(&self.body, supplier)
    }
}

/// The answer inside a signed response, once its signature and hash are found to be right.
pub fn verified(wire: &[u8], supplier: &str) -> PokthttpResponse {
    let response = RelayResponse::decode(wire).unwrap();
    let meta = response.meta.as_ref().unwrap();
    let hash = received_response_signable_hash(&response, wire);
    verify_response(
        &hash,
        &Actor::named(supplier).public_key,
        &meta.supplier_operator_signature,
    )
    .unwrap();
    assert_eq!(response.payload_hash[..], payload_hash(&response.payload));
    PokthttpResponse::decode(response.payload).unwrap()
}

/// Sends bytes as they are.
pub async fn send(url: &str, method: Method, headers: &[(&'static str, String)], body: Bytes) -> Reply {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    exchange(request.body(Full::new(body)).unwrap(), false).await
}

/// Sends a request over HTTP/1.1 or, with prior knowledge, HTTP/2.
pub async fn exchange(request: Request<Full<Bytes>>, http2: bool) -> Reply {
    exchange_with_headers(request, http2).await.0
}

/// The same, with all headers of the answer.
pub async fn exchange_with_headers(request: Request<Full<Bytes>>, http2: bool) -> (Reply, HeaderMap) {
    let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
    let (head, body) = client.request(request).await.unwrap().into_parts();
    let text = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let reply = Reply {
        status: head.status,
        content_type: text("content-type").unwrap_or_default(),
        content_encoding: text("content-encoding"),
        retry_after: text("retry-after"),
        body: body.collect().await.unwrap().to_bytes(),
    };
    (reply, head.headers)
}
