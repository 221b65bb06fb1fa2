//! Asking an endpoint whether it is well (spec `relay.md` §8).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pocket_config::{
    BackendConfig, BackendEndpoint, BackendHealthCheck, HealthCheckKind, HttpTransportConfig, RpcType, ServiceConfig,
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use super::probe_grpc;
use crate::backend::{BackendError, http_url};
use crate::body;
use crate::connector::{Connector, Versions};
use crate::headers::BackendHeaders;
use crate::target::{Target, TargetError};

/// What a probe's answer may have, in bytes.
const ANSWER_BYTES: usize = 1 << 20;

/// One endpoint's probe, with connections of its own.
#[derive(Debug)]
pub(crate) struct Probe {
    client: Client<Connector, Full<Bytes>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    expected: Expected,
    timeout: Duration,
    pub(super) interval: Duration,
    /// In a row, to take the endpoint out.
    pub(super) failures: u32,
    /// In a row, to take it back.
    pub(super) successes: u32,
}

/// What a good answer is.
#[derive(Debug)]
enum Expected {
    Http {
        statuses: Vec<u16>,
        part: Option<String>,
    },
    /// A JSON-RPC result, this one if given.
    Result(Option<Value>),
    Serving,
    Upgrade,
}

/// Why a probe failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("no answer in time")]
    Timeout,
    #[error("not reached")]
    Unreachable,
    #[error("status {0}")]
    Status(StatusCode),
    #[error("not the expected answer")]
    Unexpected,
}

impl Probe {
    pub fn new(
        kind: RpcType,
        endpoint: &BackendEndpoint,
        check: &BackendHealthCheck,
        config: &BackendConfig,
        common: &BackendHeaders,
        service: &ServiceConfig,
        transport: &HttpTransportConfig,
    ) -> Result<Self, BackendError> {
        let way = check.kind.unwrap_or(match kind {
            RpcType::WebSocket => HealthCheckKind::WebSocket,
            RpcType::Grpc => HealthCheckKind::Grpc,
            RpcType::JsonRpc | RpcType::Rest | RpcType::CometBft => HealthCheckKind::Http,
        });
        let url = http_url(endpoint.url.as_str());
        let target = Target::parse(&url, config.base_path.as_deref())?;
        let path = match (way, check.endpoint.as_deref()) {
            (HealthCheckKind::Grpc, _) => probe_grpc::PATH,
            (_, path) => path.unwrap_or_default(),
        };
        let unusable = |_| TargetError::Malformed(path.to_owned());
        let uri = match way {
            HealthCheckKind::WebSocket if path.is_empty() => target.address(),
            _ => target.join(path).map_err(unusable)?,
        };
        let mut headers = HeaderMap::new();
        let (method, body, content_type) = question(way, check);
        if let Some(content_type) = content_type.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        common.put_on(&mut headers);
        for (name, value) in &check.headers {
            let wrong = || BackendError::Header(name.as_str().to_owned());
            let name: HeaderName = name.as_str().parse().map_err(|_| wrong())?;
            headers.insert(name, HeaderValue::from_str(value.expose()).map_err(|_| wrong())?);
        }
        let versions = match way {
            HealthCheckKind::Http | HealthCheckKind::JsonRpc => Versions::All,
            HealthCheckKind::Grpc => {
                headers.insert(header::TE, HeaderValue::from_static("trailers"));
                Versions::Http2
            }
            HealthCheckKind::WebSocket => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                let key = HeaderValue::try_from(generate_key()).expect("a key is base64");
                headers.insert(header::SEC_WEBSOCKET_KEY, key);
                Versions::Http1
            }
        };
        let connector = Connector::new(&service.timeouts, transport, target.is_https(), versions, None)?;
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_max_idle_per_host(1)
            .http2_only(versions == Versions::Http2)
            .build(connector);
        Ok(Self {
            client,
            method: method.map_err(|_| TargetError::Malformed(check.method.clone()))?,
            uri,
            headers,
            body,
            expected: expected(way, check),
            timeout: check.timeout,
            interval: check.interval,
            failures: check.unhealthy_threshold.unwrap_or(3),
            successes: check.healthy_threshold,
        })
    }

    /// Asks once.
    pub async fn ask(&self) -> Result<(), ProbeError> {
        match tokio::time::timeout(self.timeout, self.exchange()).await {
            Ok(answered) => answered,
            Err(_) => Err(ProbeError::Timeout),
        }
    }

    async fn exchange(&self) -> Result<(), ProbeError> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let response = self
            .client
            .request(request)
            .await
            .map_err(|_| ProbeError::Unreachable)?;
        let (head, incoming) = response.into_parts();
        if matches!(self.expected, Expected::Upgrade) {
            // Dropping it closes the socket.
            let is_open = head.status == StatusCode::SWITCHING_PROTOCOLS;
            return is_open.then_some(()).ok_or(ProbeError::Status(head.status));
        }
        let collected = body::collect_with_trailers(incoming, ANSWER_BYTES).await;
        let (body, _) = collected.map_err(|_| ProbeError::Unreachable)?;
        self.expected.judge(head.status, &body)
    }
}

