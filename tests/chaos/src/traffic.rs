//! Clients: they sign relays for the session of the moment, send them to either relayer and note what came back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use pocket_client::{
    BackendCall, Check, Mode, Payload, ReceivedAnswer, Sessions, Signatory, SignedRelay, SigningStyle, SupplierChoice,
};
use pocket_devnet::Actor;
use pocket_keys::SigningKey;
use pocket_proto::pocket::service::{RelayRequest, RelayResponse};
use pocket_protocol::AppAddress;
use pocket_query::BlockFeed;
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::book::{Book, Part};
use crate::fleet::{Node, SERVICES};

/// Compute units of one relay on the devnet.
pub const UNITS: u64 = 100;
/// Header `rpc-type` of a JSON-RPC relay.
const JSON_RPC: &str = "3";
/// Clients of each application.
const CLIENTS: usize = 4;
/// Longest wait for an answer; beyond it nobody knows what became of the relay.
const ANSWER: Duration = Duration::from_secs(15);

/// Clients at work.
pub struct Traffic {
    stop: CancellationToken,
    clients: JoinSet<()>,
    end_feed: CancellationToken,
    following: JoinHandle<()>,
}

impl Traffic {
    /// Starts sending; `pause` is the longest time between two relays of one client.
    pub fn start(
        node: &Node,
        relayers: &[SocketAddr],
        book: &Arc<Book>,
        pause: Duration,
        rng: &mut StdRng,
    ) -> anyhow::Result<Self> {
        let node = node.client()?;
        let end_feed = CancellationToken::new();
        let (feed, following) = BlockFeed::start(node.clone(), end_feed.clone());
        let stop = CancellationToken::new();
        let mut clients = JoinSet::new();
        let gateway = key("gateway1")?;
        for (number, service) in (1..).zip(SERVICES) {
            let application = AppAddress::of_public_key(&key(&format!("app{number}"))?.public_key());
            let sessions = Sessions::on_chain(
                node.clone(),
                feed.clone(),
                Signatory::gateway(&gateway, application),
                service.parse()?,
                SupplierChoice::All,
                SigningStyle::Fast,
            );
            for _ in 0..CLIENTS {
                let sender = Sender {
                    sessions: sessions.clone(),
                    payload: BackendCall::usual(Mode::JsonRpc).payload(),
                    relayers: relayers
                        .iter()
                        .map(|address| format!("http://{address}/{service}").parse())
                        .collect::<Result<_, _>>()?,
                    http: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
                    book: book.clone(),
                    pause,
                };
                clients.spawn(sender.run(StdRng::from_rng(rng), stop.clone()));
            }
        }
        Ok(Self {
            stop,
            clients,
            end_feed,
            following,
        })
    }

    /// Sends no more, and waits for the answers that are due.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.clients.join_next().await.is_some() {}
        self.end_feed.cancel();
        // It has nothing to tell.
        let _ = self.following.await;
    }
}

fn key(name: &str) -> anyhow::Result<SigningKey> {
    Ok(SigningKey::from_bytes(&Actor::named(name).private_key)?)
}

/// What came of one attempt.
enum Came {
    /// Status and body.
    Answer(StatusCode, Bytes),
    /// Nobody listened: nothing was sent.
    Nothing,
    /// It was sent, or part of it.
    Lost,
}

struct Sender {
    sessions: Sessions,
    payload: Payload,
    relayers: Vec<Uri>,
    http: Client<HttpConnector, Full<Bytes>>,
    book: Arc<Book>,
    pause: Duration,
}

impl Sender {
    async fn run(self, mut rng: StdRng, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let relayer = self.relayers[rng.random_range(0..self.relayers.len())].clone();
            self.relay(relayer).await;
            let pause = self.pause.mul_f64(rng.random());
            stop.run_until_cancelled(sleep(pause)).await;
        }
    }

    async fn relay(&self, relayer: Uri) {
        // The chain is there, but its answer may be late.
        let Ok(session) = self.sessions.current().await else {
            return;
        };
        let relay = SignedRelay::new(session, &self.payload);
        let part = Part {
            end: relay.session().end().0,
            session: relay.session().header().session_id.clone(),
            supplier: relay.supplier().address.to_string(),
        };
        let request = RelayRequest::decode(relay.bytes.clone()).expect("we encoded it");
        match self.post(relayer, relay.bytes.clone()).await {
            Came::Nothing => {}
            Came::Lost => self.book.uncertain(&part, request),
            Came::Answer(StatusCode::OK, bytes) => {
                let now = Instant::now();
                let received = ReceivedAnswer {
                    pieces: vec![bytes.clone()],
                    first_at: now,
                    at: now,
                    cut_off: None,
                };
                match (relay.read(received, Check::All), RelayResponse::decode(bytes)) {
                    (Ok(_), Ok(answer)) => self.book.answered(&part, &request, answer, UNITS),
                    (Err(error), _) => self.book.fault(&part, error.to_string()),
                    (_, Err(error)) => self.book.fault(&part, error.to_string()),
                }
            }
            Came::Answer(..) => self.book.refused(&part),
        }
    }

    async fn post(&self, uri: Uri, body: Bytes) -> Came {
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header("rpc-type", JSON_RPC)
            .body(Full::new(body))
            .expect("all parts are right");
        let exchange = async {
            let answer = match self.http.request(request).await {
                Ok(answer) => answer,
                Err(error) if error.is_connect() => return Came::Nothing,
                Err(_) => return Came::Lost,
            };
            let status = answer.status();
            match answer.into_body().collect().await {
                Ok(body) => Came::Answer(status, body.to_bytes()),
                Err(_) => Came::Lost,
            }
        };
        timeout(ANSWER, exchange).await.unwrap_or(Came::Lost)
    }
}
