//! `grpc.health.v1.Health/Check` on the ports for probes: one message with one field each way, written here by hand.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;

use super::probes::{Answer, Shown};

/// The one method; who wants to watch asks again.
pub(crate) const CHECK: &str = "/grpc.health.v1.Health/Check";
/// A service's name is no longer.
const MOST_BYTES: usize = 1024;
/// A message's head: not compressed, and its length in four bytes.
const HEAD: usize = 5;

/// `ServingStatus`.
const SERVING: u8 = 1;
const NOT_SERVING: u8 = 2;

/// Status codes of gRPC.
const INVALID_ARGUMENT: HeaderValue = HeaderValue::from_static("3");
const NOT_FOUND: HeaderValue = HeaderValue::from_static("5");
const UNIMPLEMENTED: HeaderValue = HeaderValue::from_static("12");

/// Whether a request is a call.
pub(crate) fn is_call(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// Answers a call: for the process with an empty name, as `/ready` does, and for a service by its id.
pub(crate) async fn answer(path: &str, body: Incoming, shown: &Shown) -> Response<Answer> {
    if path != CHECK {
        return failed(UNIMPLEMENTED);
    }
    let Ok(body) = Limited::new(body, MOST_BYTES).collect().await else {
        return failed(INVALID_ARGUMENT);
    };
    let is_serving = match service(&body.to_bytes()) {
        Some(name) if name.is_empty() => Some((shown.ready)().is_ok()),
        Some(name) => {
            let answer = shown.services.as_ref().and_then(|services| services(&name));
            let known = answer.filter(|answer| answer.status() != http::StatusCode::NOT_FOUND);
            known.map(|answer| answer.status().is_success())
        }
        None => return failed(INVALID_ARGUMENT),
    };
    match is_serving {
        Some(is_serving) => told(if is_serving { SERVING } else { NOT_SERVING }),
        None => failed(NOT_FOUND),
    }
}

/// The service that a `HealthCheckRequest` in its frame is for: field 1, a string, which may be left out.
fn service(frame: &[u8]) -> Option<String> {
    let (head, message) = frame.split_at_checked(HEAD)?;
    let length = u32::from_be_bytes(head[1..].try_into().ok()?) as usize;
    if head[0] != 0 || length != message.len() {
        return None;
    }
    match message {
        [] => Some(String::new()),
        [0x0a, length, name @ ..] if *length < 0x80 && usize::from(*length) == name.len() => {
            String::from_utf8(name.to_vec()).ok()
        }
        _ => None,
    }
}

/// A `HealthCheckResponse`: field 1, the status.
fn told(status: u8) -> Response<Answer> {
    let mut frame = BytesMut::with_capacity(HEAD + 2);
    frame.put_u8(0);
    frame.put_u32(2);
    frame.put_slice(&[0x08, status]);
    let trailers = HeaderMap::from_iter([(
        header::HeaderName::from_static("grpc-status"),
        HeaderValue::from_static("0"),
    )]);
    let body = Full::new(frame.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    called(body.boxed_unsync())
}

/// A status alone, in the headers.
fn failed(status: HeaderValue) -> Response<Answer> {
    let mut response = called(Full::new(Bytes::new()).boxed_unsync());
    response.headers_mut().insert("grpc-status", status);
    response
}

fn called(body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_is_read_from_its_frame() {
        let framed = |message: &[u8]| [&[0, 0, 0, 0, message.len() as u8], message].concat();
        let read = |message: &[u8]| service(&framed(message));
        assert_eq!(read(b"").as_deref(), Some(""));
        assert_eq!(read(b"\x0a\x03svc").as_deref(), Some("svc"));
        for broken in [&b"\x0a\x04svc"[..], b"\x0a", b"\x12\x03svc", b"\x0a\x01\xff"] {
            assert_eq!(read(broken), None, "{broken:?}");
        }
        assert_eq!(service(&[0, 0, 0, 0, 1]), None);
        assert_eq!(service(&[1, 0, 0, 0, 0]), None);
        assert_eq!(service(b""), None);
    }
}
