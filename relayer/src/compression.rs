//! Backends' answers are signed as plain bytes; signed responses may go out compressed.

use std::io::Read as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::{DeflateDecoder, GzEncoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};
use ruzstd::decoding::StreamingDecoder;

use crate::backend::BackendAnswer;
use crate::refusal::Refusal;

/// Answers above this go to a thread that may block: a megabyte takes milliseconds.
const INLINE_BYTES: usize = 16 * 1024;

/// What RFC 9659 lets a sender of zstd ask of a receiver's memory.
const ZSTD_WINDOW_BYTES: u64 = 8 << 20;

/// Undoes what `Content-Encoding` names, one encoding or several over each other; gzip also when only its first bytes
/// tell (spec `relay.md` §5.10). What does not decompress stays as it is; what decompresses to more than `limit` is
/// refused.
pub(crate) async fn decode(answer: &mut BackendAnswer, limit: usize) -> Result<(), Refusal> {
    if answer.body.is_empty() {
        return Ok(());
    }
    let Some(codings) = codings(&answer.headers) else {
        return Ok(());
    };
    if codings.is_empty() && !answer.body.starts_with(&GZIP_MAGIC) {
        return Ok(());
    }
    let packed = answer.body.clone();
    let unpacked = if packed.len() <= INLINE_BYTES {
        unpack_all(packed, &codings, limit)
    } else {
        // The thread ends by itself: its work is bounded by the limit.
        tokio::task::spawn_blocking(move || unpack_all(packed, &codings, limit))
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
        Unpacked::Broken => Ok(()),
        Unpacked::TooLarge => Err(Refusal::BackendAnswerTooLarge),
    }
}

/// How a brotli stream begins that has a window beyond the 16 MiB of RFC 7932, which no HTTP answer may have.
const BROTLI_LARGE_WINDOW: u8 = 0x11;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// More of them over each other are no answer but an attack.
const MOST_CODINGS: usize = 3;

/// How a body was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    /// In its zlib frame or, as some servers have it, without.
    Deflate,
    Brotli,
    Zstd,
}

/// What `Content-Encoding` names, the first one done first; `None` when one of them is not known. Allocates nothing
/// when there is none.
fn codings(headers: &HeaderMap) -> Option<Vec<Coding>> {
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        for name in value.to_str().ok()?.split(',').map(str::trim) {
            codings.push(match name.to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                "br" => Coding::Brotli,
                "zstd" => Coding::Zstd,
                "identity" | "" => continue,
                _ => return None,
            });
        }
    }
    (codings.len() <= MOST_CODINGS).then_some(codings)
}

/// Undoes all codings, the last one first. Without any, the first bytes said that it is gzip.
fn unpack_all(packed: Bytes, codings: &[Coding], limit: usize) -> Unpacked {
    if codings.is_empty() {
        return unpack(Coding::Gzip, &packed, limit);
    }
    let mut body = packed;
    for coding in codings.iter().rev() {
        match unpack(*coding, &body, limit) {
            Unpacked::Whole(unpacked) => body = unpacked,
            other => return other,
        }
    }
    Unpacked::Whole(body)
}

