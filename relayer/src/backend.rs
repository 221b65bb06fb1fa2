//! Forwarding a relay to the operator's node.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::Upgraded;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use pocket_config::{BackendConfig, HttpTransportConfig, RpcType, ServiceConfig};

use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::body::{self, BodyError};
use crate::headers::BackendHeaders;
use crate::refusal::Refusal;
use crate::target::{Target, TargetError};
use crate::tls::Versions;
use crate::{compression, tls};

/// How long a connection to a gRPC backend may leave bytes unconfirmed.
const PEER_GONE: Duration = Duration::from_secs(20);

/// One backend of a service: a server, the connections to it, and what is added to every request.
#[derive(Debug)]
pub(crate) struct Backend {
    target: Target,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    headers: BackendHeaders,
    request_timeout: Duration,
    header_timeout: Duration,
    dial_timeout: Duration,
    answer_limit: usize,
    is_grpc: bool,
}

/// The inner request of a relay, ready to go.
#[derive(Debug)]
pub(crate) struct Forward {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether the client can be given a stream.
    pub may_stream: bool,
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
    pub deadline: tokio::time::Instant,
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
    /// A backend without connections yet. Of several endpoints the first is taken.
    pub fn new(
        kind: RpcType,
        config: &BackendConfig,
        service: &ServiceConfig,
        transport: &HttpTransportConfig,
        answer_limit: usize,
    ) -> Result<Self, BackendError> {
        let endpoint = &config.endpoints[0];
        let url = http_url(kind, endpoint.url.as_str());
        let base_path = config.base_path.as_deref();
        let (target, versions) = match kind {
            // A WebSocket begins as a request of HTTP/1.1.
            RpcType::WebSocket => (Target::parse(&url, None)?, Versions::Http1),
            RpcType::Grpc => (Target::parse(&url, base_path)?, Versions::Http2),
            RpcType::JsonRpc | RpcType::Rest | RpcType::CometBft => (Target::parse(&url, base_path)?, Versions::All),
        };
        let is_grpc = kind == RpcType::Grpc;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(transport.tcp_keep_alive);
        tcp.set_connect_timeout(Some(service.timeouts.dial));
        if is_grpc {
            // All calls share a connection. One whose peer is gone must not take them down for the minutes that TCP
            // would wait by itself; pings of HTTP/2 would do, but gRPC servers hang up on those who ping.
            tcp.set_tcp_user_timeout(Some(PEER_GONE));
        }
        let connector = tls::connector(tcp, target.is_https(), versions)?;
        let client = Client::builder(hyper_util::rt::TokioExecutor::new())
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .timer(hyper_util::rt::TokioTimer::new())
            .pool_idle_timeout(service.pool.idle_connection_timeout)
            .pool_max_idle_per_host(service.pool.max_idle_connections_per_host as usize)
            .http2_only(is_grpc)
            .build(connector);
        let request_timeout = service.timeouts.request;
        Ok(Self {
            target,
            client,
            headers: BackendHeaders::new(config)?,
            dial_timeout: service.timeouts.dial,
            request_timeout,
            header_timeout: service
                .timeouts
                .response_header
                .unwrap_or(request_timeout)
                .min(request_timeout),
            answer_limit,
            is_grpc,
        })
    }

    /// Where relays for the inner URL go.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What goes on top of a relay's own headers.
    pub fn headers(&self) -> &BackendHeaders {
        &self.headers
    }

    /// Opens a WebSocket to the configured address.
    pub async fn open_socket(&self, mut headers: HeaderMap) -> Result<Upgraded, Refusal> {
        self.headers.put_on(&mut headers);
        let key = generate_key();
        let accept = derive_accept_key(key.as_bytes());
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let key = HeaderValue::try_from(key).map_err(|_| Refusal::BackendUnreachable)?;
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
            Ok(None) => Err(Refusal::BackendUnreachable),
            Err(_) => Err(Refusal::BackendTimeout),
        }
    }

    /// Asks the backend once, within the service's timeouts. A server error is a refusal with its status (spec
    /// `relay.md` §5.10): it is neither signed nor mined.
    pub async fn ask(&self, forward: Forward) -> Result<BackendReply, Refusal> {
        let deadline = tokio::time::Instant::now() + self.request_timeout;
        let may_stream = forward.may_stream;
        let mut request = Request::new(Full::new(forward.body));
        *request.method_mut() = forward.method;
        *request.uri_mut() = forward.uri;
        *request.headers_mut() = forward.headers;
        if self.is_grpc {
            speak_grpc(request.headers_mut());
        }
        let response = tokio::time::timeout(self.header_timeout, self.client.request(request))
            .await
            .map_err(|_| Refusal::BackendTimeout)?
            .map_err(|error| {
                tracing::debug!(%error, backend = self.target.origin(), "backend unreachable");
                Refusal::BackendUnreachable
            })?;
        let (head, incoming) = response.into_parts();
        if head.status.as_u16() >= 500 {
            return Err(Refusal::BackendStatus(head.status));
        }
        if may_stream && is_streamed(&head.headers) && !incoming.is_end_stream() {
            return Ok(BackendReply::Stream(BackendStream {
                status: head.status,
                headers: head.headers,
                body: incoming,
                deadline,
            }));
        }
        let collecting = body::collect_with_trailers(incoming, self.answer_limit);
        let (body, trailers) = tokio::time::timeout_at(deadline, collecting)
            .await
            .map_err(|_| Refusal::BackendTimeout)?
            .map_err(|error| match error {
                BodyError::TooLarge => Refusal::BackendAnswerTooLarge,
                BodyError::Broken => Refusal::BackendUnreachable,
            })?;
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
        compression::decode(&mut answer, self.answer_limit).await?;
        Ok(BackendReply::Whole(answer))
    }
}

/// A configured address as HTTP knows it.
fn http_url(kind: RpcType, url: &str) -> Cow<'_, str> {
    match (kind, url.split_once("://")) {
        (RpcType::WebSocket, Some(("ws", rest))) | (RpcType::Grpc, Some(("grpc", rest))) => {
            format!("http://{rest}").into()
        }
        (RpcType::WebSocket, Some(("wss", rest))) | (RpcType::Grpc, Some(("grpcs", rest))) => {
            format!("https://{rest}").into()
        }
        _ => url.into(),
    }
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
