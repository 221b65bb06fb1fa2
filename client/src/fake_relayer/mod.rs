//! For tests: a relayer that answers as it is told, with right or wrong signatures, and sessions to address it in.

mod carriers;

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use pocket_keys::SigningKey;
use pocket_proto::pocket::service::{RelayMinerError, RelayRequest, RelayResponse, RelayResponseMetadata};
use pocket_proto::pocket::session::SessionHeader;
use pocket_proto::sdk::types::PokthttpResponse;
use pocket_protocol::envelope::encode_http_response;
use pocket_protocol::relay::{encode_response, payload_hash, request_signable_hash, response_signable_hash};
use pocket_ring::{Limits, PublicKey, RingSignature, Verifier};
use prost::Message as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::http_server::HttpServer;
use crate::{ClientConfig, RelayClient, RelaySession, SessionSupplier, Sessions, Signatory, SigningStyle};

/// How the fake relayer answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// As it should; the backend answers with this status.
    Honest(u32),
    /// As before payload hashes: the payload itself is signed.
    WithoutPayloadHash,
    /// Signed by another supplier.
    OtherSigner,
    /// The payload is changed after it was signed.
    SwappedPayload,
    /// The session's end is another.
    OtherSession,
    /// A signed error.
    SignedError,
    /// An error without a signature.
    UnsignedError,
    /// No signature and no error.
    Unsigned,
    /// Bytes that are no message.
    Garbage,
    /// A signed payload that is no HTTP response.
    GarbagePayload,
    /// A refusal with this status.
    Refuse(u16),
    /// A refusal of every nth relay, honest to the others.
    RefuseOneIn(u64),
    /// Several pieces, all but the first signed by another supplier.
    LaterOtherSigner,
    /// Two pieces, then the connection breaks or the socket is closed with 4000.
    BreakOff,
    /// Nothing, for as long as the client waits.
    Silent,
    /// The connection is closed.
    Hangup,
}

/// A relay as it came in.
pub(crate) struct Arrived {
    pub headers: HeaderMap,
    pub path: String,
    pub request: RelayRequest,
}

/// Answers relays until it is dropped. Every ring signature is verified: a wrong one is answered with 403.
pub(crate) struct FakeRelayer {
    server: HttpServer,
    pub suppliers: Vec<SigningKey>,
    pub arrived: Arc<Arrivals>,
    shared: Arc<Shared>,
}

/// The relays that came in, oldest first.
type Arrivals = Mutex<Vec<Arrived>>;

const APPLICATION: u8 = 1;
const GATEWAY: u8 = 2;

pub(crate) fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32]).unwrap()
}

fn ring() -> Vec<PublicKey> {
    [APPLICATION, GATEWAY]
        .map(|byte| PublicKey::parse(&key(byte).public_key()).unwrap())
        .to_vec()
}

pub(crate) fn header() -> SessionHeader {
    SessionHeader {
        application_address: key(APPLICATION).address().to_string(),
        service_id: "svc-http".to_owned(),
        session_id: "ab".repeat(32),
        session_start_block_height: 11,
        session_end_block_height: 20,
    }
}

impl FakeRelayer {
    pub async fn start(manner: Manner, suppliers: u8) -> Self {
        let arrived = Arc::new(Arrivals::default());
        let shared = Arc::new(Shared {
            manner,
            verifier: Verifier::new(Limits::default()),
            suppliers: (0..suppliers).map(|index| key(100 + index)).collect(),
            count: AtomicU64::new(0),
            arrived: arrived.clone(),
            opened: AtomicU64::new(0),
            said_all: Notify::new(),
            sockets: Mutex::default(),
        });
        let answering = shared.clone();
        let handler = move |request| answering.clone().answer(request);
        Self {
            server: HttpServer::start((Ipv4Addr::LOCALHOST, 0).into(), handler)
                .await
                .unwrap(),
            suppliers: (0..suppliers).map(|index| key(100 + index)).collect(),
            arrived,
            shared,
        }
    }

    pub fn sessions(&self) -> Sessions {
        let suppliers = self.suppliers.iter().map(|key| SessionSupplier {
            address: key.address().clone(),
            public_key: *key.verifying_key(),
        });
        let signatory = Signatory::gateway(&key(GATEWAY), key(APPLICATION).address().as_str().parse().unwrap());
        let session = RelaySession::new(header(), suppliers.collect(), ring(), &signatory, SigningStyle::Fast).unwrap();
        Sessions::fixed(session)
    }

    pub fn config(&self) -> ClientConfig {
        let url = format!("http://{}", self.server.address()).parse().unwrap();
        ClientConfig::new(url, "svc-http".parse().unwrap())
    }

    /// Sockets that were opened.
    pub fn sockets(&self) -> u64 {
        self.shared.opened.load(Ordering::Relaxed)
    }

    /// When a relay over a socket has its last message.
    pub async fn said_all(&self) {
        self.shared.said_all.notified().await;
    }

