//! For tests: a relayer that answers as it is told, with right or wrong signatures, and sessions to address it in.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
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
        });
        let handler = move |request| shared.clone().answer(request);
        Self {
            server: HttpServer::start((Ipv4Addr::LOCALHOST, 0).into(), handler)
                .await
                .unwrap(),
            suppliers: (0..suppliers).map(|index| key(100 + index)).collect(),
            arrived,
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
}

#[derive(Debug, thiserror::Error)]
#[error("the fake relayer hangs up")]
struct HungUp;

impl Shared {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, HungUp> {
        let (head, body) = request.into_parts();
        let request = RelayRequest::decode(body.collect().await.unwrap().to_bytes()).unwrap();
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let answer = match self.manner {
            Manner::Silent => std::future::pending().await,
            Manner::Hangup => return Err(HungUp),
            _ if !self.ring_holds(&request) => refusal(403),
            Manner::Refuse(status) => refusal(status),
            Manner::RefuseOneIn(n) if number.is_multiple_of(n) => refusal(503),
            Manner::Garbage => Response::new(Bytes::from_static(&[0xff, 0xff])),
            _ => Response::new(encode_response(&self.response(&request))),
        };
        self.arrived.lock().unwrap().push(Arrived {
            headers: head.headers,
            path: head.uri.path().to_owned(),
            request,
        });
        Ok(answer.map(Full::new))
    }

    fn ring_holds(&self, request: &RelayRequest) -> bool {
        let signature = RingSignature::parse(&request.meta.as_ref().unwrap().signature).unwrap();
        self.verifier
            .verify(&request_signable_hash(request), &signature, &ring())
            .is_ok()
    }

    fn response(&self, request: &RelayRequest) -> RelayResponse {
        let meta = request.meta.as_ref().unwrap();
        let key = self
            .suppliers
            .iter()
            .find(|key| key.address().as_str() == meta.supplier_operator_address);
        let mut payload = envelope(match self.manner {
            Manner::Honest(status) => status,
            _ => 200,
        });
        if let Manner::GarbagePayload = self.manner {
            payload = Bytes::from_static(&[0xff]);
        }
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

fn refusal(status: u16) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(br#"{"error":"no"}"#));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}

/// Long enough for an answer on a busy machine, short enough to wait for in a test.
pub(crate) const SHORT: Duration = Duration::from_millis(300);
