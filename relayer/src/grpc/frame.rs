//! A message on gRPC's wire: a flag that says whether it is packed, four bytes of length, big-endian, and its bytes.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::HeaderMap;
use hyper::body::{Body, Frame};
use tonic::Status;

use crate::compression;
use crate::refusal::Refusal;

/// Bytes before a message.
pub(crate) const HEAD: usize = 5;
/// A message up to this size goes out in one piece with its head: one frame of HTTP/2 and one copy cost less than two
/// frames.
const JOINED_BYTES: usize = 16 * 1024 - HEAD;

/// How a call's messages are packed, both ways (spec `relay.md` §5.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    /// What the metadata says; an error for what is not known here.
    pub fn of(metadata: &HeaderMap) -> Result<Self, Status> {
        match metadata.get("grpc-encoding").map(http::HeaderValue::as_bytes) {
            None | Some(b"identity") => Ok(Self::Identity),
            Some(b"gzip") => Ok(Self::Gzip),
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                let mut status = Status::unimplemented(format!("unknown grpc-encoding: {other}"));
                let accepted = tonic::metadata::MetadataValue::from_static("gzip,identity");
                status.metadata_mut().insert("grpc-accept-encoding", accepted);
                Err(status)
            }
        }
    }
}

/// The one message of a unary call, of at most `limit` bytes. One that is not packed is a slice of the body.
pub(crate) async fn read(body: Bytes, encoding: Encoding, limit: usize) -> Result<Bytes, Refusal> {
    let (is_packed, length) = match body[..] {
        [flag @ (0 | 1), a, b, c, d, ..] => (flag == 1, u32::from_be_bytes([a, b, c, d]) as usize),
        _ => return Err(Refusal::Undecodable),
    };
    let message = body.slice(HEAD..);
    if message.len() != length {
        return Err(Refusal::Undecodable);
    }
    match (is_packed, encoding) {
        (false, _) => Ok(message),
        (true, Encoding::Gzip) => compression::unpack_message(message, limit).await,
        (true, Encoding::Identity) => Err(Refusal::Undecodable),
    }
}

/// The head of a message or, with the flag 128, of gRPC-Web's trailers.
pub(crate) fn head(flag: u8, length: usize) -> [u8; HEAD] {
    let [a, b, c, d] = (length as u32).to_be_bytes();
    [flag, a, b, c, d]
}

/// The body of a call's answer: one message and the trailers after it, or nothing.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// The message's head, and the message if it is small.
    first: Bytes,
    second: Bytes,
    trailers: Option<HeaderMap>,
}

impl Reply {
    /// A message that answers a call well.
    pub async fn new(message: Bytes, encoding: Encoding) -> Self {
        let (flag, message) = match encoding {
            Encoding::Identity => (0, message),
            Encoding::Gzip => (1, compression::encode(message).await),
        };
        let head = head(flag, message.len());
        let (first, second) = if message.len() <= JOINED_BYTES {
            let mut joined = BytesMut::with_capacity(HEAD + message.len());
            joined.put_slice(&head);
            joined.put_slice(&message);
            (joined.freeze(), Bytes::new())
        } else {
            (Bytes::copy_from_slice(&head), message)
        };
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(Status::GRPC_STATUS, http::HeaderValue::from_static("0"));
        Self {
            first,
            second,
            trailers: Some(trailers),
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let reply = &mut *self;
        for piece in [&mut reply.first, &mut reply.second] {
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(std::mem::take(piece)))));
            }
        }
        Poll::Ready(reply.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.second.is_empty() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1 << 20;

    async fn written(message: &Bytes, encoding: Encoding) -> Bytes {
        let body = Reply::new(message.clone(), encoding).await.collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        body.to_bytes()
    }

    #[tokio::test]
    async fn message_is_read_as_it_was_written() {
        for size in [0, 1, JOINED_BYTES, JOINED_BYTES + 1, 300_000] {
            let message = Bytes::from(vec![7; size]);
            for encoding in [Encoding::Identity, Encoding::Gzip] {
                let wire = written(&message, encoding).await;
                assert_eq!(read(wire, encoding, LIMIT).await.unwrap(), message);
            }
        }
    }

    #[tokio::test]
    async fn what_is_not_exactly_one_message_is_refused() {
        let one = [0, 0, 0, 0, 1, 9];
        let two = [one, one].concat();
        let bodies: [&[u8]; 6] = [
            &[],
            &[0, 0],
            &one[..5],
            &two,
            &[2, 0, 0, 0, 0],
            &[0, 255, 255, 255, 255],
        ];
        for body in bodies {
            let body = Bytes::copy_from_slice(body);
            assert_eq!(read(body, Encoding::Identity, LIMIT).await, Err(Refusal::Undecodable));
        }
    }

    #[tokio::test]
    async fn packed_message_needs_an_encoding_and_may_not_unpack_to_more_than_the_limit() {
        let wire = written(&Bytes::from(vec![0; 1001]), Encoding::Gzip).await;
        assert_eq!(
            read(wire.clone(), Encoding::Identity, LIMIT).await,
            Err(Refusal::Undecodable)
        );
        assert_eq!(read(wire, Encoding::Gzip, 1000).await, Err(Refusal::BodyTooLarge));
        let garbage = Bytes::from_static(&[1, 0, 0, 0, 3, 0x1f, 0x8b, 9]);
        assert_eq!(read(garbage, Encoding::Gzip, LIMIT).await, Err(Refusal::Undecodable));
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..64), gzip in any::<bool>()) {
            let encoding = if gzip { Encoding::Gzip } else { Encoding::Identity };
            let is_whole = body.len() >= HEAD && body[1..HEAD] == ((body.len() - HEAD) as u32).to_be_bytes();
            let read = read(body.clone().into(), encoding, LIMIT).now_or_never().expect("small bodies need no thread");
            prop_assert_eq!(read.is_ok_and(|message| message == body[HEAD..]), is_whole && body[0] == 0);
        }
    }

    #[test]
    fn unknown_encoding_is_answered_with_those_that_are_known() {
        let metadata = |value: &'static str| [("grpc-encoding".parse().unwrap(), value.parse().unwrap())];
        let of = |value| Encoding::of(&metadata(value).into_iter().collect());
        assert_eq!(of("gzip").unwrap(), Encoding::Gzip);
        assert_eq!(of("identity").unwrap(), Encoding::Identity);
        let status = of("snappy").unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unimplemented);
        assert_eq!(status.metadata().get("grpc-accept-encoding").unwrap(), "gzip,identity");
    }
}
