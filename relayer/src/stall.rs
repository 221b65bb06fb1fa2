//! A socket on which a peer that does not begin, or takes nothing, is given up.
//!
//! The HTTP library waits without end for the bytes that tell HTTP/1.1 from HTTP/2, and for a peer that does not read; with
//! the latter wait an answer's memory and a stream's backend.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Bytes by which HTTP/2 is known; a request of HTTP/1.1 has more.
const PREFACE: usize = 24;

/// Fails a read with `TimedOut` when the peer has not begun in time, and a write once it has taken no byte for a while.
pub(crate) struct StallLimited<S> {
    socket: S,
    /// Until when the first bytes have to be there; then nothing.
    beginning: Option<Pin<Box<Sleep>>>,
    /// How many of them are.
    begun: usize,
    limit: Duration,
    // Made when the peer first falls behind, which most never do.
    patience: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl<S> StallLimited<S> {
    /// A socket whose peer has just connected: it has `beginning` for its first bytes, and later may take nothing for
    /// `limit`.
    pub fn new(socket: S, beginning: Duration, limit: Duration) -> Self {
        Self {
            socket,
            beginning: Some(Box::pin(sleep(beginning))),
            begun: 0,
            limit,
            patience: None,
            is_waiting: false,
        }
    }

    /// What a write gave, or the error when it has waited for too long.
    fn limited<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_waiting = false;
            return written;
        }
        let limit = self.limit;
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.is_waiting {
            self.is_waiting = true;
            patience.as_mut().reset(Instant::now() + limit);
        }
        ready!(patience.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallLimited<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(beginning) = &mut self.beginning else {
            return Pin::new(&mut self.socket).poll_read(cx, buf);
        };
        if beginning.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        self.begun += buf.filled().len() - before;
        if self.begun >= PREFACE {
            self.beginning = None;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallLimited<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.limited(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.limited(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.limited(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn peer_that_does_not_begin_is_given_up() {
        let (socket, mut peer) = duplex(64);
        let mut socket = StallLimited::new(socket, Duration::from_millis(20), Duration::MAX);
        peer.write_all(&[b'P'; PREFACE - 1]).await.unwrap();
        let error = socket.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn peer_that_has_begun_may_be_silent() {
        let (socket, mut peer) = duplex(64);
        let mut socket = StallLimited::new(socket, Duration::MAX, Duration::MAX);
        peer.write_all(&[b'P'; PREFACE]).await.unwrap();
        socket.read_exact(&mut [0; PREFACE]).await.unwrap();
        assert!(socket.beginning.is_none());
    }

    #[tokio::test]
    async fn peer_that_takes_nothing_is_given_up_after_the_limit() {
        let (socket, mut peer) = duplex(16);
        let mut socket = StallLimited::new(socket, Duration::MAX, Duration::from_millis(20));
        for _ in 0..2 {
            let error = socket.write_all(&[0; 17]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            // What it takes later counts again.
            peer.read_exact(&mut [0; 16]).await.unwrap();
        }
        socket.write_all(&[0; 16]).await.unwrap();
    }
}
