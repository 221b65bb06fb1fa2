//! Relays over gRPC and gRPC-Web (spec `relay.md` §5.13 and §5.14): bytes in and out of their frames, refusals as
//! statuses. What a relay is worth is decided in the pipeline, as for every transport.

mod frame;
mod offered;
mod status;
mod web;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming};
use pocket_proto::pocket::service::RelayRequest;
use prometheus::IntCounter;
use prost::Message as _;
use tonic::Status;

use crate::body;
use crate::error_response::sign_error;
use crate::metrics::UNKNOWN;
use crate::pipeline::{Pipeline, Served};
use crate::received::Carrier;
use crate::refusal::Refusal;
use frame::{Encoding, Reply};
use offered::Offered;
pub(crate) use web::preflight;

/// The one method of the relay service.
const SEND_RELAY: &str = "/pocket.service.RelayService/SendRelay";
/// What the services beside it begin with.
const OFFERED: &str = "/grpc.";
/// The status of a failed backend, as it stands in the signed response that tells of it.
const BACKEND_FAILED: u32 = 500;

/// The body of an answer. A relay's own needs no box.
#[derive(Debug)]
pub(crate) enum CallBody {
    Reply(Reply),
    /// A browser's.
    Web(BoxedBody),
    /// Of a service beside the relays', which may go on for as long as the client likes.
    Lasting(BoxedBody),
}

type BoxedBody = UnsyncBoxBody<Bytes, Status>;

impl CallBody {
    /// Whether nobody can say when it should have been taken.
    pub fn lasts(&self) -> bool {
        matches!(self, Self::Lasting(_))
    }
}

impl Body for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.get_mut() {
            Self::Reply(reply) => Pin::new(reply).poll_frame(context),
            Self::Web(body) | Self::Lasting(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Reply(reply) => reply.is_end_stream(),
            Self::Web(body) | Self::Lasting(body) => body.is_end_stream(),
        }
    }
}

/// How a call is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Native,
    Web(web::Form),
}

impl Form {
    /// The form of a request; `None` for what is no call (spec `relay.md` §5.1).
    pub fn of<B>(request: &Request<B>) -> Option<Self> {
        let content_type = request.headers().get(header::CONTENT_TYPE)?.as_bytes();
        let rest = content_type.strip_prefix(b"application/grpc")?;
        Some(match rest.strip_prefix(b"-web") {
            Some(rest) if request.method() == Method::POST => Self::Web(if rest.starts_with(b"-text") {
                web::Form::Text
            } else {
                web::Form::Binary
            }),
            _ => Self::Native,
        })
    }
}

/// The body of a call.
enum Input {
    Socket(Incoming),
    Read(Bytes),
}

/// Answers calls on one port.
pub(crate) struct Calls {
    pipeline: Arc<Pipeline>,
    offered: Offered,
    native: IntCounter,
    web: IntCounter,
}

impl Calls {
    pub fn new(pipeline: Arc<Pipeline>) -> Self {
        let by_protocol = |name: &str| pipeline.metrics.by_protocol.with_label_values(&[name]);
        let (native, web) = (by_protocol("grpc"), by_protocol("grpc-web"));
        let offered = Offered::new(pipeline.clone());
        Self {
            pipeline,
            offered,
            native,
            web,
        }
    }

    /// Ends calls that would last for ever.
    pub fn stop(&self) {
        self.offered.stop();
    }

    /// Answers one call.
    pub async fn answer(&self, form: Form, request: Request<Incoming>) -> Response<CallBody> {
        match form {
            Form::Native => self.answer_native(request).await,
            Form::Web(form) => self.answer_web(form, request).await,
        }
    }

    async fn answer_native(&self, request: Request<Incoming>) -> Response<CallBody> {
        self.native.inc();
        let unfit = if request.version() != Version::HTTP_2 {
            Some(StatusCode::HTTP_VERSION_NOT_SUPPORTED)
        } else if request.method() != Method::POST {
            Some(StatusCode::METHOD_NOT_ALLOWED)
        } else {
            None
        };
        if let Some(status) = unfit {
            let mut response = Response::new(CallBody::Reply(Reply::default()));
            *response.status_mut() = status;
            return response;
        }
        self.dispatch(request.map(Input::Socket)).await
    }