    pub fn client(&self) -> RelayClient {
        RelayClient::new(&self.config(), self.sessions()).unwrap()
    }
}

struct Shared {
    manner: Manner,
    verifier: Verifier,
    suppliers: Vec<SigningKey>,
    count: AtomicU64,
    arrived: Arc<Arrivals>,
    opened: AtomicU64,
    said_all: Notify,
    sockets: Mutex<JoinSet<()>>,
}

/// An answer's body.
type Body = UnsyncBoxBody<Bytes, io::Error>;

#[derive(Debug, thiserror::Error)]
#[error("the fake relayer hangs up")]
struct HungUp;

impl Shared {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, HungUp> {
        if request.headers().contains_key(http::header::UPGRADE) {
            return Ok(self.open_socket(request));
        }
        let (head, body) = request.into_parts();
        let mut body = body.collect().await.unwrap().to_bytes();
        if carriers::is_call(&head.headers) {
            body = body.slice(5..);
        }
        let request = RelayRequest::decode(body).unwrap();
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let answer = match self.manner {
            Manner::Silent => std::future::pending().await,
            Manner::Hangup => return Err(HungUp),
            _ if !self.ring_holds(&request) => refusal(403),
            Manner::Refuse(status) if carriers::is_call(&head.headers) => carriers::refused_call(status),
            Manner::Refuse(status) => refusal(status),
            Manner::RefuseOneIn(n) if number.is_multiple_of(n) => refusal(503),
            Manner::Garbage => whole(Bytes::from_static(&[0xff, 0xff])),
            _ if carriers::is_call(&head.headers) => carriers::call(&self.piece(&request, 0)),
            _ if carriers::wants_stream(&request) => self.stream(&request),
            _ => whole(self.piece(&request, 0)),
        };
        self.arrived.lock().unwrap().push(Arrived {
            headers: head.headers,
            path: head.uri.path().to_owned(),
            request,
        });
        Ok(answer)
    }

    /// The how manieth piece of an answer in an envelope.
    fn piece(&self, request: &RelayRequest, index: usize) -> Bytes {
        let payload = match self.manner {
            Manner::GarbagePayload => Bytes::from_static(&[0xff]),
            Manner::Honest(status) => envelope(status),
            _ => envelope(200),
        };
        encode_response(&self.response(request, payload, index))
    }

    fn ring_holds(&self, request: &RelayRequest) -> bool {
        let signature = RingSignature::parse(&request.meta.as_ref().unwrap().signature).unwrap();
        self.verifier
            .verify(&request_signable_hash(request), &signature, &ring())
            .is_ok()
    }

    fn response(&self, request: &RelayRequest, payload: Bytes, index: usize) -> RelayResponse {
        let meta = request.meta.as_ref().unwrap();
        let key = self
            .suppliers
            .iter()
            .find(|key| key.address().as_str() == meta.supplier_operator_address);
        let mut response = RelayResponse {
            meta: Some(RelayResponseMetadata {
                session_header: meta.session_header.clone(),
                ..Default::default()
            }),
            payload_hash: payload_hash(&payload).to_vec().into(),
            payload,
            relay_miner_error: None,
        };
        match self.manner {
            Manner::WithoutPayloadHash => response.payload_hash = Bytes::new(),
            Manner::SignedError | Manner::UnsignedError => {
                response.relay_miner_error = Some(RelayMinerError {
                    code: 7,
                    description: "too many".to_owned(),
                    ..Default::default()
                });
            }
            Manner::OtherSession => {
                let header = response.meta.as_mut().unwrap().session_header.as_mut().unwrap();
                header.session_end_block_height += 1;
            }
            _ => {}
        }
        let signature = match self.manner {
            Manner::Unsigned | Manner::UnsignedError => Bytes::new(),
            Manner::LaterOtherSigner if index > 0 => sign(&self::key(99), &response),
            Manner::OtherSigner => sign(&self::key(99), &response),
            _ => sign(key.expect("the request names one of the suppliers"), &response),
        };
        response.meta.as_mut().unwrap().supplier_operator_signature = signature;
        if let Manner::SwappedPayload = self.manner {
            response.payload = envelope(418);
        }
        response
    }
}

fn sign(key: &SigningKey, response: &RelayResponse) -> Bytes {
    key.sign_message(&response_signable_hash(response)).to_vec().into()
}

fn envelope(status_code: u32) -> Bytes {
    encode_http_response(&PokthttpResponse {
        status_code,
        body_bz: Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#),
        ..Default::default()
    })
}

fn whole(bytes: Bytes) -> Response<Body> {
    Response::new(Full::new(bytes).map_err(|never| match never {}).boxed_unsync())
}

fn refusal(status: u16) -> Response<Body> {
    let mut answer = whole(Bytes::from_static(br#"{"error":"no"}"#));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

/// Long enough for an answer on a busy machine, short enough to wait for in a test.
pub(crate) const SHORT: Duration = Duration::from_millis(300);
