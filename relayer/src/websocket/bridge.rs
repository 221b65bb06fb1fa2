//! One open socket: a gateway's leg, a backend's leg, and what passes between them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use pocket_config::RpcType;
use pocket_protocol::ServiceId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::codec::{FramedRead, FramedWrite};
use tokio_util::sync::CancellationToken;

use super::close::Close;
use super::codec::{FrameError, Kind, Message, MessageCodec, Role};
use super::relays::session_expired;
use crate::pipeline::Pipeline;
use crate::refusal::{Invalid, Refusal};
use crate::verify::Subscription;

const PING_EVERY: Duration = Duration::from_secs(27);
/// A peer that says nothing for so long, not even a pong, is gone.
const IDLE: Duration = Duration::from_secs(30);
/// For one message; a peer that stops reading holds a socket no longer.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a peer may take to hang up after our close frame. A socket that is dropped with unread bytes is reset,
/// and the peer may never see the close frame.
const HANG_UP: Duration = Duration::from_secs(1);
/// Messages that wait for a writer; when there are more, their reader waits. Each may have megabytes.
const QUEUE: usize = 8;

/// The two halves of a socket.
pub(crate) struct Leg {
    reader: FramedRead<ReadHalf<TokioIo<Upgraded>>, MessageCodec>,
    writer: FramedWrite<WriteHalf<TokioIo<Upgraded>>, MessageCodec>,
}

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
    /// The request that the backend's messages answer.
    latest: watch::Sender<Option<Arc<Subscription>>>,
}

impl Leg {
    pub fn new(socket: Upgraded, role: Role) -> Self {
        let (read, write) = tokio::io::split(TokioIo::new(socket));
        Self {
            reader: FramedRead::new(read, MessageCodec::new(role)),
            writer: FramedWrite::new(write, MessageCodec::new(role)),
        }
    }

    /// The next message, pings answered; or why there is none.
    async fn next(
        reader: &mut FramedRead<ReadHalf<TokioIo<Upgraded>>, MessageCodec>,
        own: &mpsc::Sender<Message>,
    ) -> Result<(Kind, Bytes), Close> {
        let gone = || Close::new(Close::GONE, "peer disconnected");
        let broken = || Close::new(Close::PROTOCOL_ERROR, "protocol error");
        loop {
            let read = timeout(IDLE, reader.next())
                .await
                .map_err(|_| Close::new(Close::GONE, "ping timeout"))?;
            match read.ok_or_else(gone)? {
                Ok(Message::Data(kind, bytes)) => return Ok((kind, bytes)),
                // A peer that pings without reading gets no more than fits.
                Ok(Message::Ping(body)) => drop(own.try_send(Message::Pong(body))),
                Ok(Message::Pong(_)) => {}
                Ok(Message::Close(body)) => return Err(Close::parse(&body).unwrap_or_else(broken)),
                Err(FrameError::TooBig) => return Err(Close::new(Close::TOO_BIG, "message too big")),
                Err(FrameError::Protocol) => return Err(broken()),
                Err(FrameError::Io(_)) => return Err(gone()),
            }
        }
    }

    /// Says why, and lets the peer hang up.
    pub async fn close(mut self, parting: Option<Bytes>, close: &Close) {
        let farewell = async {
            if let Some(parting) = parting {
                self.writer.send(Message::Data(Kind::Binary, parting)).await?;
            }
            self.writer.send(Message::Close(close.body())).await?;
            self.writer.get_mut().shutdown().await.map_err(FrameError::Io)
        };
        if !matches!(timeout(WRITE_DEADLINE, farewell).await, Ok(Ok(()))) {
            return;
        }
        let mut unread = [0; 4096];
        let hung_up = async { while self.reader.get_mut().read(&mut unread).await.is_ok_and(|read| read > 0) {} };
        // Either way the socket is dropped.
        drop(timeout(HANG_UP, hung_up).await);
    }
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

impl Bridge {
    pub fn new(pipeline: Arc<Pipeline>, service: ServiceId, simulated: Option<Bytes>) -> Self {
        Self {
            pipeline,
            service,
            simulated,
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
            write(&mut gateway.writer, gateway_queue, &write_failed),
            write(&mut backend.writer, backend_queue, &write_failed),
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
        reader: &mut FramedRead<ReadHalf<TokioIo<Upgraded>>, MessageCodec>,
        own: &mpsc::Sender<Message>,
        backend: &mpsc::Sender<Message>,
    ) -> End {
        loop {
            let (kind, frame) = match Leg::next(reader, own).await {
                Ok(message) => message,
                Err(close) => return End::from_gateway(close),
            };
            let open = match self.open(frame).await {
                Ok(open) => Arc::new(open),
                Err(refusal) => return self.refuse(&refusal),
            };
            let latest = self.latest.borrow().clone();
            if !open.is_simulated() && latest.is_some_and(|latest| latest.header() != open.header()) {
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
        }
    }

    /// From the backend to the gateway: each message answers the latest request, and is a relay.
    async fn pass_answers(
        &self,
        reader: &mut FramedRead<ReadHalf<TokioIo<Upgraded>>, MessageCodec>,
        own: &mpsc::Sender<Message>,
        gateway: &mpsc::Sender<Message>,
    ) -> End {
        loop {
            // Room first: between mining and the queue nothing may be cut off.
            let Ok(room) = gateway.reserve().await else {
                return End::from_backend(Close::new(Close::OTHER_LEG_FAILED, "write failed"));
            };
            let (kind, payload) = match Leg::next(reader, own).await {
                Ok(message) => message,
                Err(close) => return End::from_backend(close),
            };
            let latest = self.latest.borrow().clone();
            let Some(open) = latest else {
                // A greeting, which answers no one: there is no session to sign it for.
                room.send(Message::Data(kind, payload));
                continue;
            };
            match self.pipeline.answer_subscription(&open, payload).await {
                Ok(Some(wire)) => room.send(Message::Data(kind, wire)),
                Ok(None) => {}
                Err(refusal) => return self.refuse(&refusal),
            }
        }
    }

    /// Waits for the first block after the socket's session. All its requests are of one session.
    async fn session_end(&self) -> End {
        let mut latest = self.latest.subscribe();
        let open = match latest.wait_for(Option::is_some).await {
            Ok(open) => open.clone(),
            Err(_) => None,
        };
        let mut blocks = self.pipeline.feed.subscribe();
        if let Some(open) = open
            && !open.is_simulated()
            && blocks.wait_for(|block| block.height > open.end).await.is_ok()
        {
            return End::expired(Some(&open));
        }
        // No more blocks come: the relayer is ending.
        std::future::pending().await
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

/// Writes what is queued, and pings, until the queue ends; `false` when the peer does not take it.
async fn write(
    writer: &mut FramedWrite<WriteHalf<TokioIo<Upgraded>>, MessageCodec>,
    mut queue: mpsc::Receiver<Message>,
    failed: &CancellationToken,
) -> bool {
    let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        let message = tokio::select! {
            message = queue.recv() => match message {
                Some(message) => message,
                None => return true,
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        if !matches!(timeout(WRITE_DEADLINE, writer.send(message)).await, Ok(Ok(()))) {
            failed.cancel();
            return false;
        }
    }
}
