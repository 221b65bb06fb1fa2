//! The HTTP messages inside payloads, `POKTHTTPRequest` and `POKTHTTPResponse` (spec `relay.md` §1.2, §2).
//!
//! Written as Go writes them deterministically: map entries in key order, each with both of its
//! fields. Read as Go reads them: strings must be UTF-8, a field of the wrong wire type counts as
//! unknown, a header that comes twice is the later one. Bodies are slices of the input.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::{BufMut, Bytes};
use pocket_proto::sdk::types::{Header, PokthttpRequest, PokthttpResponse};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::wire::{Fields, Malformed, Value};

/// Why bytes are no HTTP envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// No protobuf message at all.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A string is not UTF-8.
    #[error("a string of the envelope is not UTF-8")]
    Text(#[from] std::str::Utf8Error),
}

/// Headers by name. Each [`Header`] repeats its name as its key.
pub type Headers = BTreeMap<String, Header>;

/// The request's bytes, in one buffer of their exact size.
pub fn encode_http_request(request: &PokthttpRequest) -> Bytes {
    let len = bytes_len(request.method.len())
        + headers_len(&request.header)
        + bytes_len(request.url.len())
        + bytes_len(request.body_bz.len());
    let mut out = Vec::with_capacity(len);
    write_bytes(1, request.method.as_bytes(), &mut out);
    write_headers(&request.header, &mut out);
    write_bytes(3, request.url.as_bytes(), &mut out);
    write_bytes(4, &request.body_bz, &mut out);
    debug_assert_eq!(out.len(), len);
    Bytes::from(out)
}

/// The response's bytes, in one buffer of their exact size. Never empty if there is a status.
pub fn encode_http_response(response: &PokthttpResponse) -> Bytes {
    let status = u64::from(response.status_code);
    let status_len = if status == 0 { 0 } else { 1 + encoded_len_varint(status) };
    let len = status_len + headers_len(&response.header) + bytes_len(response.body_bz.len());
    let mut out = Vec::with_capacity(len);
    if status != 0 {
        encode_key(1, WireType::Varint, &mut out);
        encode_varint(status, &mut out);
    }
    write_headers(&response.header, &mut out);
    write_bytes(3, &response.body_bz, &mut out);
    debug_assert_eq!(out.len(), len);
    Bytes::from(out)
}

/// Reads a request. Empty bytes are an empty request.
pub fn decode_http_request(bytes: &Bytes) -> Result<PokthttpRequest, EnvelopeError> {
    let mut request = PokthttpRequest::default();
    for field in Fields::of(bytes) {
        match field? {
            (1, Value::Bytes(method)) => request.method = text(method)?,
            (2, Value::Bytes(entry)) => read_entry(entry, &mut request.header)?,
            (3, Value::Bytes(url)) => request.url = text(url)?,
            (4, Value::Bytes(body)) => request.body_bz = bytes.slice_ref(body),
            _ => {}
        }
    }
    Ok(request)
}

/// Reads a response. Empty bytes are an empty response, with status 0.
pub fn decode_http_response(bytes: &Bytes) -> Result<PokthttpResponse, EnvelopeError> {
    let mut response = PokthttpResponse::default();
    for field in Fields::of(bytes) {
        match field? {
            // The Go runtime keeps the low 32 bits.
            (1, Value::Varint(status)) => response.status_code = status as u32,
            (2, Value::Bytes(entry)) => read_entry(entry, &mut response.header)?,
            (3, Value::Bytes(body)) => response.body_bz = bytes.slice_ref(body),
            _ => {}
        }
    }
    Ok(response)
}

fn text(bytes: &[u8]) -> Result<String, EnvelopeError> {
    Ok(std::str::from_utf8(bytes)?.to_owned())
}

fn read_entry(entry: &[u8], headers: &mut Headers) -> Result<(), EnvelopeError> {
    let (mut name, mut header) = (String::new(), Header::default());
    for field in Fields::of(entry) {
        match field? {
            (1, Value::Bytes(key)) => name = text(key)?,
            (2, Value::Bytes(value)) => read_header(value, &mut header)?,
            _ => {}
        }
    }
    headers.insert(name, header);
    Ok(())
}

fn read_header(message: &[u8], header: &mut Header) -> Result<(), EnvelopeError> {
    for field in Fields::of(message) {
        match field? {
            (1, Value::Bytes(key)) => header.key = text(key)?,
            (2, Value::Bytes(value)) => header.values.push(text(value)?),
            _ => {}
        }
    }
    Ok(())
}

fn headers_len(headers: &Headers) -> usize {
    headers
        .iter()
        .map(|(name, header)| framed_len(entry_len(name, header)))
        .sum()
}

fn entry_len(name: &str, header: &Header) -> usize {
    framed_len(name.len()) + framed_len(header.encoded_len())
}

