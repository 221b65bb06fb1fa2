//! A backend to relay to, for every RPC type: JSON-RPC, REST and `CometBFT` calls, streams of server-sent events and
//! NDJSON, messages over `WebSocket`s, gRPC calls. It fails when it is told to.

mod answers;
mod grpc;
mod socket;
mod stream;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::http_server::HttpServer;

/// What the backend does with calls; may be changed while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// Waits this long before each answer.
    pub delay: Duration,
    /// Answers are made at least this long, by a field or line of padding.
    pub answer_bytes: usize,
    /// Waits this long between two batches of a stream.
    pub batch_pause: Duration,
    /// What goes wrong.
    pub failure: Failure,
}

impl Default for Behaviour {
    /// Answers at once. Batches come so slowly that a relayer passes each on by itself (spec `relay.md` §5.11).
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            answer_bytes: 0,
            batch_pause: Duration::from_millis(110),
            failure: Failure::None,
        }
    }
}

/// What goes wrong at the backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failure {
    /// Nothing.
    #[default]
    None,
    /// Every nth call is answered with this status and a short text, a message over a WebSocket with a close; 1 is all
    /// of them, 0 none.
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// Of how many calls one fails.
        one_in: u64,
    },
    /// Every nth call has its connection closed instead of an answer; 1 is all of them, 0 none.
    Hangup {
        /// Of how many calls one fails.
        one_in: u64,
    },
}

/// Where to listen, and how to behave at first.
#[derive(Clone, Debug)]
pub struct SampleBackendConfig {
    /// The socket; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What it does with calls.
    pub behaviour: Behaviour,
}

impl Default for SampleBackendConfig {
    /// A free loopback port, and every call is answered at once.
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            behaviour: Behaviour::default(),
        }
    }
}

/// Serves until it is dropped.
#[derive(Debug)]
pub struct SampleBackend {
    server: HttpServer,
    state: Arc<State>,
    // Ends with the backend, and the sockets with it.
    _sockets: Arc<Sockets>,
}

/// The tasks of open `WebSocket`s.
type Sockets = Mutex<JoinSet<()>>;

#[derive(Debug)]
struct State {
    behaviour: ArcSwap<Behaviour>,
    received: AtomicU64,
    served: AtomicU64,
}

impl SampleBackend {
    /// Listens and serves.
    pub async fn start(config: SampleBackendConfig) -> io::Result<Self> {
        let state = Arc::new(State {
            behaviour: ArcSwap::from_pointee(config.behaviour),
            received: AtomicU64::new(0),
            served: AtomicU64::new(0),
        });
        let sockets = Arc::new(Sockets::default());
        let handler = {
            let (state, sockets) = (state.clone(), Arc::downgrade(&sockets));
            move |request| state.clone().answer(request, sockets.clone())
        };
        let server = HttpServer::start(config.listen, handler).await?;
        Ok(Self {
            server,
            state,
            _sockets: sockets,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// `http://` and [its address](Self::address): for all calls but `WebSocket`s.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// `ws://` and [its address](Self::address).
    pub fn socket_url(&self) -> String {
        format!("ws://{}", self.address())
    }

    /// Calls that came in, answered or not; each message over a WebSocket is one.
    pub fn received(&self) -> u64 {
        self.state.received.load(Ordering::Relaxed)
    }

    /// Calls that were answered as asked: not those that a [`Failure`] struck.
    pub fn served(&self) -> u64 {
        self.state.served.load(Ordering::Relaxed)
    }

    /// From the next call on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state.behaviour.store(Arc::new(behaviour));
    }
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("the backend hangs up, as it was told to")]
    Told,
    #[error("the call broke off: {0}")]
    Broken(#[from] hyper::Error),
}

/// An answer's body.
type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// A call that was let through.
struct Call {
    /// The how manieth it is.
    number: u64,
    behaviour: Arc<Behaviour>,
}

impl State {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        sockets: Weak<Sockets>,
    ) -> Result<Response<Answer>, NoAnswer> {
        if socket::is_upgrade(&request) {
            return Ok(socket::open(self, request, &sockets));
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let call = self.take().await;
        match call.failure() {
            Failure::Hangup { .. } => return Err(NoAnswer::Told),
            Failure::Status { status, .. } => {
                let mut answer =
                    Response::new(Full::from("the sample backend fails, as it was told to\n").boxed_unsync());
                *answer.status_mut() = status;
                return Ok(answer);
            }
            Failure::None => {}
        }
        let answer = if grpc::is_call(&head.headers) {
            grpc::answer(head.uri.path(), &body, &call)
        } else if let Some(wanted) = stream::wanted(&head, &body) {
            stream::answer(wanted, call)
        } else {
            answers::answer(&head, &body, call.number, call.behaviour.answer_bytes)
                .map(|body| Full::new(body).boxed_unsync())
        };
        self.served.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }

    /// Counts a call, and makes it wait.
    async fn take(&self) -> Call {
        let number = self.received.fetch_add(1, Ordering::Relaxed) + 1;
        let behaviour = self.behaviour.load_full();
        if !behaviour.delay.is_zero() {
            tokio::time::sleep(behaviour.delay).await;
        }
        Call { number, behaviour }
    }
}

impl Call {
    /// What befalls this call.
    fn failure(&self) -> Failure {
        match self.behaviour.failure {
            Failure::Status { one_in, .. } | Failure::Hangup { one_in }
                if one_in == 0 || !self.number.is_multiple_of(one_in) =>
            {
                Failure::None
            }
            failure => failure,
        }
    }
}

#[cfg(test)]
mod tests;
