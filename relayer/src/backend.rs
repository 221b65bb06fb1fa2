//! Forwarding a relay to one of the operator's nodes. Which one, and whether another is asked after it, is the pool's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::Upgraded;
use hyper_util::client::legacy::Client;
use pocket_config::{BackendConfig, BackendEndpoint, HttpTransportConfig, RpcType, ServiceConfig};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::body::{self, BodyError};
use crate::compression;
use crate::connector::{Connector, Versions};
use crate::metrics::observe;
use crate::pool::{ConnectionMetrics, Limit, Outcome, Place};
use crate::refusal::Refusal;
use crate::target::{Target, TargetError};

/// One server and the connections to it.
#[derive(Debug)]
pub(crate) struct Backend {
    target: Target,
    client: Client<Connector, Full<Bytes>>,
    connector: Connector,
    header_timeout: Duration,
    dial_timeout: Duration,
    answer_limit: usize,
    /// Of requests and streams under way, and so of connections; sockets do not count.
    limit: Option<Arc<Limit>>,
    metrics: ConnectionMetrics,
    is_grpc: bool,
}

/// The inner request of a relay, ready to go. Cloning copies the URL and the header table, for a second attempt.
#[derive(Clone, Debug)]
pub(crate) struct Forward {
    pub method: Method,
    /// As the client wrote it; where it leads depends on the endpoint.
    pub url: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether the client can be given a stream.
    pub may_stream: bool,
}

/// Why an endpoint gave no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unanswered {
    /// What the client is told, unless another endpoint does better.
    pub refusal: Refusal,
    /// What it says about the endpoint.
    pub outcome: Outcome,
    /// Whether the endpoint may have seen the request.
    pub was_sent: bool,
}

/// What the backend said, whole, decompressed.
#[derive(Debug)]
pub(crate) struct BackendAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What the backend said or begins to say.
#[derive(Debug)]
pub(crate) enum BackendReply {
    /// All of it.
    Whole(BackendAnswer),
    /// Its head.
    Stream(BackendStream),
}

impl BackendReply {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Whole(answer) => answer.status,
            Self::Stream(stream) => stream.status,
        }
    }
}

/// An answer that comes line by line. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct BackendStream {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Incoming,
    /// When it has to be over.
    pub deadline: Instant,
    /// Under the backend's limit, until the stream is dropped.
    #[allow(dead_code)]
    pub place: Place,
}

/// A backend that cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The address.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A header or credential.
    #[error("header {0:?} has a value that no header can have")]
    Header(String),
    /// The system's certificates could not be read.
    #[error("the system's root certificates cannot be read: {0}")]
    RootCertificates(#[from] std::io::Error),
}

impl Backend {
    /// A backend without connections yet.
    pub fn new(
        kind: RpcType,
        endpoint: &BackendEndpoint,
        config: &BackendConfig,
        service: &ServiceConfig,
        transport: &HttpTransportConfig,
        answer_limit: usize,
        metrics: ConnectionMetrics,
    ) -> Result<Self, BackendError> {
        let url = http_url(endpoint.url.as_str());
        let base_path = config.base_path.as_deref();
        let (target, versions) = match kind {
            // A WebSocket begins as a request of HTTP/1.1.
            RpcType::WebSocket => (Target::parse(&url, None)?, Versions::Http1),
            RpcType::Grpc => (Target::parse(&url, base_path)?, Versions::Http2),
            RpcType::JsonRpc | RpcType::Rest | RpcType::CometBft => (Target::parse(&url, base_path)?, Versions::All),
        };
        let is_grpc = kind == RpcType::Grpc;
        // Calls share one connection, and a socket begins with a handshake of its own.
        let is_shared = matches!(kind, RpcType::Grpc | RpcType::WebSocket);
        let warm = transport
            .warm_connections_per_host
            .min(if is_shared { 1 } else { u32::MAX });
        let connector = Connector::new(
            &service.timeouts,
            transport,
            target.is_https(),
            versions,
            Some(metrics.dial.clone()),
        )?
        .warmed(warm);
        let client = Client::builder(hyper_util::rt::TokioExecutor::new())
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .timer(hyper_util::rt::TokioTimer::new())
            .pool_idle_timeout(service.pool.idle_connection_timeout)
            .pool_max_idle_per_host(service.pool.max_idle_connections_per_host as usize)
            .http2_only(is_grpc)
            .build(connector.clone());
        Ok(Self {
            target,
            client,
            connector,
            dial_timeout: service.timeouts.dial,
            header_timeout: service
                .timeouts
                .response_header
                .unwrap_or(service.timeouts.request)
                .min(service.timeouts.request),
            answer_limit,
            // All calls share a connection.
            limit: service
                .pool
                .max_connections_per_host
                .filter(|_| !is_grpc)
                .map(Limit::new),
            metrics,
            is_grpc,
        })
    }

