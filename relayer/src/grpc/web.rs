//! gRPC for browsers (spec `relay.md` §5.14): the same frames, trailers as a last frame, all of it as base64 if wanted.

use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame};
use tonic::Status;

use super::{BoxedBody, frame};

/// The flag of the frame that holds trailers.
const TRAILERS: u8 = 0x80;
/// How long a browser may remember that it may call: a day.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("86400");

/// How bytes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Binary,
    Text,
}

impl Form {
    /// Largest request body that holds `limit` bytes.
    pub fn body_limit(self, limit: usize) -> usize {
        match self {
            Self::Binary => limit,
            Self::Text => limit.div_ceil(3).saturating_mul(4),
        }
    }

    /// The bytes of a request; `None` for what is no base64.
    pub fn decode(self, body: Bytes) -> Option<Bytes> {
        match self {
            Self::Binary => Some(body),
            Self::Text => decode_text(&body),
        }
    }

    fn encode(self, bytes: Bytes) -> Bytes {
        match self {
            Self::Binary => bytes,
            Self::Text => STANDARD.encode(&bytes).into(),
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Binary => "application/grpc-web+proto",
            Self::Text => "application/grpc-web-text+proto",
        })
    }
}

/// Decodes base64 that may have been written in pieces, each with its own padding.
fn decode_text(text: &[u8]) -> Option<Bytes> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut rest = text;
    while !rest.is_empty() {
        let padding = rest.iter().position(|&byte| byte == b'=');
        let end = padding.map_or(rest.len(), |at| (at / 4 + 1) * 4);
        let (piece, after) = rest.split_at_checked(end)?;
        STANDARD.decode_vec(piece, &mut out).ok()?;
        rest = after;
    }
    Some(out.into())
}

/// The last two segments of a path, which name the method: what stands before them is the server's address.
pub(crate) fn method(path: &str) -> &str {
    let last = path.rfind('/').unwrap_or(0);
    let service = path[..last].rfind('/').unwrap_or(0);
    &path[service..]
}

/// An answer of gRPC as a browser reads it. Trailers without a body stay headers.
pub(crate) fn respond<B>(response: Response<B>, form: Form, origin: Option<&HeaderValue>) -> Response<BoxedBody>
where
    B: Body<Data = Bytes, Error = Status> + Send + Unpin + 'static,
{
    let (mut head, body) = response.into_parts();
    head.headers.insert(header::CONTENT_TYPE, form.content_type());
    if let Some(origin) = origin {
        allow_origin(&mut head.headers, origin);
        let exposed = HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin, grpc-encoding");
        head.headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    let body = Rewritten { inner: body, form };
    Response::from_parts(head, UnsyncBoxBody::new(body))
}

/// Answers a browser that asks whether it may call; `None` for any other request.
pub(crate) fn preflight<B>(request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    if request.method() != Method::OPTIONS {
        return None;
    }
    let headers = request.headers();
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS)?;
    let mut names = wanted.to_str().ok()?.split(',');
    if !names.any(|name| name.trim().eq_ignore_ascii_case("x-grpc-web")) {
        return None;
    }
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    allow_origin(answer, headers.get(header::ORIGIN)?);
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    Some(response)
}

/// Any page may call: relays carry their own right in their signature, and browsers hold no other for this port.
fn allow_origin(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}

/// A body whose trailers have become its last frame.
struct Rewritten<B> {
    inner: B,
    form: Form,
}

impl<B> Body for Rewritten<B>
where
    B: Body<Data = Bytes, Error = Status> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let form = self.form;
        let rewrite = |frame: Frame<Bytes>| {
            let bytes = match frame.into_data() {
                Ok(data) => data,
                Err(other) => trailers_frame(&other.into_trailers().unwrap_or_default()),
            };
            Frame::data(form.encode(bytes))
        };
        Pin::new(&mut self.inner).poll_frame(context).map_ok(rewrite)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
}

fn trailers_frame(trailers: &HeaderMap) -> Bytes {
    let mut block = BytesMut::new();
    for (name, value) in trailers {
        for part in [name.as_str().as_bytes(), b":", value.as_bytes(), b"\r\n"] {
            block.extend_from_slice(part);
        }
    }
    [&frame::head(TRAILERS, block.len())[..], &block].concat().into()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;

    use super::super::frame::{Encoding, Reply};
    use super::*;

    #[tokio::test]
    async fn trailers_become_the_last_frame() {
        let reply = Reply::new(Bytes::from_static(b"hi"), Encoding::Identity).await;
        let binary = respond(Response::new(reply), Form::Binary, None);
        assert_eq!(binary.headers()["content-type"], "application/grpc-web+proto");
        let body = binary.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&body[..], b"\0\0\0\0\x02hi\x80\0\0\0\x0fgrpc-status:0\r\n");
    }

    #[tokio::test]
    async fn text_says_the_same_as_binary() {
        let reply = Reply::new(Bytes::from_static(b"hi"), Encoding::Identity).await;
        let text = respond(Response::new(reply), Form::Text, None);
        let body = text.into_body().collect().await.unwrap().to_bytes();
        let bytes = Form::Text.decode(body).unwrap();
        assert_eq!(&bytes[..], b"\0\0\0\0\x02hi\x80\0\0\0\x0fgrpc-status:0\r\n");
    }

    #[test]
    fn method_is_the_last_two_segments() {
        assert_eq!(
            method("/pocket.service.RelayService/SendRelay"),
            "/pocket.service.RelayService/SendRelay"
        );
        assert_eq!(method("/x/y/a.B/C"), "/a.B/C");
        assert_eq!(method("/C"), "/C");
        assert_eq!(method(""), "");
    }

    #[test]
    fn only_a_browsers_question_for_grpc_web_is_a_preflight() {
        let ask = |method: Method, wanted: &str| {
            let request = Request::builder()
                .method(method)
                .header("origin", "https://dapp.example")
                .header("access-control-request-headers", wanted);
            preflight(&request.body(()).unwrap())
        };
        let allowed = ask(Method::OPTIONS, "content-type, X-Grpc-Web").unwrap();
        assert_eq!(allowed.headers()["access-control-allow-origin"], "https://dapp.example");
        assert_eq!(
            allowed.headers()["access-control-allow-headers"],
            "content-type, X-Grpc-Web"
        );
        assert!(ask(Method::OPTIONS, "content-type").is_none());
        assert!(ask(Method::POST, "x-grpc-web").is_none());
    }

    proptest! {
        #[test]
        fn text_in_pieces_is_the_bytes(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5)) {
            let text: String = pieces.iter().map(|piece| STANDARD.encode(piece)).collect();
            prop_assert_eq!(decode_text(text.as_bytes()).unwrap(), pieces.concat());
        }

        #[test]
        fn any_text_is_decoded_or_refused(text in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(bytes) = decode_text(&text) {
                prop_assert!(bytes.len() <= text.len());
            }
        }
    }
}
