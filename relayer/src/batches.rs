//! Cutting a backend's stream into batches of whole lines, byte for byte.
//!
//! Rule: spec `relay.md` §5.11. A batch is due when it has 100 lines or 100 KiB, when its oldest line has waited for
//! 100 ms, or when the stream ends. Only the end gives out a line without its newline.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use crate::backend::BackendStream;
use crate::body;

/// Lines that make a batch full.
const BATCH_LINES: usize = 100;
/// Bytes that make a batch full; its last line may reach beyond.
const BATCH_BYTES: usize = 100 * 1024;
/// How long a whole line may wait for others.
const BATCH_WAIT: Duration = Duration::from_millis(100);
/// Longest line, in bytes, its newline not counted.
const LINE_BYTES: usize = 256 * 1024;

/// Why a stream is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StreamBroken {
    /// The backend broke off.
    #[error("the backend broke off")]
    Backend,
    /// The stream took longer than the service's timeout.
    #[error("the stream took too long")]
    Timeout,
    /// A line is over the limit.
    #[error("a line is too long")]
    LineTooLong,
    /// The session can no longer be claimed.
    #[error("the session is over")]
    Expired,
    /// A batch could not be signed.
    #[error("a batch could not be signed")]
    Unsigned,
    /// The client left, or took nothing for too long.
    #[error("the client left")]
    ClientLeft,
    /// The queue to Redis has ended.
    #[error("the relayer ends")]
    PublisherEnded,
}

impl StreamBroken {
    /// The label `reason` of `ha_relayer_relays_dropped_total`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Backend => "stream_broken",
            Self::Timeout => "stream_timeout",
            Self::LineTooLong => "stream_line_too_long",
            Self::Expired => "session_expired",
            Self::Unsigned => "signing_error",
            Self::ClientLeft => "client_left",
            Self::PublisherEnded => "publisher_ended",
        }
    }
}

/// A backend's stream, batch by batch.
pub(crate) struct Batches {
    stream: BackendStream,
    lines: Lines,
    /// When the oldest whole line has waited long enough.
    due: Option<Instant>,
    is_ended: bool,
}

impl Batches {
    pub fn new(stream: BackendStream) -> Self {
        Self {
            stream,
            lines: Lines::default(),
            due: None,
            is_ended: false,
        }
    }

    /// When the stream has to be over.
    pub fn deadline(&self) -> Instant {
        self.stream.deadline
    }

    /// The next batch, never empty; `None` after a complete stream. The backend is read only in here, so that it goes
    /// no faster than the client.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StreamBroken> {
        loop {
            if let Some(batch) = self.lines.next_full()? {
                self.due = None;
                return Ok(Some(batch));
            }
            if self.is_ended {
                return Ok(self.lines.take_rest());
            }
            let now = Instant::now();
            if now >= self.stream.deadline {
                return Err(StreamBroken::Timeout);
            }
            if self.lines.has_line() {
                let due = *self.due.get_or_insert(now + BATCH_WAIT);
                if now >= due {
                    self.due = None;
                    return Ok(Some(self.lines.take_lines()));
                }
            }
            let wake = self.due.unwrap_or(self.stream.deadline).min(self.stream.deadline);
            match tokio::time::timeout_at(wake, body::next_data(&mut self.stream.body)).await {
                Ok(Ok(Some(data))) => self.lines.push(data),
                Ok(Ok(None)) => self.is_ended = true,
                Ok(Err(_)) => return Err(StreamBroken::Backend),
                Err(_) => {}
            }
        }
    }
}

/// Bytes between the backend and the next batch.
#[derive(Debug, Default)]
struct Lines {
    /// Not looked at yet.
    input: Bytes,
    /// Whole lines, then the beginning of one.
    held: BytesMut,
    /// Length of the whole lines in `held`.
    whole: usize,
    /// Newlines in them.
    count: usize,
}

impl Lines {
    /// Takes the next piece, once [`Lines::next_full`] has nothing more.
    fn push(&mut self, data: Bytes) {
        debug_assert!(self.input.is_empty(), "a piece is taken only after the one before");
        self.input = data;
    }