    /// Where relays go.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Keeps connections open for relays to come, as many as are configured.
    pub async fn keep_warm(&self) {
        self.connector.keep_warm(self.target.address()).await;
    }

    /// Opens a WebSocket to the configured address. `headers` are all but those of the handshake.
    pub async fn open_socket(&self, mut headers: HeaderMap) -> Result<Upgraded, Unanswered> {
        let key = generate_key();
        let accept = derive_accept_key(key.as_bytes());
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let key = HeaderValue::try_from(key).expect("a key is base64");
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
        let mut request = Request::new(Full::default());
        *request.uri_mut() = self.target.address();
        *request.headers_mut() = headers;
        let opening = async {
            let response = self.client.request(request).await.ok()?;
            let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
            if response.status() != StatusCode::SWITCHING_PROTOCOLS
                || accepted.is_none_or(|accepted| accepted.as_bytes() != accept.as_bytes())
            {
                return None;
            }
            hyper::upgrade::on(response).await.ok()
        };
        // As long again as connecting may take: the backend has to answer, too.
        match tokio::time::timeout(self.dial_timeout * 2, opening).await {
            Ok(Some(socket)) => Ok(socket),
            // A handshake asks nothing of the backend that another could not do as well.
            Ok(None) => Err(Unanswered::failed(Refusal::BackendUnreachable, false)),
            Err(_) => Err(Unanswered::timed_out()),
        }
    }

    /// Asks the backend once, until `deadline` at most. A server error is a refusal with its status (spec `relay.md`
    /// §5.10): it is neither signed nor mined.
    pub async fn ask(&self, forward: Forward, deadline: Instant) -> Result<BackendReply, Unanswered> {
        let uri = self.target.join(&forward.url).map_err(|_| Unanswered {
            refusal: Refusal::Unforwardable,
            outcome: Outcome::Blameless,
            was_sent: false,
        })?;
        let place = self.place(deadline).await?;
        let may_stream = forward.may_stream;
        let mut request = Request::new(Full::new(forward.body));
        *request.method_mut() = forward.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = forward.headers;
        if self.is_grpc {
            speak_grpc(request.headers_mut());
        }
        let head_due = deadline.min(Instant::now() + self.header_timeout);
        let response = tokio::time::timeout_at(head_due, self.client.request(request))
            .await
            .map_err(|_| Unanswered::timed_out())?
            .map_err(|error| {
                tracing::debug!(%error, backend = self.target.origin(), "backend unreachable");
                Unanswered::failed(Refusal::BackendUnreachable, !error.is_connect())
            })?;
        let (head, incoming) = response.into_parts();
        if head.status.as_u16() >= 500 {
            return Err(Unanswered::failed(Refusal::BackendStatus(head.status), true));
        }
        if may_stream && is_streamed(&head.headers) && !incoming.is_end_stream() {
            return Ok(BackendReply::Stream(BackendStream {
                status: head.status,
                headers: head.headers,
                body: incoming,
                deadline,
                place,
            }));
        }
        let collecting = body::collect_with_trailers(incoming, self.answer_limit);
        let (body, trailers) = tokio::time::timeout_at(deadline, collecting)
            .await
            .map_err(|_| Unanswered::timed_out())?
            .map_err(|error| match error {
                BodyError::TooLarge => Unanswered::too_large(),
                BodyError::Broken => Unanswered::failed(Refusal::BackendUnreachable, true),
            })?;
        drop(place);
        let mut answer = BackendAnswer {
            status: head.status,
            headers: head.headers,
            body,
        };
        if self.is_grpc {
            // The call's own status comes last; the client looks for it in the envelope's headers.
            for (name, value) in &trailers {
                answer.headers.append(name, value.clone());
            }
        }
        compression::decode(&mut answer, self.answer_limit)
            .await
            .map_err(|_| Unanswered::too_large())?;
        Ok(BackendReply::Whole(answer))
    }

