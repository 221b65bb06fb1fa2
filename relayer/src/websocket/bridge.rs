//! One open socket: a gateway's leg, a backend's leg, and what passes between them.

use std::sync::Arc;

use bytes::Bytes;
use pocket_config::{RpcType, WebSocketConfig};
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::{Height, ServiceId};
use pocket_websocket::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::close::Close;
use super::leg::{Leg, Reader};
use super::pace::Pace;
use super::relays::session_expired;
use crate::metrics::SocketMetrics;
use crate::pipeline::Pipeline;
use crate::refusal::{Invalid, Refusal, Unavailable};
use crate::verify::Subscription;

/// Messages that wait for a writer; when there are more, their reader waits. Each may have megabytes.
const QUEUE: usize = 8;

/// How a socket ends.
struct End {
    gateway: Close,
    backend: Close,
    /// A last message to the gateway.
    parting: Option<Bytes>,
}

/// What both directions of a socket share.
pub(crate) struct Bridge {
    pipeline: Arc<Pipeline>,
    service: ServiceId,
    /// The identity of simulated relays.
    simulated: Option<Bytes>,
    /// The session that the handshake's signature named; else the first request names it.
    session: Option<SessionHeader>,
    /// From the gateway.
    messages_per_second: Option<u32>,
    /// The request that the backend's messages answer.
    latest: watch::Sender<Option<Arc<Subscription>>>,
    metrics: SocketMetrics,
}

impl End {
    fn from_gateway(close: Close) -> Self {
        Self {
            backend: close.for_backend(),
            gateway: close,
            parting: None,
        }
    }

    fn from_backend(close: Close) -> Self {
        Self {
            gateway: close.for_gateway(),
            backend: close,
            parting: None,
        }
    }

    fn expired(open: Option<&Subscription>) -> Self {
        let close = Close::new(Close::SESSION_EXPIRED, "session expired");
        Self {
            parting: open.map(session_expired),
            ..Self::from_gateway(close)
        }
    }
}

/// What a handshake told of its socket.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// By a signature that is right.
    pub session: Option<SessionHeader>,
    /// The identity of simulated relays.
    pub simulated: Option<Bytes>,
}

impl Bridge {
    pub fn new(pipeline: Arc<Pipeline>, service: ServiceId, opened: Opened, limits: &WebSocketConfig) -> Self {
        Self {
            metrics: pipeline.metrics.transports.socket(service.as_str()),
            pipeline,
            service,
            session: opened.session,
            simulated: opened.simulated,
            messages_per_second: limits.max_messages_per_second,
            latest: watch::Sender::new(None),
        }
    }

    /// Passes messages until one leg ends, the session is over, or `cancel`; then closes both legs.
    pub async fn run(self, mut gateway: Leg, mut backend: Leg, cancel: &CancellationToken) {
        let (to_gateway, gateway_queue) = mpsc::channel(QUEUE);
        let (to_backend, backend_queue) = mpsc::channel(QUEUE);
        let write_failed = CancellationToken::new();
        let reading = async {
            let (to_gateway, to_backend) = (to_gateway, to_backend);
            tokio::select! {
                end = self.pass_requests(&mut gateway.reader, &to_gateway, &to_backend) => end,
                end = self.pass_answers(&mut backend.reader, &to_backend, &to_gateway) => end,
                end = self.session_end() => end,
                () = write_failed.cancelled() => {
                    End::from_gateway(Close::new(Close::OTHER_LEG_FAILED, "write failed"))
                }
                () = cancel.cancelled() => End::from_gateway(Close::new(Close::GONE, "relayer ends")),
            }
            // The queues end here; what is in them is still written.
        };
        let (end, gateway_written, backend_written) = tokio::join!(
            reading,
            gateway.writer.run(gateway_queue, &write_failed),
            backend.writer.run(backend_queue, &write_failed),
        );
        tracing::debug!(service = self.service.as_str(), code = end.gateway.code, "socket ends");
        let End {
            gateway: to_gateway,
            backend: to_backend,
            parting,
        } = end;
        let close_gateway = async {
            if gateway_written {
                gateway.close(parting, &to_gateway).await;
            }
        };
        let close_backend = async {
            if backend_written {
                backend.close(None, &to_backend).await;
            }
        };
        tokio::join!(close_gateway, close_backend);
    }

