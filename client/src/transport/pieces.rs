//! A streamed answer, cut at its delimiters (spec `relay.md` §5.11).

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body;
use http_body_util::BodyExt as _;
use pocket_proto::pocket::service::RelayResponse;
use prost::Message as _;
use tokio::time::{Instant as Deadline, timeout_at};

use super::{ReceivedAnswer, broken};
use crate::RelayError;

/// Stands after every batch, the last one too.
const DELIMITER: &[u8] = b"||POKT_STREAM||";

/// Whether an answer is a stream of batches: by its media type.
pub fn is_streamed(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .map_or(&b""[..], |value| value.as_bytes());
    let media_type = media_type.split(|byte| *byte == b';').next().unwrap_or_default();
    let media_type = media_type.trim_ascii();
    media_type.eq_ignore_ascii_case(b"text/event-stream") || media_type.eq_ignore_ascii_case(b"application/x-ndjson")
}

/// The batches so far.
#[derive(Default)]
pub struct Pieces {
    whole: Vec<Bytes>,
    /// What no delimiter has ended yet.
    rest: BytesMut,
    /// How much of it holds no delimiter that ends a batch.
    searched: usize,
    first_at: Option<Instant>,
}

impl Pieces {
    /// Reads the answer to its end. Once there is a batch, whatever happens then only cuts the answer off.
    pub async fn read<B>(mut self, body: B, limit: usize, deadline: Deadline) -> Result<ReceivedAnswer, RelayError>
    where
        B: Body<Data = Bytes, Error: std::error::Error + 'static> + Unpin,
    {
        let ended = self.read_on(body, limit, deadline).await;
        let at = Instant::now();
        let cut_off = match ended {
            Ok(()) => {
                // A relayer that ends a stream properly need not end its last batch.
                if !self.rest.is_empty() || self.whole.is_empty() {
                    let rest = self.rest.split().freeze();
                    self.take(rest);
                }
                None
            }
            Err(error) if self.whole.is_empty() => return Err(error),
            Err(error) => Some(error),
        };
        Ok(ReceivedAnswer {
            pieces: self.whole,
            first_at: self.first_at.unwrap_or(at),
            at,
            cut_off,
        })
    }

    async fn read_on<B>(&mut self, mut body: B, limit: usize, deadline: Deadline) -> Result<(), RelayError>
    where
        B: Body<Data = Bytes, Error: std::error::Error + 'static> + Unpin,
    {
        let mut length = 0;
        while let Some(frame) = timeout_at(deadline, body.frame()).await? {
            let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() else {
                continue;
            };
            length += data.len();
            if length > limit {
                return Err(RelayError::TooLong(limit));
            }
            self.add(&data);
        }
        Ok(())
    }

    fn add(&mut self, data: &[u8]) {
        self.rest.extend_from_slice(data);
        while let Some(found) = find(&self.rest[self.searched..]) {
            let end = self.searched + found;
            // A batch may hold the delimiter as well: then what stands before it is no message.
            if RelayResponse::decode(&self.rest[..end]).is_err() {
                self.searched = end + 1;
                continue;
            }
            let piece = self.rest.split_to(end).freeze();
            let _ = self.rest.split_to(DELIMITER.len());
            self.searched = 0;
            self.take(piece);
        }
        self.searched = self.searched.max((self.rest.len() + 1).saturating_sub(DELIMITER.len()));
    }

    fn take(&mut self, piece: Bytes) {
        self.first_at.get_or_insert_with(Instant::now);
        self.whole.push(piece);
    }
}

fn find(bytes: &[u8]) -> Option<usize> {
    bytes.windows(DELIMITER.len()).position(|window| window == DELIMITER)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use futures::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    fn batch(payload: &'static [u8]) -> Bytes {
        let response = RelayResponse {
            payload: Bytes::from_static(payload),
            ..Default::default()
        };
        response.encode_to_vec().into()
    }

    fn later() -> Deadline {
        Deadline::now() + Duration::from_mins(1)
    }

    async fn read(bytes: &[u8], cut: usize) -> Result<ReceivedAnswer, RelayError> {
        let frames: Vec<_> = bytes
            .chunks(cut)
            .map(|chunk| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(chunk))))
            .collect();
        Pieces::default()
            .read(StreamBody::new(stream::iter(frames)), 10_000, later())
            .await
    }

    #[test]
    fn media_type_tells_a_stream_without_regard_to_case_and_parameters() {
        for (value, expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("application/x-ndjson", true),
            ("application/json", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(is_streamed(&headers), expected, "{value}");
        }
    }

    #[tokio::test]
    async fn batches_are_the_same_however_they_come() {
        let batches = [batch(b"a"), batch(b"||POKT_STREAM||"), batch(b"b|"), batch(b"|")];
        for ends in [&b""[..], DELIMITER] {
            let mut bytes = batches.join(DELIMITER);
            bytes.extend_from_slice(ends);
            for cut in 1..bytes.len() {
                assert_eq!(read(&bytes, cut).await.unwrap().pieces, batches, "{cut}");
            }
        }
    }

    #[tokio::test]
    async fn stream_that_breaks_keeps_its_whole_batches() {
        let bytes = [&batch(b"a")[..], DELIMITER, b"half"].concat();
        let frames = [Ok(Frame::data(Bytes::from(bytes))), Err(std::io::Error::other("gone"))];
        let body = StreamBody::new(stream::iter(frames));
        let received = Pieces::default().read(body, 10_000, later()).await.unwrap();
        assert_eq!(received.pieces, [batch(b"a")]);
        assert!(matches!(received.cut_off, Some(RelayError::Connection(_))));
    }

    #[tokio::test]
    async fn stream_that_breaks_at_once_is_an_error() {
        let frames = [Err::<Frame<Bytes>, _>(std::io::Error::other("gone"))];
        let body = StreamBody::new(stream::iter(frames));
        let received = Pieces::default().read(body, 10_000, later()).await;
        assert!(matches!(received, Err(RelayError::Connection(_))));
    }

    #[tokio::test]
    async fn endless_stream_is_cut_off_by_the_limit() {
        let bytes = [&batch(b"a")[..], DELIMITER].concat().repeat(10_000);
        let received = read(&bytes, 1000).await.unwrap();
        assert!(matches!(received.cut_off, Some(RelayError::TooLong(10_000))));
        assert!(!received.pieces.is_empty());
    }
}
