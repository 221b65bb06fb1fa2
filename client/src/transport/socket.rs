//! One open WebSocket to a relayer.

use std::time::Instant;

use bytes::Bytes;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use pocket_websocket::{FrameError, Kind, Message, MessageCodec, Role};
use tokio::time::{Instant as Deadline, timeout_at};
use tokio_util::codec::Framed;

use super::{ReceivedAnswer, broken};
use crate::RelayError;

const NORMAL: u16 = 1000;
/// What RFC 6455 calls a close frame without a code.
const NO_CODE: u16 = 1005;

pub(super) struct Socket {
    frames: Framed<TokioIo<Upgraded>, MessageCodec>,
    limit: usize,
}

impl Socket {
    pub fn new(upgraded: Upgraded, limit: usize) -> Self {
        let codec = MessageCodec::new(Role::Client, limit);
        Self {
            frames: Framed::new(TokioIo::new(upgraded), codec),
            limit,
        }
    }

    /// Sends a request and waits for so many messages. Once there is one, whatever happens then only cuts the answer
    /// off.
    pub async fn ask(
        &mut self,
        request: Bytes,
        answers: usize,
        deadline: Deadline,
    ) -> Result<ReceivedAnswer, RelayError> {
        let mut pieces = Vec::with_capacity(answers);
        let mut first_at = None;
        let reading = async {
            self.write(Message::Data(Kind::Binary, request)).await?;
            while pieces.len() < answers {
                pieces.push(self.next().await?);
                first_at.get_or_insert_with(Instant::now);
            }
            Ok(())
        };
        let ended = timeout_at(deadline, reading).await.unwrap_or(Err(RelayError::Timeout));
        let at = Instant::now();
        match ended {
            Err(error) if pieces.is_empty() => Err(error),
            ended => Ok(ReceivedAnswer {
                pieces,
                first_at: first_at.unwrap_or(at),
                at,
                cut_off: ended.err(),
            }),
        }
    }

    /// Whether the relayer has neither closed the socket nor said anything that nobody waited for.
    pub fn is_quiet(&mut self) -> bool {
        loop {
            match self.frames.next().now_or_never() {
                None => return true,
                Some(Some(Ok(Message::Ping(body)))) => {
                    // Written with the next request at the latest.
                    if !matches!(self.write(Message::Pong(body)).now_or_never(), None | Some(Ok(()))) {
                        return false;
                    }
                }
                Some(Some(Ok(Message::Pong(_)))) => {}
                Some(_) => return false,
            }
        }
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        let body = Bytes::copy_from_slice(&NORMAL.to_be_bytes());
        // Who is gone already needs no goodbye.
        let _ = self.write(Message::Close(body)).await;
    }

    async fn write(&mut self, message: Message) -> Result<(), RelayError> {
        self.frames.send(message).await.map_err(|error| broken(&error))
    }

    /// The next message, pings answered.
    async fn next(&mut self) -> Result<Bytes, RelayError> {
        loop {
            match self.frames.next().await {
                Some(Ok(Message::Data(_, bytes))) => return Ok(bytes),
                Some(Ok(Message::Ping(body))) => self.write(Message::Pong(body)).await?,
                Some(Ok(Message::Pong(_))) => {}
                Some(Ok(Message::Close(body))) => return Err(closed(&body)),
                Some(Err(FrameError::TooBig)) => return Err(RelayError::TooLong(self.limit)),
                Some(Err(error)) => return Err(broken(&error)),
                None => return Err(RelayError::Connection("the socket ended without a close".to_owned())),
            }
        }
    }
}

fn closed(body: &[u8]) -> RelayError {
    let (code, reason) = match body {
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        _ => (NO_CODE, &b""[..]),
    };
    RelayError::Closed {
        code,
        reason: String::from_utf8_lossy(reason).into_owned(),
    }
}