    async fn place(&self, deadline: Instant) -> Result<Place, Unanswered> {
        let Some(limit) = &self.limit else {
            return Ok(Place::unlimited());
        };
        let mut waiting_since = None;
        let taking = limit.take(|| waiting_since = Some(Instant::now()));
        let place = tokio::time::timeout_at(deadline, taking).await;
        if let Some(since) = waiting_since {
            observe(&self.metrics.wait, since.elapsed());
        }
        place.map_err(|_| Unanswered::timed_out())
    }
}

impl Unanswered {
    fn failed(refusal: Refusal, was_sent: bool) -> Self {
        Self {
            refusal,
            outcome: Outcome::Failed,
            was_sent,
        }
    }

    fn timed_out() -> Self {
        Self {
            refusal: Refusal::BackendTimeout,
            outcome: Outcome::TimedOut,
            was_sent: true,
        }
    }

    /// What was asked is too much, and would be too much elsewhere: nobody may open breakers by asking it.
    fn too_large() -> Self {
        Self {
            refusal: Refusal::BackendAnswerTooLarge,
            outcome: Outcome::Blameless,
            was_sent: true,
        }
    }
}

/// A configured address as HTTP knows it, which carries `WebSocket`s and gRPC.
pub(crate) fn http_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let scheme = match scheme {
        "ws" | "grpc" => "http",
        "wss" | "grpcs" => "https",
        other => other,
    };
    format!("{scheme}://{rest}")
}

/// What a gRPC server expects of every call; compression is a matter of its messages, not of the body.
fn speak_grpc(headers: &mut HeaderMap) {
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.remove(header::ACCEPT_ENCODING);
}

/// Whether an answer is to be passed on line by line: by its media type alone (spec `relay.md` §5.11). A compressed one
/// has no lines; it is collected and decoded like any other.
fn is_streamed(headers: &HeaderMap) -> bool {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim();
    let is_plain = headers
        .get(header::CONTENT_ENCODING)
        .is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    is_plain
        && ["text/event-stream", "application/x-ndjson"]
            .iter()
            .any(|streamed| media_type.eq_ignore_ascii_case(streamed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_type: &'static str, encoding: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        headers.extend(encoding.map(|encoding| (header::CONTENT_ENCODING, encoding.parse().unwrap())));
        headers
    }

    #[test]
    fn stream_is_known_by_its_media_type_in_any_case_and_with_parameters() {
        for streamed in [
            "text/event-stream",
            "Text/Event-Stream ; charset=utf-8",
            "APPLICATION/x-ndjson;a=b",
        ] {
            assert!(is_streamed(&headers(streamed, None)), "{streamed}");
            assert!(is_streamed(&headers(streamed, Some("Identity"))), "{streamed}");
        }
        for whole in [
            "application/json",
            "text/event-streams",
            "application/json; x=text/event-stream",
            "",
        ] {
            assert!(!is_streamed(&headers(whole, None)), "{whole}");
        }
        assert!(!is_streamed(&HeaderMap::new()));
    }

    #[test]
    fn compressed_stream_is_no_stream_of_lines() {
        assert!(!is_streamed(&headers("text/event-stream", Some("gzip"))));
    }
}
