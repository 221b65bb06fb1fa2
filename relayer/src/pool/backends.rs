//! The endpoints behind one RPC type of a service, and everything that relays to them share.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use hyper::upgrade::Upgraded;
use pocket_config::{
    BackendConfig, BackendEndpoint, HttpTransportConfig, OutlierEjection, PoolProfile, RpcType, ServiceConfig,
    TimeoutProfile,
};
use pocket_protocol::ServiceId;
use url::Url;

use super::attempt::Repeating;
use super::probe::Probe;
use super::series::{PoolMetrics, PoolSeries};
use super::{Endpoint, HealthRules, Outcome, Pool, Tried};
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
    watched: Watched,
    config: BackendConfig,
    basis: Basis,
}

/// What connections are made by beside their endpoint. While it stays as it is, they are kept.
#[derive(Clone, Debug, PartialEq)]
struct Basis {
    base_path: Option<String>,
    timeouts: TimeoutProfile,
    pool: PoolProfile,
    transport: HttpTransportConfig,
    roots: Option<Arc<[u8]>>,
    answer_limit: usize,
}

/// What the backends of all services have in common.
#[derive(Debug)]
pub(crate) struct Common<'c> {
    pub transport: &'c HttpTransportConfig,
    /// What is in `http_transport.ca_file`.
    pub roots: Option<Arc<[u8]>>,
    /// Largest answer, in bytes.
    pub answer_limit: usize,
    pub series: &'c PoolSeries,
}

/// What is needed to watch the endpoints of a pool.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    /// One for each endpoint, in their order; empty when they are not probed.
    pub(super) probes: Arc<[Probe]>,
    pub(super) outliers: Option<OutlierEjection>,
}

impl Backends {
    /// Prepares connections; none is opened. What `old` has for the same settings is taken over: all of it, or its
    /// connections, or what is known of its servers. Until [`Self::begin`] nothing of `old` changes.
    pub fn new(
        old: Option<&Arc<Self>>,
        id: &ServiceId,
        kind: RpcType,
        config: &BackendConfig,
        service: &ServiceConfig,
        common: &Common<'_>,
    ) -> Result<Arc<Self>, BackendError> {
        let basis = Basis {
            base_path: config.base_path.clone(),
            timeouts: service.timeouts.clone(),
            pool: service.pool.clone(),
            transport: common.transport.clone(),
            roots: common.roots.clone(),
            answer_limit: common.answer_limit,
        };
        if let Some(old) = old.filter(|old| old.config == *config && old.basis == basis) {
            return Ok(old.clone());
        }
        let name: Arc<str> = format!("{id}:{}", kind.as_str()).into();
        let headers = BackendHeaders::new(config)?;
        let rules = rules(config);
        let endpoints = config.endpoints.iter().zip(endpoint_names(&config.endpoints));
        let endpoints = endpoints.map(|(endpoint, endpoint_name)| {
            let counted = common.series.endpoint(&name, &endpoint_name);
            let known = old.and_then(|old| old.known(&endpoint.url));
            let connection = match (known, old) {
                (Some(known), Some(old)) if old.basis == basis => known.connection.clone(),
                _ => {
                    let dialled = common.series.connection(id.as_str());
                    let transport = common.transport;
                    let limit = common.answer_limit;
                    Arc::new(Backend::new(
                        kind, endpoint, config, service, transport, limit, dialled,
                    )?)
                }
            };
            let endpoint_name = Arc::from(endpoint_name);
            Ok(match known {
                Some(known) => known.renewed(endpoint_name, connection, counted),
                None => Endpoint::new(endpoint_name, connection, counted, rules),
            })
        });
        let endpoints = endpoints.collect::<Result<Vec<_>, BackendError>>()?;
        let probes = match &config.health_check {
            Some(check) if check.enabled => {
                let probes = config
                    .endpoints
                    .iter()
                    .map(|endpoint| Probe::new(kind, endpoint, check, config, &headers, service, common.transport));
                probes.collect::<Result<Vec<_>, BackendError>>()?
            }
            _ => Vec::new(),
        };
        let outliers = Some(&config.outlier_ejection).filter(|rule| rule.enabled && endpoints.len() > 1);
        let watched = Watched {
            probes: probes.into(),
            outliers: outliers.cloned(),
        };
        let old_pool = old.map(|old| &*old.pool);
        Ok(Arc::new(Self {
            pool: Arc::new(Pool::new(name.clone(), config.selection, old_pool, endpoints)),
            metrics: common.series.pool(id.as_str(), service.pool.max_connections_per_host),
            name,
            service: id.clone(),
            repeating: Repeating {
                retries: config.max_retries,
                requests: config.retried_requests,
                hedge_after: config.hedge_after,
            },
            request_timeout: service.timeouts.request,
            headers,
            watched,
            config: config.clone(),
            basis,
        }))
    }

    /// Puts them to use, in place of those that they were made from.
    pub fn begin(&self) {
        let (probes, outliers) = (&self.watched.probes, &self.watched.outliers);
        self.pool
            .begin(rules(&self.config), !probes.is_empty(), outliers.is_some());
        self.metrics.begin();
    }

    /// The endpoint at an address.
    fn known(&self, url: &Url) -> Option<&Endpoint<Backend>> {
        let position = self.config.endpoints.iter().position(|endpoint| endpoint.url == *url)?;
        self.pool.endpoints().get(position)
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
        self.basis.pool.max_connections_per_host
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

fn rules(config: &BackendConfig) -> HealthRules {
    HealthRules {
        failures: config.circuit_breaker_threshold.max(1),
        recovery: config.recovery_timeout,
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