/// A gzip message of at most `limit` bytes when it is unpacked.
pub(crate) async fn unpack_message(packed: Bytes, limit: usize) -> Result<Bytes, Refusal> {
    let unpacked = if packed.len() <= INLINE_BYTES {
        unpack(Coding::Gzip, &packed, limit)
    } else {
        // The thread ends by itself: its work is bounded by the limit.
        tokio::task::spawn_blocking(move || unpack(Coding::Gzip, &packed, limit))
            .await
            .map_err(|_| Refusal::Undecodable)?
    };
    match unpacked {
        Unpacked::Whole(message) => Ok(message),
        Unpacked::Broken => Err(Refusal::Undecodable),
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
    Broken,
    TooLarge,
}

fn unpack(coding: Coding, packed: &[u8], limit: usize) -> Unpacked {
    match coding {
        Coding::Gzip => read(MultiGzDecoder::new(packed), packed.len(), limit),
        Coding::Deflate => match read(ZlibDecoder::new(packed), packed.len(), limit) {
            Unpacked::Broken => read(DeflateDecoder::new(packed), packed.len(), limit),
            other => other,
        },
        // Its window could be a gigabyte.
        Coding::Brotli if packed.first().is_some_and(|first| first & 0x7f == BROTLI_LARGE_WINDOW) => Unpacked::Broken,
        Coding::Brotli => read(
            brotli_decompressor::Decompressor::new(packed, 4096),
            packed.len(),
            limit,
        ),
        Coding::Zstd => unpack_zstd(packed, limit),
    }
}

/// One frame after another.
fn unpack_zstd(mut packed: &[u8], limit: usize) -> Unpacked {
    let mut out = Vec::new();
    while !packed.is_empty() {
        let Ok(frame) = StreamingDecoder::new_with_max_window_size(&mut packed, ZSTD_WINDOW_BYTES) else {
            return Unpacked::Broken;
        };
        let room = limit - out.len();
        match frame.take(room as u64 + 1).read_to_end(&mut out) {
            Err(_) => return Unpacked::Broken,
            Ok(_) if out.len() > limit => return Unpacked::TooLarge,
            Ok(_) => {}
        }
    }
    Unpacked::Whole(out.into())
}

fn read(unpacked: impl std::io::Read, packed_size: usize, limit: usize) -> Unpacked {
    let mut out = Vec::with_capacity(packed_size.saturating_mul(4).min(limit));
    match unpacked.take(limit as u64 + 1).read_to_end(&mut out) {
        Err(_) => Unpacked::Broken,
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
        decoded_as(named.then_some("gzip"), body, limit).await
    }

    async fn decoded_as(coding: Option<&str>, body: Bytes, limit: usize) -> Result<BackendAnswer, Refusal> {
        let mut headers = HeaderMap::new();
        if let Some(coding) = coding {
            headers.insert(header::CONTENT_ENCODING, coding.parse().unwrap());
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

    fn deflate(plain: &[u8]) -> Bytes {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    fn zlib(plain: &[u8]) -> Bytes {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    fn zstd(plain: &[u8]) -> Bytes {
        ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest).into()
    }

    /// "hello hello hello hello", by the reference implementation.
    const BROTLI: &[u8] = b"\x1b\x16\x00\xf8\x8d\x94\x6e\xde\x44\x55\x86\x96\x6c\x20\x6f\x21\x4f\x1c\xe0\x38";
    /// A mebibyte of zeros, by the same.
    const BROTLI_MILLION: &[u8] = b"\x5b\xff\xff\x8f\x7f\x02\x20\x1e\x0b\x04\x72\xef\x1f\x00";

    #[tokio::test]
    async fn every_coding_is_undone_before_signing() {
        let plain = b"hello hello hello hello";
        for (coding, packed) in [
            ("gzip", gzip(plain)),
            ("X-GZIP", gzip(plain)),
            ("deflate", zlib(plain)),
            ("deflate", deflate(plain)),
            ("zstd", zstd(plain)),
            ("br", Bytes::from_static(BROTLI)),
            ("identity", Bytes::from_static(plain)),
            ("zstd, gzip", gzip(&zstd(plain))),
        ] {
            let answer = decoded_as(Some(coding), packed, 100).await.unwrap();
            assert_eq!(&answer.body[..], plain, "{coding}");
            assert!(coding == "identity" || answer.headers.is_empty(), "{coding}");
        }
    }

    #[tokio::test]
    async fn frames_of_zstd_follow_each_other() {
        let two = [zstd(b"one"), zstd(b"two")].concat();
        assert_eq!(
            &decoded_as(Some("zstd"), two.into(), 6).await.unwrap().body[..],
            b"onetwo"
        );
        let two = [zstd(b"one"), zstd(b"two")].concat();
        assert!(decoded_as(Some("zstd"), two.into(), 5).await.is_err());
    }

    #[tokio::test]
    async fn bomb_of_any_kind_is_refused() {
        let million = vec![0; 1 << 20];
        for (coding, packed) in [
            ("gzip", gzip(&million)),
            ("deflate", zlib(&million)),
            ("zstd", zstd(&million)),
            ("br", Bytes::from_static(BROTLI_MILLION)),
            ("gzip, gzip", gzip(&gzip(&million))),
        ] {
            assert!(packed.len() < 20_000, "{coding}");
            let refusal = decoded_as(Some(coding), packed, 100_000).await.unwrap_err();
            assert_eq!(refusal, Refusal::BackendAnswerTooLarge, "{coding}");
        }
    }

    #[tokio::test]
    async fn broken_or_unknown_coding_stays_as_it_is() {
        for coding in ["deflate", "br", "zstd", "compress", "gzip, gzip, gzip, gzip"] {
            let body = Bytes::from_static(b"\xff\xff not packed");
            let answer = decoded_as(Some(coding), body.clone(), 100).await.unwrap();
            assert_eq!(answer.body, body, "{coding}");
            assert_eq!(answer.headers[header::CONTENT_ENCODING], coding);
        }
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