fn write_headers(headers: &Headers, out: &mut Vec<u8>) {
    for (name, header) in headers {
        write_frame(2, entry_len(name, header), out);
        write_frame(1, name.len(), out);
        out.put_slice(name.as_bytes());
        prost::encoding::message::encode(2, header, out);
    }
}

/// Bytes of tag, length and content; all tags here are below 16.
fn framed_len(content: usize) -> usize {
    1 + encoded_len_varint(content as u64) + content
}

fn bytes_len(content: usize) -> usize {
    if content == 0 { 0 } else { framed_len(content) }
}

fn write_frame(tag: u32, content: usize, out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(content as u64, out);
}

fn write_bytes(tag: u32, content: &[u8], out: &mut Vec<u8>) {
    if !content.is_empty() {
        write_frame(tag, content.len(), out);
        out.put_slice(content);
    }
}

/// A header's name as Go writes it: `content-type` is `Content-Type`. A name with a byte that no
/// header's name may have is left as it is.
pub fn canonical_header_name(name: &str) -> Cow<'_, str> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.bytes().all(is_token) || is_canonical(name) {
        return Cow::Borrowed(name);
    }
    let mut canonical = String::with_capacity(name.len());
    let mut at_start = true;
    for letter in name.chars() {
        canonical.push(if at_start {
            letter.to_ascii_uppercase()
        } else {
            letter.to_ascii_lowercase()
        });
        at_start = letter == '-';
    }
    Cow::Owned(canonical)
}

fn is_canonical(name: &str) -> bool {
    let starts = std::iter::once(true).chain(name.bytes().map(|byte| byte == b'-'));
    name.bytes().zip(starts).all(|(byte, at_start)| {
        if at_start {
            !byte.is_ascii_lowercase()
        } else {
            !byte.is_ascii_uppercase()
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_written_as_go_does() {
        let cases = [
            ("content-type", "Content-Type"),
            ("CONTENT-TYPE", "Content-Type"),
            ("Content-Type", "Content-Type"),
            ("x--y-", "X--Y-"),
            ("foo bar", "foo bar"),
            ("naïve", "naïve"),
            ("_under", "_under"),
            ("www-authenticate", "Www-Authenticate"),
            ("", ""),
        ];
        for (name, canonical) in cases {
            assert_eq!(canonical_header_name(name), canonical);
        }
        assert!(matches!(canonical_header_name("Content-Type"), Cow::Borrowed(_)));
    }

    #[test]
    fn entry_is_written_with_both_fields_even_if_they_are_empty() {
        let header = Headers::from([(String::new(), Header::default())]);
        let response = PokthttpResponse {
            header,
            ..Default::default()
        };
        assert_eq!(encode_http_response(&response)[..], [0x12, 4, 0x0a, 0, 0x12, 0]);
    }

    #[test]
    fn response_with_a_status_alone_is_not_empty() {
        let response = PokthttpResponse {
            status_code: 204,
            ..Default::default()
        };
        assert_eq!(encode_http_response(&response)[..], [0x08, 0xcc, 0x01]);
    }

    #[test]
    fn text_that_is_not_utf_8_is_refused() {
        let request = decode_http_request(&Bytes::from_static(&[0x0a, 1, 0xff]));
        assert!(matches!(request, Err(EnvelopeError::Text(_))));
    }

    #[test]
    fn body_is_a_slice_of_the_input() {
        let input = Bytes::from_static(&[0x22, 3, b'a', b'b', b'c']);
        let body = decode_http_request(&input).unwrap().body_bz;
        assert_eq!(body.as_ptr(), input[2..].as_ptr());
    }

    fn headers() -> impl Strategy<Value = Headers> {
        prop::collection::btree_map("\\PC{0,8}", prop::collection::vec("\\PC{0,8}", 0..3), 0..4).prop_map(|headers| {
            headers
                .into_iter()
                .map(|(key, values)| (key.clone(), Header { key, values }))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn request_decodes_again(
            method in "[A-Z]{0,6}", header in headers(), url in "\\PC{0,200}",
            body in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let request = PokthttpRequest { method, header, url, body_bz: body.into() };
            prop_assert_eq!(decode_http_request(&encode_http_request(&request)), Ok(request));
        }

        #[test]
        fn response_decodes_again(
            status_code in any::<u32>(), header in headers(), body in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let response = PokthttpResponse { status_code, header, body_bz: body.into() };
            prop_assert_eq!(decode_http_response(&encode_http_response(&response)), Ok(response));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let bytes = Bytes::from(bytes);
            if let Ok(request) = decode_http_request(&bytes) {
                prop_assert_eq!(decode_http_request(&encode_http_request(&request)), Ok(request));
            }
        }
    }
}
