//! The relay port: HTTP/1.1 and HTTP/2 with prior knowledge on one socket (spec `relay.md` §5.1).

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use pocket_config::{InboundConfig, ResponseCompressionConfig};
use prometheus::IntCounter;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::body;
use crate::grpc::{self, CallBody, Calls};
use crate::metrics::UNKNOWN;
use crate::pipeline::{Pipeline, Served};
use crate::received::Carrier;
use crate::refusal::Refusal;
use crate::stall::StallLimited;
use crate::stream::{ServedStream, SignedStream};
use crate::tls_port::TlsPort;
use crate::untaken::{Untaken, Watched};
use crate::websocket::{self, Sockets};
use crate::{compression, health};

/// Streams that one HTTP/2 connection may have open.
const STREAMS_PER_CONNECTION: u32 = 250;
/// Largest head of a request.
const HEAD_BYTES: usize = 1 << 20;
/// After a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a client is sent.
type Answer = Response<Either<Full<Bytes>, Either<SignedStream, CallBody>>>;

/// What one port serves.
pub(crate) struct Server {
    pipeline: Arc<Pipeline>,
    over_http1: IntCounter,
    over_http2: IntCounter,
    over_websocket: IntCounter,
    sockets: Sockets,
    calls: Calls,
    tls: Option<Arc<TlsPort>>,
}

impl Server {
    pub fn new(pipeline: Arc<Pipeline>, tls: Option<Arc<TlsPort>>) -> Arc<Self> {
        let by_protocol = |name: &str| pipeline.metrics.by_protocol.with_label_values(&[name]);
        let (over_http1, over_http2) = (by_protocol("http1"), by_protocol("h2c"));
        let over_websocket = by_protocol("websocket");
        Arc::new(Self {
            calls: Calls::new(pipeline.clone()),
            pipeline,
            over_http1,
            over_http2,
            over_websocket,
            sockets: Sockets::default(),
            tls,
        })
    }

    /// `WebSocket`s that are open.
    pub fn open_sockets(&self) -> usize {
        self.sockets.count()
    }

    /// Accepts until `cancel`, then lets open requests finish for at most `grace`.
    pub async fn run(self: Arc<Self>, listener: TcpListener, grace: Duration, cancel: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((socket, _)) => {
                        connections.spawn(self.clone().serve(socket, cancel.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        self.calls.stop();
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, finished).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections cut off at shutdown");
        }
        connections.shutdown().await;
        self.sockets.close().await;
    }

    async fn serve(self: Arc<Self>, socket: TcpStream, cancel: CancellationToken) {
        // Answers are written whole: waiting for more to send would only delay them.
        if socket.set_nodelay(true).is_err() {
            return;
        }
        // Boxed: what serves a connection is too large a type to stand within another.
        let Some(tls) = self.tls.clone() else {
            return self.serve_on(socket, cancel).boxed().await;
        };
        match cancel.run_until_cancelled(tls.accept(socket)).await {
            Some(Ok(socket)) => self.serve_on(socket, cancel).boxed().await,
            Some(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            None => {}
        }
    }

    /// Serves one connection, encrypted or not.
    async fn serve_on<S>(self: Arc<Self>, socket: S, cancel: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let open = &self.pipeline.metrics.connections;
        open.inc();
        let limits = self.pipeline.limits.load_full();
        let InboundConfig {
            idle_timeout,
            stall_timeout,
        } = limits.inbound;
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(idle_timeout)
            .max_buf_size(HEAD_BYTES)
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .max_header_list_size(HEAD_BYTES as u32)
            .keep_alive_interval(idle_timeout);
        let untaken = Arc::new(Untaken::default());
        let service = service_fn(|request: Request<Incoming>| {
            let (server, untaken) = (self.clone(), untaken.clone());
            let is_http2 = request.version() == Version::HTTP_2;
            async move {
                let answer = server.answer(request).await;
                // Streams have a time of their own, and over HTTP/1.1 a write would wait.
                let lasts = match answer.body() {
                    Either::Left(_) => false,
                    Either::Right(Either::Left(_)) => true,
                    Either::Right(Either::Right(call)) => call.lasts(),
                };
                let untaken = (is_http2 && !lasts).then_some(untaken);
                Ok::<_, Infallible>(answer.map(|body| Watched::new(body, untaken.as_ref())))
            }
        });
        let socket = TokioIo::new(StallLimited::new(socket, idle_timeout, stall_timeout));
        let mut connection = pin!(builder.serve_connection_with_upgrades(socket, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = untaken.overdue(limits.answer_time) => Err("an answer was not taken".into()),
            () = cancel.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "connection ended");
        }
        open.dec();
    }

    /// One request; a panic costs it alone.
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let answered = AssertUnwindSafe(self.route(request)).catch_unwind().await;
        answered.unwrap_or_else(|_| {
            let panics = &self.pipeline.metrics.panics;
            panics.with_label_values(&["http_handler"]).inc();
            tracing::error!("a relay's handler panicked");
            let mut response = Response::new(Full::new(Bytes::from_static(b"Internal Server Error")));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, plain);
            response.map(Either::Left)
        })
    }

