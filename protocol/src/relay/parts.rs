//! The fields of a relay that are written, their lengths, and the two things done with them: one
//! buffer of exact size, or a hash that the payload is fed to where it lies.

use bytes::{BufMut, Bytes};
use pocket_proto::pocket::service::{
    RelayMinerError, RelayRequest, RelayRequestMetadata, RelayResponse, RelayResponseMetadata,
};
use pocket_proto::pocket::session::SessionHeader;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use sha2::{Digest as _, Sha256};

/// Encodings up to this size, payload apart, are written on the stack: any honest request or
/// response with a ring of up to four keys.
const STACK_BYTES: usize = 1024;

pub(super) fn encoded(write: impl FnOnce(&mut Vec<u8>), len: usize) -> Bytes {
    let mut out = Vec::with_capacity(len);
    write(&mut out);
    debug_assert_eq!(out.len(), len);
    Bytes::from(out)
}

/// Room that shrinks from the front as it is written to.
type Room<'a> = &'a mut [u8];

/// Hashes what `write` writes, exactly `len` bytes.
fn hash_written(hasher: &mut Sha256, len: usize, write: impl FnOnce(&mut Room<'_>)) {
    let mut stack = [0; STACK_BYTES];
    let mut heap = Vec::new();
    let out = if let Some(out) = stack.get_mut(..len) {
        out
    } else {
        heap.resize(len, 0);
        &mut heap[..]
    };
    let mut room = &mut *out;
    write(&mut room);
    debug_assert!(room.is_empty());
    hasher.update(out);
}

/// Metadata of a request, or of a response: that has no field 3, and an empty one is not written.
#[derive(Clone, Copy, Default)]
pub(super) struct Meta<'a> {
    header: Option<&'a SessionHeader>,
    signature: &'a [u8],
    supplier: &'a str,
}

impl<'a> Meta<'a> {
    pub fn of_request(request: &'a RelayRequest) -> Self {
        request
            .meta
            .as_ref()
            .map_or_else(Self::default, |meta: &RelayRequestMetadata| Self {
                header: meta.session_header.as_ref(),
                signature: &meta.signature,
                supplier: &meta.supplier_operator_address,
            })
    }

    pub fn of_response(response: &'a RelayResponse) -> Self {
        response
            .meta
            .as_ref()
            .map_or_else(Self::default, |meta: &RelayResponseMetadata| Self {
                header: meta.session_header.as_ref(),
                signature: &meta.supplier_operator_signature,
                supplier: "",
            })
    }

    pub fn unsigned(self) -> Self {
        Self { signature: &[], ..self }
    }

    pub fn len(&self) -> usize {
        self.header.map_or(0, |header| framed_len(header.encoded_len()))
            + bytes_len(self.signature)
            + bytes_len(self.supplier.as_bytes())
    }

    pub fn write(&self, out: &mut impl BufMut) {
        if let Some(header) = self.header {
            prost::encoding::message::encode(1, header, out);
        }
        write_bytes(2, self.signature, out);
        write_bytes(3, self.supplier.as_bytes(), out);
    }
}

/// A request's fields that are written.
#[derive(Clone, Copy)]
pub(super) struct RequestParts<'a> {
    pub meta: Meta<'a>,
    pub payload: &'a [u8],
}

impl<'a> RequestParts<'a> {
    pub fn of(request: &'a RelayRequest) -> Self {
        Self {
            meta: Meta::of_request(request),
            payload: &request.payload,
        }
    }

    /// Bytes before the payload itself.
    fn head_len(&self) -> usize {
        framed_len(self.meta.len()) + bytes_len(self.payload) - self.payload.len()
    }

    pub fn len(&self) -> usize {
        self.head_len() + self.payload.len()
    }

    fn write_head(&self, out: &mut impl BufMut) {
        write_frame(1, self.meta.len(), out);
        self.meta.write(out);
        if !self.payload.is_empty() {
            write_frame(2, self.payload.len(), out);
        }
    }

    pub fn write(&self, out: &mut impl BufMut) {
        self.write_head(out);
        out.put_slice(self.payload);
    }

    pub fn hash_into(&self, hasher: &mut Sha256) {
        hash_written(hasher, self.head_len(), |out| self.write_head(out));
        hasher.update(self.payload);
    }
}