    /// A full batch; `None` when more has to be read for one.
    fn next_full(&mut self) -> Result<Option<Bytes>, StreamBroken> {
        while !self.input.is_empty() {
            let newline = self.input.iter().position(|byte| *byte == b'\n');
            let content = newline.unwrap_or(self.input.len());
            if self.held.len() - self.whole + content > LINE_BYTES {
                return Err(StreamBroken::LineTooLong);
            }
            let piece = self.input.split_to(newline.map_or(content, |at| at + 1));
            // One copy: a batch's lines come in pieces, and leave in one.
            self.held.extend_from_slice(&piece);
            if newline.is_some() {
                self.whole = self.held.len();
                self.count += 1;
                if self.count >= BATCH_LINES || self.whole >= BATCH_BYTES {
                    return Ok(Some(self.take_lines()));
                }
            }
        }
        Ok(None)
    }

    fn has_line(&self) -> bool {
        self.whole > 0
    }

    /// All whole lines.
    fn take_lines(&mut self) -> Bytes {
        self.count = 0;
        self.held.split_to(std::mem::take(&mut self.whole)).freeze()
    }

    /// What is left at the end, with a last line that has no newline.
    fn take_rest(&mut self) -> Option<Bytes> {
        self.whole = self.held.len();
        (self.whole > 0).then(|| self.take_lines())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All batches of a stream that comes in these pieces without a pause.
    fn batches(pieces: &[&[u8]]) -> Result<Vec<Bytes>, StreamBroken> {
        let (mut lines, mut batches) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(Bytes::copy_from_slice(piece));
            while let Some(batch) = lines.next_full()? {
                batches.push(batch);
            }
        }
        batches.extend(lines.take_rest());
        Ok(batches)
    }

    #[test]
    fn carriage_returns_and_a_last_line_without_newline_stay() {
        assert_eq!(batches(&[b"a\r\n\r", b"\nb"]).unwrap(), ["a\r\n\r\nb"]);
        assert!(batches(&[]).unwrap().is_empty());
    }

    #[test]
    fn batch_is_full_at_a_hundred_lines_or_a_hundred_kibibytes() {
        let many = batches(&[&b"x\n".repeat(250)]).unwrap();
        assert_eq!(many.iter().map(Bytes::len).collect::<Vec<_>>(), [200, 200, 100]);
        let line = [vec![b'x'; 60 * 1024], vec![b'\n']].concat();
        let large = batches(&[&line.repeat(3)]).unwrap();
        assert_eq!(
            large.iter().map(Bytes::len).collect::<Vec<_>>(),
            [2 * line.len(), line.len()]
        );
    }

    #[test]
    fn line_over_the_limit_breaks_the_stream_and_the_limit_itself_does_not() {
        let line = |length| [vec![b'x'; length], vec![b'\n']].concat();
        assert_eq!(batches(&[b"a\n", &line(LINE_BYTES)]).unwrap()[0].len(), LINE_BYTES + 3);
        assert_eq!(
            batches(&[&line(LINE_BYTES + 1)]).unwrap_err(),
            StreamBroken::LineTooLong
        );
        let unended = vec![b'x'; LINE_BYTES];
        assert_eq!(batches(&[&unended, b"x"]).unwrap_err(), StreamBroken::LineTooLong);
    }

    #[test]
    fn beginning_of_a_line_waits_for_its_end() {
        let mut lines = Lines::default();
        lines.push(Bytes::from_static(b"a\nb"));
        assert_eq!(lines.next_full().unwrap(), None);
        assert!(lines.has_line());
        assert_eq!(lines.take_lines(), "a\n");
        assert!(!lines.has_line());
        assert_eq!(lines.take_rest().unwrap(), "b");
    }

    proptest! {
        #[test]
        fn batches_are_the_stream_cut_after_newlines_however_it_comes(
            pieces in prop::collection::vec(prop::collection::vec(prop::sample::select(b"\n\rx{".to_vec()), 0..400), 0..8),
        ) {
            let views: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let all = pieces.concat();
            let batches = batches(&views).unwrap();
            prop_assert_eq!(batches.concat(), all.clone());
            prop_assert_eq!(&batches, &super::tests::batches(&[&all]).unwrap());
            let whole = batches.len().saturating_sub(1);
            prop_assert!(batches[..whole].iter().all(|batch| batch.ends_with(b"\n")));
        }
    }
}