    async fn route(&self, request: Request<Incoming>) -> Answer {
        let height = self.pipeline.feed.height();
        if let Some(health) = health::answer(request.uri().path(), &self.pipeline.reception.services(), height) {
            return health.map(Either::Left);
        }
        if websocket::is_upgrade(&request) {
            self.over_websocket.inc();
            // Boxed: every relay's future would have to be as large.
            let answer = Box::pin(self.sockets.upgrade(&self.pipeline, request)).await;
            return answer.map(Either::Left);
        }
        if let Some(form) = grpc::Form::of(&request) {
            let answer = self.calls.answer(form, request).await;
            return answer.map(|body| Either::Right(Either::Right(body)));
        }
        if let Some(allowed) = grpc::preflight(&request) {
            return allowed.map(Either::Left);
        }
        // Any method and any path is a relay: what counts is the body.
        let is_http2 = request.version() == Version::HTTP_2;
        if is_http2 { &self.over_http2 } else { &self.over_http1 }.inc();
        if self.pipeline.is_full() {
            self.pipeline.count_refusal(UNKNOWN, UNKNOWN, &Refusal::Overloaded);
            return Refusal::Overloaded.response().map(Either::Left);
        }
        let (head, incoming) = request.into_parts();
        let limit = self.pipeline.reception.services().body_limit;
        let body_time = self.pipeline.limits.load().body_time;
        let served = match body::read(incoming, limit, body_time).await {
            Ok(body) => self.pipeline.serve(Carrier::Request(&head.headers), body).await,
            Err(refusal) => {
                self.pipeline
                    .metrics
                    .received
                    .with_label_values(&[UNKNOWN, UNKNOWN])
                    .inc();
                self.pipeline.count_refusal(UNKNOWN, UNKNOWN, &refusal);
                Err(refusal)
            }
        };
        match served {
            Ok(Served::Whole(wire)) => self.success(&head.headers, wire).await.map(Either::Left),
            Ok(Served::Stream(stream)) => streamed(stream, is_http2),
            Ok(Served::Simulated(wire)) => simulated(wire).map(Either::Left),
            Err(refusal) => {
                tracing::debug!(?refusal, "relay refused");
                refusal.response().map(Either::Left)
            }
        }
    }

    async fn success(&self, asked: &HeaderMap, wire: Bytes) -> Response<Full<Bytes>> {
        let ResponseCompressionConfig {
            enabled,
            min_size_bytes,
        } = self.pipeline.limits.load().compression;
        let is_compressed = enabled && wire.len() as u64 >= min_size_bytes && compression::accepts_gzip(asked);
        let body = if is_compressed {
            compression::encode(wire).await
        } else {
            wire
        };
        let mut response = Response::new(Full::new(body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, content_type(asked));
        if is_compressed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// What a simulated relay gets: never compressed, always called JSON, as by the peer.
fn simulated(wire: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(wire));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// A stream's head is the backend's. Over HTTP/1.1 its connection ends with it, as the peer's does.
fn streamed(stream: ServedStream, is_http2: bool) -> Answer {
    let mut response = Response::new(Either::Right(Either::Left(stream.body)));
    *response.status_mut() = stream.status;
    *response.headers_mut() = stream.headers;
    if !is_http2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// The client's `Accept`, as the peer echoes it; it says nothing about the bytes, which are protobuf.
fn content_type(headers: &HeaderMap) -> HeaderValue {
    match headers.get(header::ACCEPT) {
        Some(accept) if accept != "*/*" && !accept.is_empty() => accept.clone(),
        _ => HeaderValue::from_static("application/json"),
    }
}