    /// From the gateway to the backend.
    async fn pass_requests(
        &self,
        reader: &mut Reader,
        own: &mpsc::Sender<Message>,
        backend: &mpsc::Sender<Message>,
    ) -> End {
        let mut pace = Pace::new(self.messages_per_second, Instant::now());
        loop {
            let (kind, frame) = match reader.next(own).await {
                Ok(message) => message,
                Err(close) => return End::from_gateway(close),
            };
            if !pace.allows(Instant::now()) {
                return self.refuse(&Refusal::Unavailable {
                    service: self.service.as_str().to_owned(),
                    reason: Unavailable::TooFast,
                });
            }
            let open = match self.open(frame).await {
                Ok(open) => Arc::new(open),
                Err(refusal) => return self.refuse(&refusal),
            };
            if !open.is_simulated() && self.with_session(|session| session != open.header()) == Some(true) {
                return self.refuse(&Refusal::Invalid(Invalid::HeaderMismatch("session of the socket")));
            }
            let payload = open.request.payload.clone();
            let is_over = !open.is_simulated() && self.pipeline.height() > open.end;
            self.latest.send_replace(Some(open));
            if is_over {
                return self.refuse(&Refusal::Invalid(Invalid::Expired));
            }
            if backend.send(Message::Data(kind, payload)).await.is_err() {
                return End::from_gateway(Close::new(Close::OTHER_LEG_FAILED, "write failed"));
            }
            self.metrics.to_backend.inc();
        }
    }

    /// From the backend to the gateway: each message answers the latest request, and is a relay.
    async fn pass_answers(
        &self,
        reader: &mut Reader,
        own: &mpsc::Sender<Message>,
        gateway: &mpsc::Sender<Message>,
    ) -> End {
        loop {
            // Room first: between mining and the queue nothing may be cut off.
            let Ok(room) = gateway.reserve().await else {
                return End::from_backend(Close::new(Close::OTHER_LEG_FAILED, "write failed"));
            };
            let (kind, payload) = match reader.next(own).await {
                Ok(message) => message,
                Err(close) => return End::from_backend(close),
            };
            let latest = self.latest.borrow().clone();
            let Some(open) = latest else {
                // A greeting, which answers no one: there is no session to sign it for.
                room.send(Message::Data(kind, payload));
                self.metrics.to_gateway.inc();
                continue;
            };
            match self.pipeline.answer_subscription(&open, payload).await {
                Ok(Some(wire)) => {
                    room.send(Message::Data(kind, wire));
                    self.metrics.to_gateway.inc();
                    if !open.is_simulated() {
                        self.metrics.relays.inc();
                    }
                }
                Ok(None) => {}
                Err(refusal) => return self.refuse(&refusal),
            }
        }
    }

    /// Tells the one session that all requests are of, once it is known.
    fn with_session<T>(&self, tell: impl FnOnce(&SessionHeader) -> T) -> Option<T> {
        let latest = self.latest.borrow();
        let first = latest.as_ref().map(|open| open.header());
        self.session.as_ref().or(first).map(tell)
    }

    /// Waits for the first block after the socket's own session, whatever other sockets are open for.
    async fn session_end(&self) -> End {
        let mut latest = self.latest.subscribe();
        if self.simulated.is_some() || self.session.is_none() && latest.wait_for(Option::is_some).await.is_err() {
            return std::future::pending().await;
        }
        let end = self.with_session(|session| Height(session.session_end_block_height));
        let end = end.expect("the handshake or a request has told the session");
        let mut blocks = self.pipeline.feed.subscribe();
        if blocks.wait_for(|block| block.height > end).await.is_err() {
            // No more blocks come: the relayer is ending.
            return std::future::pending().await;
        }
        End::expired(self.latest.borrow().as_deref())
    }

    /// Believes a request. A socket is simulated from its handshake to its end, or not at all.
    async fn open(&self, frame: Bytes) -> Result<Subscription, Refusal> {
        match (&self.simulated, &self.pipeline.simulation) {
            (Some(key_id), Some(simulation)) => {
                let subscribed = self
                    .pipeline
                    .subscribe_simulated(simulation, key_id, &self.service, frame);
                subscribed.await
            }
            _ => self.pipeline.subscribe(&self.service, frame).await,
        }
    }

    fn refuse(&self, refusal: &Refusal) -> End {
        if self.simulated.is_none() {
            let kind = RpcType::WebSocket.as_str();
            self.pipeline.count_refusal(self.service.as_str(), kind, refusal);
        }
        if *refusal == Refusal::Invalid(Invalid::Expired) {
            return End::expired(self.latest.borrow().as_deref());
        }
        End::from_gateway(Close::refusing(refusal))
    }
}