/// A response's fields that are written.
#[derive(Clone, Copy)]
pub(super) struct ResponseParts<'a> {
    pub meta: Meta<'a>,
    pub payload: &'a [u8],
    pub error: Option<&'a RelayMinerError>,
    pub payload_hash: &'a [u8],
}

impl<'a> ResponseParts<'a> {
    pub fn of(response: &'a RelayResponse) -> Self {
        Self {
            meta: Meta::of_response(response),
            payload: &response.payload,
            error: response.relay_miner_error.as_ref(),
            payload_hash: &response.payload_hash,
        }
    }

    fn head_len(&self) -> usize {
        framed_len(self.meta.len()) + bytes_len(self.payload) - self.payload.len()
    }

    fn tail_len(&self) -> usize {
        self.error.map_or(0, |error| framed_len(error.encoded_len())) + bytes_len(self.payload_hash)
    }

    pub fn len(&self) -> usize {
        self.head_len() + self.payload.len() + self.tail_len()
    }

    fn write_head(&self, out: &mut impl BufMut) {
        write_frame(1, self.meta.len(), out);
        self.meta.write(out);
        if !self.payload.is_empty() {
            write_frame(2, self.payload.len(), out);
        }
    }

    fn write_tail(&self, out: &mut impl BufMut) {
        if let Some(error) = self.error {
            prost::encoding::message::encode(3, error, out);
        }
        write_bytes(4, self.payload_hash, out);
    }

    pub fn write(&self, out: &mut impl BufMut) {
        self.write_head(out);
        out.put_slice(self.payload);
        self.write_tail(out);
    }

    pub fn hash_into(&self, hasher: &mut Sha256) {
        if self.payload.is_empty() {
            return hash_written(hasher, self.len(), |out| self.write(out));
        }
        hash_written(hasher, self.head_len(), |out| self.write_head(out));
        hasher.update(self.payload);
        hash_written(hasher, self.tail_len(), |out| self.write_tail(out));
    }
}

/// A relay's fields that are written.
pub(super) struct RelayParts<'a> {
    pub request: Option<RequestParts<'a>>,
    pub response: Option<ResponseParts<'a>>,
}

impl<'a> RelayParts<'a> {
    pub fn dehydrated(request: &'a RelayRequest, response: &'a RelayResponse) -> Self {
        let response = ResponseParts {
            payload: &[],
            ..ResponseParts::of(response)
        };
        Self {
            request: Some(RequestParts::of(request)),
            response: Some(response),
        }
    }

    pub fn encode(&self) -> Bytes {
        let len = self.request.map_or(0, |parts| framed_len(parts.len()))
            + self.response.map_or(0, |parts| framed_len(parts.len()));
        encoded(|out| self.write(out), len)
    }

    pub fn write(&self, out: &mut impl BufMut) {
        if let Some(request) = &self.request {
            write_frame(1, request.len(), out);
            request.write(out);
        }
        if let Some(response) = &self.response {
            write_frame(2, response.len(), out);
            response.write(out);
        }
    }

    pub fn hash_into(&self, hasher: &mut Sha256) {
        if let Some(request) = &self.request {
            hash_written(hasher, frame_len(request.len()), |out| {
                write_frame(1, request.len(), out);
            });
            request.hash_into(hasher);
        }
        if let Some(response) = &self.response {
            hash_written(hasher, frame_len(response.len()), |out| {
                write_frame(2, response.len(), out);
            });
            response.hash_into(hasher);
        }
    }
}

/// Bytes of tag and length; all tags here are below 16.
fn frame_len(content: usize) -> usize {
    1 + encoded_len_varint(content as u64)
}

fn framed_len(content: usize) -> usize {
    frame_len(content) + content
}

fn bytes_len(content: &[u8]) -> usize {
    if content.is_empty() {
        0
    } else {
        framed_len(content.len())
    }
}

fn write_frame(tag: u32, content: usize, out: &mut impl BufMut) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(content as u64, out);
}

fn write_bytes(tag: u32, content: &[u8], out: &mut impl BufMut) {
    if !content.is_empty() {
        write_frame(tag, content.len(), out);
        out.put_slice(content);
    }
}
