//! To the relayer and back: HTTP/1.1, or HTTP/2 without negotiation, over TCP or TLS; and what travels on it.

mod grpc;
mod handshake;
mod pieces;
mod socket;
mod sockets;
mod tls;

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::error::Elapsed;
use tokio::time::{Instant as Deadline, timeout_at};

use crate::{Mode, RelayError, SignedRelay};
use pieces::Pieces;
use sockets::Sockets;

/// Bytes of a refusal's body that are kept.
const REFUSAL_BYTES: usize = 512;

/// What a relayer answered, nothing believed yet: encoded `RelayResponse`s, if the relayer is honest.
#[derive(Clone, Debug)]
pub struct ReceivedAnswer {
    /// One; of a stream its batches, over a WebSocket the messages that were waited for.
    pub pieces: Vec<Bytes>,
    /// When the first of them was there.
    pub first_at: Instant,
    /// When all of it was there.
    pub at: Instant,
    /// Why there is no more of it, although more was due.
    pub cut_off: Option<RelayError>,
}

impl ReceivedAnswer {
    fn whole(bytes: Bytes) -> Self {
        let at = Instant::now();
        Self {
            pieces: vec![bytes],
            first_at: at,
            at,
            cut_off: None,
        }
    }

    /// Bytes of all pieces.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

pub(crate) struct Transport {
    /// As the options want it.
    http: HttpClient,
    /// HTTP/2 with prior knowledge, for gRPC.
    calls: HttpClient,
    sockets: Sockets,
    uri: Uri,
    timeout: Duration,
    max_answer_bytes: usize,
}

impl Transport {
    /// `uri` is where relays are posted to.
    pub fn new(uri: Uri, http2: bool, timeout: Duration, max_answer_bytes: usize) -> io::Result<Self> {
        let tls = tls::config(uri.scheme_str() == Some("https"))?;
        let client = |http2| {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .http2_only(http2)
                .build(tls::connector(tls.clone(), http2))
        };
        Ok(Self {
            http: client(http2),
            calls: client(true),
            sockets: Sockets::new(client(false), uri.clone(), max_answer_bytes),
            uri,
            timeout,
            max_answer_bytes,
        })
    }

    /// Sends the relay by what its mode travels on.
    pub async fn send(&self, relay: &SignedRelay) -> Result<ReceivedAnswer, RelayError> {
        let deadline = Deadline::now() + self.timeout;
        match relay.mode() {
            Mode::WebSocket => self.sockets.ask(relay, deadline).await,
            Mode::Grpc => timeout_at(deadline, self.call(relay)).await?,
            _ => self.post(relay, deadline).await,
        }
    }

    /// Says goodbye on sockets that are still open.
    pub async fn close(&self) {
        self.sockets.close().await;
    }

    /// Posts an encoded `RelayRequest` (spec `relay.md` §5.4).
    async fn post(&self, relay: &SignedRelay, deadline: Deadline) -> Result<ReceivedAnswer, RelayError> {
        let mut request = Request::new(Full::new(relay.bytes.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert("rpc-type", HeaderValue::from_static(relay.mode().header_value()));
        let answer = timeout_at(deadline, self.http.request(request))
            .await?
            .map_err(|error| broken(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(timeout_at(deadline, refused(answer.status(), answer.into_body())).await?);
        }
        if pieces::is_streamed(answer.headers()) {
            return Pieces::default()
                .read(answer.into_body(), self.max_answer_bytes, deadline)
                .await;
        }
        let body = timeout_at(deadline, self.collect(answer.into_body())).await??;
        Ok(ReceivedAnswer::whole(body))
    }

    async fn collect(&self, body: Incoming) -> Result<Bytes, RelayError> {
        match Limited::new(body, self.max_answer_bytes).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(RelayError::TooLong(self.max_answer_bytes)),
            Err(error) => Err(broken(error.as_ref())),
        }
    }
}

/// What a relayer says instead of an answer.
async fn refused(status: StatusCode, mut body: Incoming) -> RelayError {
    let mut text = Vec::new();
    while text.len() < REFUSAL_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        text.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    text.truncate(REFUSAL_BYTES);
    RelayError::Refused {
        status: status.as_u16(),
        body: String::from_utf8_lossy(&text).into_owned(),
    }
}

impl From<Elapsed> for RelayError {
    fn from(_: Elapsed) -> Self {
        Self::Timeout
    }
}

/// An error and all under it: the topmost alone says too little.
fn broken(error: &(dyn std::error::Error + 'static)) -> RelayError {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    RelayError::Connection(text)
}

#[cfg(test)]
mod tests;
