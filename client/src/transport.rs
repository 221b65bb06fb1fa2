//! To the relayer and back: HTTP/1.1, or HTTP/2 without negotiation, over TCP or TLS.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;

use crate::{RelayError, RpcType};

/// Bytes of a refusal's body that are kept.
const REFUSAL_BYTES: usize = 512;

/// The body of a relayer's answer with status 200, nothing believed yet.
#[derive(Clone, Debug)]
pub struct ReceivedAnswer {
    /// An encoded `RelayResponse`, if the relayer is honest.
    pub bytes: Bytes,
    /// When all of it was there.
    pub at: Instant,
}

pub(crate) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    timeout: Duration,
    max_answer_bytes: usize,
}

impl Transport {
    /// `uri` is where relays are posted to.
    pub fn new(uri: Uri, http2: bool, timeout: Duration, max_answer_bytes: usize) -> io::Result<Self> {
        let connector = connector(uri.scheme_str() == Some("https"), http2)?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .http2_only(http2)
            .build(connector);
        Ok(Self {
            client,
            uri,
            timeout,
            max_answer_bytes,
        })
    }

    /// Posts an encoded `RelayRequest` (spec `relay.md` §5.4).
    pub async fn post(&self, body: Bytes, rpc_type: RpcType) -> Result<ReceivedAnswer, RelayError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert("rpc-type", HeaderValue::from_static(rpc_type.header_value()));
        tokio::time::timeout(self.timeout, self.exchange(request))
            .await
            .map_err(|_| RelayError::Timeout)?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<ReceivedAnswer, RelayError> {
        let answer = self.client.request(request).await.map_err(|error| broken(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), self.max_answer_bytes);
        let bytes = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(RelayError::TooLong(self.max_answer_bytes)),
            Err(error) => return Err(broken(error.as_ref())),
        };
        if status != StatusCode::OK {
            return Err(RelayError::Refused {
                status: status.as_u16(),
                body: String::from_utf8_lossy(&bytes[..bytes.len().min(REFUSAL_BYTES)]).into_owned(),
            });
        }
        Ok(ReceivedAnswer {
            bytes,
            at: Instant::now(),
        })
    }
}

/// The system's root certificates are read only for `https`.
fn connector(tls: bool, http2: bool) -> io::Result<HttpsConnector<HttpConnector>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the cipher suites of both versions");
    let config = if tls {
        config.with_native_roots()?.with_no_client_auth()
    } else {
        config
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    };
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
    Ok(if http2 {
        builder.enable_http2().wrap_connector(tcp)
    } else {
        builder.enable_http1().wrap_connector(tcp)
    })
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
