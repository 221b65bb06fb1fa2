//! The endpoints behind one RPC type of a service, and everything that relays to them share.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use hyper::upgrade::Upgraded;
use pocket_config::{BackendConfig, BackendEndpoint, OutlierEjection, RelayerConfig, RpcType, ServiceConfig};
use pocket_protocol::ServiceId;

use super::attempt::Repeating;
use super::probe::Probe;
use super::series::{PoolMetrics, PoolSeries};
use super::{HealthRules, Outcome, Pool, Tried};
use crate::backend::{Backend, BackendError};
use crate::headers::BackendHeaders;
use crate::refusal::{Refusal, Unavailable};

/// HTTP or WebSocket endpoints of one service and type.
#[derive(Debug)]
pub(crate) struct Backends {
    /// `service:type`, as logs and metrics have it.
    pub(super) name: Arc<str>,
    service: ServiceId,
    pub(super) pool: Arc<Pool<Backend>>,
    pub(super) repeating: Repeating,
    pub(super) request_timeout: Duration,
    pub(super) metrics: PoolMetrics,
    headers: BackendHeaders,
    max_connections_per_host: Option<u32>,
    watched: Watched,
}

/// What is needed to watch the endpoints of a pool.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// One for each endpoint, in their order; empty when they are not probed.
    pub(super) probes: Arc<[Probe]>,
    pub(super) outliers: Option<OutlierEjection>,
}

impl Backends {
    /// Prepares connections; none is opened.
    pub fn new(
        id: &ServiceId,
        kind: RpcType,
        config: &BackendConfig,
        service: &ServiceConfig,
        relayer: &RelayerConfig,
        answer_limit: usize,
        metrics: &PoolSeries,
    ) -> Result<Self, BackendError> {
        let transport = &relayer.http_transport;
        let name: Arc<str> = format!("{id}:{}", kind.as_str()).into();
        let headers = BackendHeaders::new(config)?;
        let names = endpoint_names(&config.endpoints);
        let connections = config.endpoints.iter().zip(names).map(|(endpoint, endpoint_name)| {
            let connection = metrics.connection(id.as_str());
            let backend = Backend::new(kind, endpoint, config, service, transport, answer_limit, connection)?;
            let counted = metrics.endpoint(&name, &endpoint_name);
            Ok((Arc::from(endpoint_name), backend, counted))
        });
        let connections = connections.collect::<Result<Vec<_>, BackendError>>()?;
        let probes = match &config.health_check {
            Some(check) if check.enabled => {
                let probes = config
                    .endpoints
                    .iter()
                    .map(|endpoint| Probe::new(kind, endpoint, check, config, &headers, service, transport));
                probes.collect::<Result<Vec<_>, BackendError>>()?
            }
            _ => Vec::new(),
        };
        let outliers = Some(&config.outlier_ejection).filter(|rule| rule.enabled && connections.len() > 1);
        let watched = Watched {
            probes: probes.into(),
            outliers: outliers.cloned(),
        };
        let rules = HealthRules {
            failures: config.circuit_breaker_threshold.max(1),
            recovery: config.recovery_timeout,
        };
        let max_connections_per_host = service.pool.max_connections_per_host;
        Ok(Self {
            pool: Arc::new(Pool::new(name.clone(), config.selection, rules, connections)),
            metrics: metrics.pool(id.as_str(), max_connections_per_host),
            name,
            service: id.clone(),
            repeating: Repeating {
                retries: config.max_retries,
                requests: config.retried_requests,
                hedge_after: config.hedge_after,
            },
            request_timeout: service.timeouts.request,
            headers,
            max_connections_per_host,
            watched,
        })
    }

    /// What goes on top of a relay's own headers.
    pub fn headers(&self) -> &BackendHeaders {
        &self.headers
    }

    /// The endpoints.
    pub fn pool(&self) -> &Arc<Pool<Backend>> {
        &self.pool
    }

    /// Connections that one of its hosts may have, for operators.
    pub fn max_connections_per_host(&self) -> Option<u32> {
        self.max_connections_per_host
    }

    /// How its endpoints are watched.
    pub fn watched(&self) -> &Watched {
        &self.watched
    }

    /// Refuses when no endpoint can take a relay now: before anything is spent on it.
    pub fn check_available(&self) -> Result<(), Refusal> {
        if self.pool.is_available() {
            Ok(())
        } else {
            Err(self.none_left())
        }
    }

    /// The refusal of a relay for which no endpoint is left.
    pub(super) fn none_left(&self) -> Refusal {
        self.metrics.fast_fails.inc();
        Refusal::Unavailable {
            service: self.service.as_str().to_owned(),
            reason: Unavailable::NoHealthyBackend,
        }
    }

    /// Opens a WebSocket to an endpoint; to another when that fails, as often as relays are retried.
    pub async fn open_socket(&self, mut headers: HeaderMap) -> Result<Upgraded, Refusal> {
        self.headers.put_on(&mut headers);
        let mut tried = Tried::default();
        let mut retries = self.repeating.retries;
        let mut picked = self.pool.pick(&tried).ok_or_else(|| self.none_left())?;
        loop {
            tried.add(&picked);
            let unanswered = match picked.endpoint().connection.open_socket(headers.clone()).await {
                Ok(socket) => {
                    picked.report(Outcome::Answered);
                    return Ok(socket);
                }
                Err(unanswered) => unanswered,
            };
            picked.report(unanswered.outcome);
            let next = (retries > 0 && unanswered.outcome == Outcome::Failed).then(|| self.pool.pick(&tried));
            picked = next.flatten().ok_or(unanswered.refusal)?;
            self.metrics.retries.inc();
            retries -= 1;
        }
    }
}

/// The operator's names for endpoints, or host and port of each, all different. A path may hold a key: it is left out.
pub(crate) fn endpoint_names(endpoints: &[BackendEndpoint]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(endpoints.len());
    for (index, endpoint) in endpoints.iter().enumerate() {
        let url = &endpoint.url;
        let mut name = endpoint.name.clone().unwrap_or_else(|| {
            let port = url.port_or_known_default().map(|port| format!(":{port}"));
            format!("{}{}", url.host_str().unwrap_or_default(), port.unwrap_or_default())
        });
        if names.contains(&name) {
            name = format!("{name}#{}", index + 1);
        }
        names.push(name);
    }
    names
}
