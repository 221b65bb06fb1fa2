//! GET requests to the RPC.

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tonic::Code;
use url::Url;

use crate::QueryError;
use crate::error::chain_of;

/// The longest answer that is read, in bytes: results of a block that settles many claims are long.
const LONGEST_ANSWER: usize = 128 << 20;

/// Words with which `CometBFT` says that it has no such block, or not yet, or not any more.
const ABSENT: [&str; 3] = [
    "must be less than or equal to",
    "is not available",
    "could not find results",
];

/// The RPC's client; connections are kept.
pub(crate) struct Comet {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    base: Url,
    timeout: Duration,
}

impl Comet {
    pub(crate) fn new(url: &str, timeout: Duration) -> Result<Self, QueryError> {
        let mut text = url.trim().trim_end_matches('/').to_owned();
        if let Some(host) = text.strip_prefix("tcp://") {
            text = format!("http://{host}");
        }
        let base = Url::parse(&text).map_err(|error| QueryError::Malformed(format!("{text}: {error}")))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(QueryError::Malformed(format!(
                "{text}: the RPC runs over http or https"
            )));
        }
        let connector = hyper_rustls::HttpsConnectorBuilder::new();
        // Plain HTTP needs no certificates, and a container without any must not fail for it.
        let connector = if base.scheme() == "https" {
            connector
                .with_native_roots()
                .map_err(|error| QueryError::Malformed(format!("the system's root certificates: {error}")))?
        } else {
            connector.with_tls_config(
                rustls::ClientConfig::builder()
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth(),
            )
        };
        Ok(Self {
            client: Client::builder(TokioExecutor::new())
                .pool_idle_timeout(Duration::from_mins(1))
                .build(connector.https_or_http().enable_http1().build()),
            base,
            timeout,
        })
    }

    /// The WebSocket's address.
    pub(crate) fn socket_url(&self) -> String {
        let address = self.base.as_str().trim_end_matches('/').replacen("http", "ws", 1);
        format!("{address}/websocket")
    }

    /// The `result` of one GET request; `path` with its query, without a leading slash.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, QueryError> {
        let uri: Uri = format!("{}/{path}", self.base.as_str().trim_end_matches('/'))
            .parse()
            .map_err(|error| QueryError::Malformed(format!("{path}: {error}")))?;
        let exchange = async {
            let response = self.client.get(uri).await.map_err(|error| down(path, &error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
            let body = body.map_err(|error| down(path, &*error))?.to_bytes();
            // A refusal is JSON with status 500; anything else that is no JSON comes from a proxy between.
            let parsed = serde_json::from_slice(&body);
            parsed.map_err(|_| QueryError::Unavailable(format!("{path}: status {status} without JSON")))
        };
        let mut answer: Value = tokio::time::timeout(self.timeout, exchange)
            .await
            .map_err(|_| QueryError::Unavailable(format!("{path}: no answer in time")))??;
        match answer.get("error").filter(|error| !error.is_null()) {
            Some(error) => Err(refusal(error)),
            None => Ok(answer.get_mut("result").map(Value::take).unwrap_or_default()),
        }
    }
}

fn down(path: &str, error: &(dyn std::error::Error + 'static)) -> QueryError {
    QueryError::Unavailable(format!("{path}: {}", chain_of(error)))
}

fn refusal(error: &Value) -> QueryError {
    let part = |key: &str| error[key].as_str().unwrap_or_default();
    let message = format!("{}: {}", part("message"), part("data"));
    if ABSENT.iter().any(|words| message.contains(words)) {
        QueryError::NotFound(message)
    } else {
        QueryError::Refused {
            code: Code::Internal,
            message,
        }
    }
}
