//! Whether the backends of a configuration can be reached, for those who try it before relays come.

use std::error::Error;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use http::StatusCode;
use pocket_config::{
    BackendConfig, BackendEndpoint, BackendHealthCheck, HealthCheckKind, RelayerConfig, RpcType, ServiceConfig,
};
use pocket_protocol::ServiceId;
use tower_service::Service as _;

use super::probe::{Probe, ProbeError};
use crate::backend::http_url;
use crate::connector::{Connector, Versions};
use crate::headers::BackendHeaders;
use crate::target::Target;

/// Servers that are asked at a time.
const AT_A_TIME: usize = 16;
/// How long an answer may take where nobody configured a probe.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What came of asking a backend's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The service that it serves.
    pub service: ServiceId,
    /// The type of its relays.
    pub kind: RpcType,
    /// Its scheme, host and port: the rest of its URL may be a secret.
    pub address: String,
    /// How it answered.
    pub reach: Reach,
}

/// How a server answered. The texts go on after its address, as in `… cannot be reached: connection refused`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// As it should.
    Well,
    /// It is there, but relays would likely fail.
    Poorly(String),
    /// It is not there, or does not speak what its type needs.
    Not(String),
}

/// Asks every server of every backend once: by its probe where one is enabled, else whether it speaks at all.
pub async fn reach_backends(config: &RelayerConfig) -> Vec<Reached> {
    let mut asked = Vec::new();
    for (id, service) in &config.services {
        for (kind, backend) in &service.backends {
            for endpoint in &backend.endpoints {
                asked.push(async move {
                    Reached {
                        service: id.clone(),
                        kind: *kind,
                        address: address(endpoint),
                        reach: reach(config, service, *kind, backend, endpoint).await,
                    }
                });
            }
        }
    }
    stream::iter(asked).buffered(AT_A_TIME).collect().await
}

fn address(endpoint: &BackendEndpoint) -> String {
    let url = &endpoint.url;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

async fn reach(
    config: &RelayerConfig,
    service: &ServiceConfig,
    kind: RpcType,
    backend: &BackendConfig,
    endpoint: &BackendEndpoint,
) -> Reach {
    if let Err(reason) = connect(config, service, kind, endpoint).await {
        return Reach::Not(format!("cannot be reached: {reason}"));
    }
    let configured = backend.health_check.as_ref().filter(|check| check.enabled);
    let plain = plain_check(kind);
    let check = configured.unwrap_or(&plain);
    let probe = BackendHeaders::new(backend)
        .and_then(|common| Probe::new(kind, endpoint, check, backend, &common, service, &config.http_transport));
    match probe {
        Ok(probe) => judge(kind, configured.is_some(), probe.ask().await),
        Err(error) => Reach::Not(format!("cannot be asked: {error}")),
    }
}

/// Opens a connection, with TLS where the URL says so, and drops it.
async fn connect(
    config: &RelayerConfig,
    service: &ServiceConfig,
    kind: RpcType,
    endpoint: &BackendEndpoint,
) -> Result<(), String> {
    let url = http_url(endpoint.url.as_str());
    let target = Target::parse(&url, None).map_err(|error| error.to_string())?;
    let versions = match kind {
        RpcType::Grpc => Versions::Http2,
        RpcType::WebSocket => Versions::Http1,
        RpcType::JsonRpc | RpcType::Rest | RpcType::CometBft => Versions::All,
    };
    let connector = Connector::new(
        &service.timeouts,
        &config.http_transport,
        target.is_https(),
        versions,
        None,
    );
    let mut connector = connector.map_err(|error| format!("root certificates cannot be read: {error}"))?;
    connector
        .call(target.address())
        .await
        .map_err(|error| in_full(&*error))?;
    Ok(())
}

/// An error and what is under it: the outermost one seldom tells the reason.
fn in_full(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// A probe to which any answer is a good one.
fn plain_check(kind: RpcType) -> BackendHealthCheck {
    BackendHealthCheck {
        enabled: true,
        kind: Some(match kind {
            RpcType::WebSocket => HealthCheckKind::WebSocket,
            RpcType::Grpc => HealthCheckKind::Grpc,
            RpcType::JsonRpc | RpcType::Rest | RpcType::CometBft => HealthCheckKind::Http,
        }),
        endpoint: None,
        interval: TIMEOUT,
        timeout: TIMEOUT,
        unhealthy_threshold: None,
        healthy_threshold: 1,
        method: "GET".to_owned(),
        request_body: None,
        content_type: None,
        expected_body: None,
        expected_status: Vec::new(),
        headers: std::collections::BTreeMap::new(),
        rpc_method: None,
        rpc_params: None,
        expected_result: None,
        grpc_service: None,
    }
}

fn judge(kind: RpcType, is_configured: bool, answer: Result<(), ProbeError>) -> Reach {
    match answer {
        Err(ProbeError::Timeout) => Reach::Poorly("takes connections, but does not answer in time".to_owned()),
        Err(ProbeError::Unreachable) => {
            Reach::Not("takes connections, but does not speak its type's protocol".to_owned())
        }
        Err(error) if is_configured => Reach::Poorly(format!("fails its health_check: {error}")),
        Err(ProbeError::Status(status)) if kind == RpcType::WebSocket => {
            Reach::Not(format!("does not open a WebSocket: status {status}"))
        }
        Err(ProbeError::Status(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))) => {
            Reach::Poorly(format!("refuses us: status {status}"))
        }
        Err(ProbeError::Status(status)) if status.is_server_error() => {
            Reach::Poorly(format!("answers with status {status}"))
        }
        // Another path, method or service would do; this one says that somebody is there who speaks the protocol.
        Ok(()) | Err(ProbeError::Status(_) | ProbeError::Unexpected) => Reach::Well,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_of_any_kind_says_that_a_server_is_there() {
        let status = |code: StatusCode| Err(ProbeError::Status(code));
        assert_eq!(
            judge(RpcType::JsonRpc, false, status(StatusCode::METHOD_NOT_ALLOWED)),
            Reach::Well
        );
        assert_eq!(judge(RpcType::Grpc, false, Err(ProbeError::Unexpected)), Reach::Well);
        for (kind, code) in [
            (RpcType::Rest, StatusCode::UNAUTHORIZED),
            (RpcType::Rest, StatusCode::BAD_GATEWAY),
        ] {
            assert!(matches!(judge(kind, false, status(code)), Reach::Poorly(_)), "{code}");
        }
        let no_socket = judge(RpcType::WebSocket, false, status(StatusCode::NOT_FOUND));
        assert!(matches!(no_socket, Reach::Not(_)));
    }

    #[test]
    fn probe_that_was_configured_is_the_judge() {
        let failed = judge(RpcType::JsonRpc, true, Err(ProbeError::Unexpected));
        assert_eq!(
            failed,
            Reach::Poorly("fails its health_check: not the expected answer".to_owned())
        );
    }
}