    async fn answer_web(&self, form: web::Form, request: Request<Incoming>) -> Response<CallBody> {
        self.web.inc();
        let (mut head, incoming) = request.into_parts();
        let origin = head.headers.get(header::ORIGIN).cloned();
        let limit = form.body_limit(self.wire_limit());
        let body_time = self.pipeline.limits.load().body_time;
        let response = match body::read(incoming, limit, body_time).await {
            Ok(body) => match (form.decode(body), web::method(head.uri.path()).parse()) {
                (Some(body), Ok(uri)) => {
                    head.uri = uri;
                    self.dispatch(Request::from_parts(head, Input::Read(body))).await
                }
                _ => self.unread(&Refusal::Undecodable),
            },
            Err(refusal) => self.unread(&refusal),
        };
        let lasts = response.body().lasts();
        let rewritten = web::respond(response, form, origin.as_ref());
        rewritten.map(if lasts { CallBody::Lasting } else { CallBody::Web })
    }

    async fn dispatch(&self, request: Request<Input>) -> Response<CallBody> {
        match request.uri().path() {
            SEND_RELAY => {
                let (head, input) = request.into_parts();
                self.send_relay(&head.headers, input).await
            }
            path if path.starts_with(OFFERED) => {
                let response = self.offered.call(request).await;
                response.map(|body| CallBody::Lasting(body.boxed_unsync()))
            }
            path => refused(Status::unimplemented(format!("unknown method: {path}"))),
        }
    }

    async fn send_relay(&self, metadata: &HeaderMap, input: Input) -> Response<CallBody> {
        if self.pipeline.is_full() {
            return self.unread(&Refusal::Overloaded);
        }
        let encoding = match Encoding::of(metadata) {
            Ok(encoding) => encoding,
            Err(status) => {
                self.count_unread(&Refusal::Undecodable);
                return refused(status);
            }
        };
        let message = match self.message(input, encoding).await {
            Ok(message) => message,
            Err(refusal) => return self.unread(&refusal),
        };
        match self.pipeline.serve(Carrier::Call(metadata), message.clone()).await {
            Ok(Served::Whole(wire) | Served::Simulated(wire)) => replied(wire, encoding).await,
            // A call has one answer, and the pipeline is told so.
            Ok(Served::Stream(_)) => refused(status::of(&Refusal::Unsigned)),
            Err(refusal) => {
                tracing::debug!(?refusal, "relay refused");
                match status::backend_failure(&refusal).and_then(|text| self.sign_failure(message, text)) {
                    Some(wire) => replied(wire, encoding).await,
                    None => refused(status::of(&refusal)),
                }
            }
        }
    }

    async fn message(&self, input: Input, encoding: Encoding) -> Result<Bytes, Refusal> {
        let body = match input {
            Input::Read(body) => body,
            Input::Socket(incoming) => {
                let body_time = self.pipeline.limits.load().body_time;
                body::read(incoming, self.wire_limit(), body_time).await?
            }
        };
        let limit = self.pipeline.reception.services().body_limit;
        frame::read(body, encoding, limit).await
    }

    /// The signed word that a believed relay got no answer from its backend. It is read again: that is rare, and the
    /// relay itself is gone by now.
    fn sign_failure(&self, message: Bytes, text: &str) -> Option<Bytes> {
        let meta = RelayRequest::decode(message).ok()?.meta?;
        let key = self.pipeline.reception.keys.get(&meta.supplier_operator_address)?;
        Some(sign_error(&meta.session_header?, BACKEND_FAILED, text, &key))
    }

    /// Largest body of a call with one message.
    fn wire_limit(&self) -> usize {
        self.pipeline
            .reception
            .services()
            .body_limit
            .saturating_add(frame::HEAD)
    }

    /// Refuses a call whose message could not be read.
    fn unread(&self, refusal: &Refusal) -> Response<CallBody> {
        self.count_unread(refusal);
        refused(status::of(refusal))
    }

    fn count_unread(&self, refusal: &Refusal) {
        let received = &self.pipeline.metrics.received;
        received.with_label_values(&[UNKNOWN, UNKNOWN]).inc();
        self.pipeline.count_refusal(UNKNOWN, UNKNOWN, refusal);
    }
}

async fn replied(wire: Bytes, encoding: Encoding) -> Response<CallBody> {
    let mut response = Response::new(CallBody::Reply(Reply::new(wire, encoding).await));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if encoding == Encoding::Gzip {
        headers.insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    response
}

/// A status alone, in the headers.
fn refused(status: Status) -> Response<CallBody> {
    status.into_http::<Reply>().map(CallBody::Reply)
}
