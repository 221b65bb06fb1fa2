//! gRPC calls: a unary method and one with a stream of answers, under the names of the Go peer's demo service.

use std::convert::Infallible;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::stream;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::Frame;
use prost::Message as _;

use super::{Answer, Call};
use crate::call::FRAME_PREFIX;

const UNARY: &str = "/demo.DemoService/GetBlockHeight";
const STREAMING: &str = "/demo.DemoService/StreamBlockHeights";
/// How many answers, when the request does not say.
const USUAL_ANSWERS: u64 = 3;
const OK: &str = "0";
const INVALID_ARGUMENT: &str = "3";
const UNIMPLEMENTED: &str = "12";

/// What a call may say.
#[derive(Clone, PartialEq, prost::Message)]
struct HeightsWanted {
    /// How many answers; 0 is the usual number.
    #[prost(uint64, tag = "1")]
    answers: u64,
}

/// One answer.
#[derive(Clone, PartialEq, prost::Message)]
struct BlockHeight {
    #[prost(uint64, tag = "1")]
    height: u64,
    /// Makes the answer as long as it shall be.
    #[prost(bytes = "bytes", tag = "2")]
    padding: Bytes,
}

pub(super) fn is_call(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The answers of the method to the one message of the body.
pub(super) fn answer(method: &str, body: &Bytes, call: &Call) -> Response<Answer> {
    let Some(wanted) = message(body) else {
        return without_answers(INVALID_ARGUMENT);
    };
    let answers = match method {
        UNARY => 1,
        STREAMING if wanted.answers > 0 => wanted.answers,
        STREAMING => USUAL_ANSWERS,
        _ => return without_answers(UNIMPLEMENTED),
    };
    let (first, padding) = (call.number, Bytes::from(vec![0; call.behaviour.answer_bytes]));
    let messages = (first..first + answers).map(move |height| {
        let padding = padding.clone();
        Ok::<_, Infallible>(Frame::data(framed(&BlockHeight { height, padding })))
    });
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static(OK))]);
    let frames = messages.chain([Ok(Frame::trailers(trailers))]);
    grpc(Response::new(StreamBody::new(stream::iter(frames)).boxed_unsync()))
}

const GRPC_STATUS: http::HeaderName = http::HeaderName::from_static("grpc-status");

/// A call that ends with its headers.
fn without_answers(status: &'static str) -> Response<Answer> {
    let mut answer = grpc(Response::new(Empty::new().boxed_unsync()));
    answer
        .headers_mut()
        .insert(GRPC_STATUS, HeaderValue::from_static(status));
    answer
}

fn grpc(mut answer: Response<Answer>) -> Response<Answer> {
    let content_type = HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert(header::CONTENT_TYPE, content_type);
    answer
}

fn message(body: &[u8]) -> Option<HeightsWanted> {
    let (prefix, message) = body.split_at_checked(FRAME_PREFIX)?;
    let length = u32::from_be_bytes(prefix[1..].try_into().ok()?);
    if prefix[0] != 0 || message.len() != length as usize {
        return None;
    }
    HeightsWanted::decode(message).ok()
}

fn framed(message: &BlockHeight) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(FRAME_PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(length as u32);
    frame.put_slice(&message.encode_to_vec());
    frame.freeze()
}
