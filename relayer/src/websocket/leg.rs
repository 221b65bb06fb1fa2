//! One leg of a socket: reading, writing, pings, and an orderly end.

use bytes::{Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use pocket_config::WebSocketConfig;
use pocket_websocket::{FrameError, Kind, Message, MessageCodec, ROOM, Role};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::codec::{FramedRead, FramedWrite};
use tokio_util::sync::CancellationToken;

use super::close::Close;

/// How long a peer may take to hang up after our close frame. A socket that is dropped with unread bytes is reset,
/// and the peer may never see the close frame.
const HANG_UP: Duration = Duration::from_secs(1);
/// What a socket that says nothing holds for reading, and again for writing.
const IDLE_BUFFER: usize = 1 << 10;

/// The two halves of a leg.
pub(crate) struct Leg {
    pub reader: Reader,
    pub writer: Writer,
}

/// Reads a leg's messages.
pub(crate) struct Reader {
    frames: FramedRead<ReadHalf<TokioIo<Upgraded>>, MessageCodec>,
    /// How long the peer may say nothing, not even a pong.
    idle: Duration,
}

/// Writes a leg's messages.
pub(crate) struct Writer {
    frames: FramedWrite<WriteHalf<TokioIo<Upgraded>>, MessageCodec>,
    ping_every: Duration,
    /// For one message; a peer that stops reading holds a socket no longer.
    deadline: Duration,
}

impl Leg {
    pub fn new(socket: Upgraded, role: Role, limits: &WebSocketConfig) -> Self {
        let (read, write) = tokio::io::split(TokioIo::new(socket));
        let codec = || {
            MessageCodec::new(
                role,
                usize::try_from(limits.max_message_size_bytes).unwrap_or(usize::MAX),
            )
        };
        Self {
            reader: Reader {
                frames: FramedRead::with_capacity(read, codec(), IDLE_BUFFER),
                idle: limits.idle_timeout,
            },
            writer: Writer {
                frames: FramedWrite::with_capacity(write, codec(), IDLE_BUFFER),
                ping_every: limits.ping_interval,
                deadline: limits.write_timeout,
            },
        }
    }

    /// Says why, and lets the peer hang up.
    pub async fn close(mut self, parting: Option<Bytes>, close: &Close) {
        let frames = &mut self.writer.frames;
        let farewell = async {
            if let Some(parting) = parting {
                frames.send(Message::Data(Kind::Binary, parting)).await?;
            }
            frames.send(Message::Close(close.body())).await?;
            frames.get_mut().shutdown().await.map_err(FrameError::Io)
        };
        if !matches!(timeout(self.writer.deadline, farewell).await, Ok(Ok(()))) {
            return;
        }
        let mut unread = [0; 4096];
        let socket = self.reader.frames.get_mut();
        let hung_up = async { while socket.read(&mut unread).await.is_ok_and(|read| read > 0) {} };
        // Either way the socket is dropped.
        drop(timeout(HANG_UP, hung_up).await);
    }
}

impl Reader {
    /// The next message, pings answered through `own`; or why there is none.
    pub async fn next(&mut self, own: &mpsc::Sender<Message>) -> Result<(Kind, Bytes), Close> {
        let gone = || Close::new(Close::GONE, "peer disconnected");
        let broken = || Close::new(Close::PROTOCOL_ERROR, "protocol error");
        loop {
            let read = timeout(self.idle, self.frames.next())
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
}

impl Writer {
    /// Writes what is queued, and pings, until the queue ends; `false` when the peer does not take it.
    pub async fn run(&mut self, mut queue: mpsc::Receiver<Message>, failed: &CancellationToken) -> bool {
        let mut pings = interval_at(Instant::now() + self.ping_every, self.ping_every);
        loop {
            let message = tokio::select! {
                message = queue.recv() => match message {
                    Some(message) => message,
                    None => return true,
                },
                _ = pings.tick() => Message::Ping(Bytes::new()),
            };
            if !matches!(timeout(self.deadline, self.frames.send(message)).await, Ok(Ok(()))) {
                failed.cancel();
                return false;
            }
            // What one large message needed is not kept for as long as the socket is open.
            if self.frames.write_buffer().capacity() > ROOM {
                *self.frames.write_buffer_mut() = BytesMut::new();
            }
        }
    }
}
