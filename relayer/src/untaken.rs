//! Answers over HTTP/2 that a gateway asks for and does not take.
//!
//! A gateway may keep a stream's window shut while its connection is well, so that no write ever waits. Each such answer
//! would stay in memory for as long as the gateway likes.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

/// What the HTTP library is given at once: it holds that much of an answer beyond our sight.
const PIECE: usize = 16 << 10;

/// The answers of one connection that are not wholly taken yet.
#[derive(Debug, Default)]
pub(crate) struct Untaken {
    // Locked twice an answer, by one connection alone.
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// When each was given, the oldest first.
    since: BTreeMap<u64, Instant>,
    next: u64,
}

impl Untaken {
    /// Notes an answer that is being given now.
    fn enter(self: &Arc<Self>) -> Place {
        let mut open = self.open.lock();
        let number = open.next;
        open.next += 1;
        open.since.insert(number, Instant::now());
        Place {
            untaken: self.clone(),
            number,
        }
    }

    /// Waits until an answer has been untaken for `limit`.
    pub async fn overdue(&self, limit: Duration) {
        loop {
            let oldest = self.open.lock().since.first_key_value().map(|(_, since)| *since);
            let now = Instant::now();
            let due = oldest.unwrap_or(now) + limit;
            if due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }
}

#[derive(Debug)]
struct Place {
    untaken: Arc<Untaken>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.untaken.open.lock().since.remove(&self.number);
    }
}

/// An answer's body.
#[derive(Debug)]
pub(crate) struct Watched<B> {
    body: B,
    /// Of a frame that is passed on in pieces.
    rest: Bytes,
    place: Option<Place>,
}

impl<B> Watched<B> {
    /// A body that counts among `untaken` until it has been read to its end or dropped.
    pub fn new(body: B, untaken: Option<&Arc<Untaken>>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            place: untaken.map(Untaken::enter),
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) if self.place.is_some() => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return Poll::Ready(other),
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn body_passes_in_pieces_and_is_taken_at_its_end() {
        let untaken = Arc::new(Untaken::default());
        let bytes = Bytes::from(vec![7; 2 * PIECE + 1]);
        let mut body = Watched::new(Full::new(bytes.clone()), Some(&untaken));
        assert_eq!(body.size_hint().exact(), Some(bytes.len() as u64));
        let mut lengths = Vec::new();
        while let Some(frame) = body.frame().await {
            lengths.push(frame.unwrap().data_ref().unwrap().len());
        }
        assert_eq!(lengths, [PIECE, PIECE, 1]);
        assert!(body.is_end_stream());
        drop(body);
        assert!(untaken.open.lock().since.is_empty());
    }

    #[tokio::test]
    async fn answer_that_is_not_taken_is_overdue() {
        let untaken = Arc::new(Untaken::default());
        let body = Watched::new(Full::new(Bytes::from_static(b"x")), Some(&untaken));
        untaken.overdue(LIMIT).await;
        drop(body);
        // Nothing is due now.
        assert!(tokio::time::timeout(3 * LIMIT, untaken.overdue(LIMIT)).await.is_err());
    }
}
