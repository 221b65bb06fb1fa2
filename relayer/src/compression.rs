//! Backends' answers are signed as plain bytes; signed responses may go out compressed.

use std::io::Read as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::{GzEncoder, MultiGzDecoder};
use http::{HeaderMap, header};

use crate::backend::BackendAnswer;
use crate::refusal::Refusal;

/// Answers above this go to a thread that may block: a megabyte takes milliseconds.
const INLINE_BYTES: usize = 16 * 1024;

/// Undoes gzip, known by its header or by its first bytes (spec `relay.md` §5.10). What does not decompress stays as
/// it is; what decompresses to more than `limit` is refused.
pub(crate) async fn decode(answer: &mut BackendAnswer, limit: usize) -> Result<(), Refusal> {
    let by_header = answer
        .headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|value| value == "gzip");
    if answer.body.is_empty() || !(by_header || answer.body.starts_with(&[0x1f, 0x8b])) {
        return Ok(());
    }
    let packed = answer.body.clone();
    let unpacked = if packed.len() <= INLINE_BYTES {
        unpack(&packed, limit)
    } else {
        // The thread ends by itself: its work is bounded by the limit.
        tokio::task::spawn_blocking(move || unpack(&packed, limit))
            .await
            .map_err(|_| Refusal::BackendAnswerTooLarge)?
    };
    match unpacked {
        Unpacked::Whole(body) => {
            answer.body = body;
            answer.headers.remove(header::CONTENT_ENCODING);
            answer.headers.remove(header::CONTENT_LENGTH);
            Ok(())
        }
        Unpacked::NotGzip => Ok(()),
        Unpacked::TooLarge => Err(Refusal::BackendAnswerTooLarge),
    }
}

/// A gzip message of at most `limit` bytes when it is unpacked.
pub(crate) async fn unpack_message(packed: Bytes, limit: usize) -> Result<Bytes, Refusal> {
    let unpacked = if packed.len() <= INLINE_BYTES {
        unpack(&packed, limit)
    } else {
        // The thread ends by itself: its work is bounded by the limit.
        tokio::task::spawn_blocking(move || unpack(&packed, limit))
            .await
            .map_err(|_| Refusal::Undecodable)?
    };
    match unpacked {
        Unpacked::Whole(message) => Ok(message),
        Unpacked::NotGzip => Err(Refusal::Undecodable),
        Unpacked::TooLarge => Err(Refusal::BodyTooLarge),
    }
}

/// A signed response as gzip.
pub(crate) async fn encode(wire: Bytes) -> Bytes {
    if wire.len() <= INLINE_BYTES {
        return pack(&wire);
    }
    // The thread ends by itself: its work is bounded by the limit on answers.
    tokio::task::spawn_blocking(move || pack(&wire))
        .await
        .expect("packing does not panic")
}

/// Whether the client takes gzip, as the peer reads it.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    accepted.any(|value| {
        value
            .as_bytes()
            .windows(4)
            .any(|window| window.eq_ignore_ascii_case(b"gzip"))
    })
}

fn pack(plain: &[u8]) -> Bytes {
    let mut packed = Vec::with_capacity(plain.len() / 2);
    let mut encoder = GzEncoder::new(plain, Compression::fast());
    encoder
        .read_to_end(&mut packed)
        .expect("reading from memory does not fail");
    packed.into()
}

enum Unpacked {
    Whole(Bytes),
    NotGzip,
    TooLarge,
}

fn unpack(packed: &[u8], limit: usize) -> Unpacked {
    let mut out = Vec::with_capacity(packed.len().saturating_mul(4).min(limit));
    match MultiGzDecoder::new(packed).take(limit as u64 + 1).read_to_end(&mut out) {
        Err(_) => Unpacked::NotGzip,
        Ok(length) if length > limit => Unpacked::TooLarge,
        Ok(_) => Unpacked::Whole(out.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use http::StatusCode;

    use super::*;

    fn gzip(plain: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    async fn decoded(body: Bytes, named: bool, limit: usize) -> Result<BackendAnswer, Refusal> {
        let mut headers = HeaderMap::new();
        if named {
            headers.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        }
        let mut answer = BackendAnswer {
            status: StatusCode::OK,
            headers,
            body,
        };
        decode(&mut answer, limit).await.map(|()| answer)
    }

    #[tokio::test]
    async fn gzip_is_known_by_header_or_by_its_first_bytes() {
        for named in [true, false] {
            let answer = decoded(gzip(b"hello"), named, 100).await.unwrap();
            assert_eq!(&answer.body[..], b"hello");
            assert!(answer.headers.is_empty());
        }
    }

    #[tokio::test]
    async fn what_only_looks_like_gzip_stays_as_it_is() {
        let answer = decoded(Bytes::from_static(b"\x1f\x8bnot gzip"), true, 100)
            .await
            .unwrap();
        assert_eq!(&answer.body[..], b"\x1f\x8bnot gzip");
        assert_eq!(answer.headers[header::CONTENT_ENCODING], "gzip");
    }

    #[tokio::test]
    async fn bomb_is_refused_and_the_limit_itself_is_not() {
        assert_eq!(
            decoded(gzip(&[0; 1001]), true, 1000).await.unwrap_err(),
            Refusal::BackendAnswerTooLarge
        );
        assert_eq!(decoded(gzip(&[0; 1000]), true, 1000).await.unwrap().body.len(), 1000);
        let large: Vec<u8> = (0..200_000u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        assert_eq!(decoded(gzip(&large), false, 1 << 20).await.unwrap().body, large);
    }

    #[tokio::test]
    async fn compressed_response_is_the_same_again() {
        for length in [0, 5, INLINE_BYTES + 1] {
            let plain = Bytes::from(vec![b'x'; length]);
            let packed = encode(plain.clone()).await;
            assert_eq!(decoded(packed, true, 1 << 20).await.unwrap().body, plain);
        }
    }

    #[test]
    fn gzip_is_accepted_in_any_case_and_company() {
        let accepts = |value: &'static str| {
            accepts_gzip(
                &[(header::ACCEPT_ENCODING, value.parse().unwrap())]
                    .into_iter()
                    .collect(),
            )
        };
        assert!(accepts("br, GZip;q=0.5"));
        assert!(!accepts("br"));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