impl Expected {
    fn judge(&self, status: StatusCode, body: &[u8]) -> Result<(), ProbeError> {
        let statuses: &[u16] = match self {
            Self::Http { statuses, .. } => statuses,
            _ => &[],
        };
        let is_expected = if statuses.is_empty() {
            status.is_success()
        } else {
            statuses.contains(&status.as_u16())
        };
        if !is_expected {
            return Err(ProbeError::Status(status));
        }
        let is_good = match self {
            Self::Http { part, .. } => part.as_ref().is_none_or(|part| contains(body, part.as_bytes())),
            Self::Result(expected) => {
                let answer: Value = serde_json::from_slice(body).unwrap_or_default();
                let has_error = answer.get("error").is_some_and(|error| !error.is_null());
                match answer.get("result").filter(|_| !has_error) {
                    Some(result) => expected.as_ref().is_none_or(|expected| expected == result),
                    None => false,
                }
            }
            Self::Serving => probe_grpc::is_serving(body),
            Self::Upgrade => true,
        };
        is_good.then_some(()).ok_or(ProbeError::Unexpected)
    }
}

type Question = (Result<Method, http::method::InvalidMethod>, Bytes, Option<String>);

fn question(way: HealthCheckKind, check: &BackendHealthCheck) -> Question {
    match way {
        HealthCheckKind::Http => {
            let text = check.request_body.clone().unwrap_or_default();
            let is_json = text.trim_start().starts_with(['{', '[']);
            let content_type = check.content_type.clone();
            let content_type = content_type.or_else(|| is_json.then(|| "application/json".to_owned()));
            (Method::from_bytes(check.method.as_bytes()), text.into(), content_type)
        }
        HealthCheckKind::JsonRpc => {
            let method = check.rpc_method.as_deref().unwrap_or_default();
            let params = check.rpc_params.as_deref().map_or(json!([]), as_json);
            let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
            (
                Ok(Method::POST),
                question.to_string().into(),
                Some("application/json".to_owned()),
            )
        }
        HealthCheckKind::Grpc => {
            let service = check.grpc_service.as_deref().unwrap_or_default();
            let content_type = Some("application/grpc".to_owned());
            (Ok(Method::POST), probe_grpc::question(service), content_type)
        }
        HealthCheckKind::WebSocket => (Ok(Method::GET), Bytes::new(), None),
    }
}

fn expected(way: HealthCheckKind, check: &BackendHealthCheck) -> Expected {
    match way {
        HealthCheckKind::Http => Expected::Http {
            statuses: check.expected_status.clone(),
            part: check.expected_body.clone(),
        },
        HealthCheckKind::JsonRpc => Expected::Result(check.expected_result.as_deref().map(as_json)),
        HealthCheckKind::Grpc => Expected::Serving,
        HealthCheckKind::WebSocket => Expected::Upgrade,
    }
}

/// A value as JSON; what is not JSON is a text.
fn as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    part.is_empty() || body.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_rpc_result_is_compared_as_a_value() {
        let judge = |expected: Option<&str>, body: &str| {
            let expected = Expected::Result(expected.map(as_json));
            expected.judge(StatusCode::OK, body.as_bytes()).is_ok()
        };
        assert!(judge(Some("false"), r#"{"id":1, "result": false}"#));
        assert!(judge(Some("0x1"), r#"{"result":"0x1"}"#));
        assert!(judge(
            Some(r#"{"a":1,"b":2}"#),
            r#"{"result":{"b":2,"a":1},"error":null}"#
        ));
        assert!(judge(None, r#"{"result":null}"#));
        assert!(!judge(Some("false"), r#"{"result":{"currentBlock":"0x1"}}"#));
        assert!(!judge(None, r#"{"error":{"code":-32601}}"#));
        assert!(!judge(None, "not json"));
    }

    #[test]
    fn http_answer_needs_status_and_part() {
        let judge = |statuses: &[u16], part: Option<&str>, status: u16, body: &str| {
            let expected = Expected::Http {
                statuses: statuses.to_vec(),
                part: part.map(str::to_owned),
            };
            expected.judge(StatusCode::from_u16(status).unwrap(), body.as_bytes())
        };
        assert_eq!(judge(&[], None, 204, ""), Ok(()));
        assert_eq!(
            judge(&[], None, 301, ""),
            Err(ProbeError::Status(StatusCode::MOVED_PERMANENTLY))
        );
        assert_eq!(judge(&[404], None, 404, ""), Ok(()));
        assert_eq!(judge(&[404], None, 200, ""), Err(ProbeError::Status(StatusCode::OK)));
        assert_eq!(judge(&[], Some("well"), 200, "all is well"), Ok(()));
        assert_eq!(judge(&[], Some("well"), 200, "ill"), Err(ProbeError::Unexpected));
    }
}
