//! Asking a process for its status.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use pocket_status::Status;
use url::Url;

/// How long a process may take for its answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Largest answer that is read.
const MOST_BYTES: usize = 32 << 20;

/// Where a process tells its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

/// An address that cannot be asked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EndpointError {
    /// No URL.
    #[error("{0:?} is no address: write http://host:port, of the process' health or metrics port")]
    NoUrl(String),
    /// Another protocol.
    #[error("{0:?}: status ports speak plain HTTP, write http://")]
    NotHttp(String),
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let no_url = || EndpointError::NoUrl(text.to_owned());
        let whole = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let mut url = Url::parse(&whole).map_err(|_| no_url())?;
        if url.scheme() != "http" {
            return Err(EndpointError::NotHttp(text.to_owned()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(no_url());
        }
        if url.path() == "/" {
            url.set_path("/status");
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.host_str().unwrap_or_default())?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Asks processes; clones share connections.
#[derive(Clone, Debug)]
pub(crate) struct Asking(Client<HttpConnector, Empty<Bytes>>);

impl Default for Asking {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }
}

impl Asking {
    /// The status at an endpoint, or in words why there is none.
    pub async fn status(&self, endpoint: &Endpoint) -> Result<Status, String> {
        let late = |_| Err("no answer within three seconds".to_owned());
        tokio::time::timeout(PATIENCE, self.ask(endpoint))
            .await
            .unwrap_or_else(late)
    }

    async fn ask(&self, endpoint: &Endpoint) -> Result<Status, String> {
        let request = Request::get(endpoint.0.as_str())
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let answer = self.0.request(request).await.map_err(|error| innermost(&error))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!(
                "it answers {status}: is this a health or metrics port of relay-miner?"
            ));
        }
        let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| format!("what it tells is no status: {error}"))
    }
}

/// What lies behind an error: the outer ones only say that a request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_may_be_short() {
        let url = |text: &str| Endpoint::from_str(text).map(|endpoint| endpoint.0.to_string());
        assert_eq!(url("localhost:8081").unwrap(), "http://localhost:8081/status");
        assert_eq!(url("http://h:1/").unwrap(), "http://h:1/status");
        assert_eq!(url("http://h:1/behind/status").unwrap(), "http://h:1/behind/status");
        assert_eq!(url("https://h"), Err(EndpointError::NotHttp("https://h".into())));
        assert_eq!(url(""), Err(EndpointError::NoUrl(String::new())));
        assert_eq!(Endpoint::from_str("h:1").unwrap().to_string(), "h:1");
    }

    #[tokio::test]
    async fn process_that_is_away_is_told_as_such() {
        let endpoint = "127.0.0.1:1".parse().unwrap();
        let error = Asking::default().status(&endpoint).await.unwrap_err();
        assert!(error.contains("refused"), "{error}");
    }
}
