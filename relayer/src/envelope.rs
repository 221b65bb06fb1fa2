//! The backend's answer as it stands in a response's payload: an encoded `POKTHTTPResponse`.
//!
//! Rule: spec `relay.md` §1.2 and §2. Written straight from the answer, without the message's maps and texts: these
//! bytes are hashed, signed and sent, and nobody ever re-encodes them.

use std::borrow::Cow;

use bytes::{BufMut, Bytes};
use http::header::{HeaderMap, HeaderName};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::backend::BackendAnswer;
use crate::headers::is_hop_by_hop;

/// Encodes an answer: status 1, headers 2 as map entries in the order of their keys, body 3.
pub(crate) fn encode(answer: &BackendAnswer) -> Bytes {
    let mut names: Vec<&HeaderName> = answer.headers.keys().filter(|name| !is_hop_by_hop(name)).collect();
    names.sort_unstable_by(|a, b| canonical(a).cmp(canonical(b)));
    let entries: usize = names.iter().map(|name| framed(entry_len(name, &answer.headers))).sum();
    let status = u64::from(answer.status.as_u16());
    let len = 1 + encoded_len_varint(status) + entries + framed(answer.body.len());
    // The one buffer of the payload; the body is copied into it once.
    let mut out = Vec::with_capacity(len);
    encode_key(1, WireType::Varint, &mut out);
    encode_varint(status, &mut out);
    for name in names {
        write_frame(2, entry_len(name, &answer.headers), &mut out);
        write_name(1, name, &mut out);
        write_frame(2, header_len(name, &answer.headers), &mut out);
        write_name(1, name, &mut out);
        for value in answer.headers.get_all(name) {
            let text = text(value.as_bytes());
            write_frame(2, text.len(), &mut out);
            out.put_slice(text.as_bytes());
        }
    }
    if !answer.body.is_empty() {
        write_frame(3, answer.body.len(), &mut out);
        out.put_slice(&answer.body);
    }
    out.into()
}

/// A name in Go's form: a capital at the start and after each hyphen.
fn canonical(name: &HeaderName) -> impl Iterator<Item = u8> + '_ {
    name.as_str().bytes().scan(true, |at_start, byte| {
        let shown = if *at_start { byte.to_ascii_uppercase() } else { byte };
        *at_start = byte == b'-';
        Some(shown)
    })
}

/// Header values may be Latin-1, protobuf texts may not: what is no UTF-8 is replaced.
fn text(value: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(value)
}

/// Bytes of a field that holds `len` bytes.
fn framed(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

fn header_len(name: &HeaderName, headers: &HeaderMap) -> usize {
    let values = headers
        .get_all(name)
        .iter()
        .map(|value| framed(text(value.as_bytes()).len()));
    framed(name.as_str().len()) + values.sum::<usize>()
}

fn entry_len(name: &HeaderName, headers: &HeaderMap) -> usize {
    framed(name.as_str().len()) + framed(header_len(name, headers))
}

fn write_frame(field: u32, len: usize, out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(len as u64, out);
}

fn write_name(field: u32, name: &HeaderName, out: &mut Vec<u8>) {
    write_frame(field, name.as_str().len(), out);
    out.extend(canonical(name));
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, StatusCode};
    use pocket_proto::sdk::types::PokthttpResponse;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn answer(status: u16, headers: &[(&str, &[u8])], body: &[u8]) -> BackendAnswer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        BackendAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
            body: body.to_vec().into(),
        }
    }

    #[test]
    fn bytes_are_the_specs() {
        assert_eq!(encode(&answer(204, &[], b""))[..], [0x08, 0xcc, 0x01]);
        let json = answer(
            200,
            &[("content-type", b"application/json")],
            br#"{"jsonrpc":"2.0","id":1,"result":"0x10"}"#,
        );
        let expected = concat!(
            "08c80112300a0c436f6e74656e742d5479706512200a0c436f6e74656e742d5479706512106170706c69636174696f6e2f6a736f",
            "6e1a287b226a736f6e727063223a22322e30222c226964223a312c22726573756c74223a2230783130227d",
        );
        assert_eq!(hex::encode(encode(&json)), expected);
    }

    #[test]
    fn latin_1_and_hop_by_hop_headers_do_not_fail_a_relay() {
        let decoded = PokthttpResponse::decode(encode(&answer(
            200,
            &[("x-name", b"caf\xe9"), ("connection", b"close")],
            b"",
        )))
        .unwrap();
        assert_eq!(decoded.header.len(), 1);
        assert_eq!(decoded.header["X-Name"].values, ["caf\u{fffd}"]);
    }

    proptest! {
        #[test]
        fn encoding_is_the_codecs_own(
            status in 100u16..600, body in prop::collection::vec(any::<u8>(), 0..300),
            headers in prop::collection::vec(("x-[a-z_]{0,4}-?[a-z]{0,3}", "[ -~]{0,200}"), 0..8),
        ) {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
            let bytes = encode(&answer(status, &headers, &body));
            let decoded = PokthttpResponse::decode(bytes.clone()).unwrap();
            prop_assert_eq!(&decoded.encode_to_vec()[..], &bytes[..]);
            prop_assert_eq!(decoded.status_code, u32::from(status));
            prop_assert_eq!(&decoded.body_bz[..], &body[..]);
            prop_assert_eq!(decoded.header.values().map(|header| header.values.len()).sum::<usize>(), headers.len());
            prop_assert!(decoded.header.iter().all(|(key, header)| *key == header.key));
        }
    }
}
