//! The services that are served, as a relay needs them: everything looked up and parsed beforehand.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderValue;
use pocket_config::{RelayerConfig, RpcType, ValidationMode};
use pocket_protocol::ServiceId;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::backend::BackendError;
use crate::metrics::{Metrics, RelayMetrics};
use crate::overload::{Load, Place};
use crate::pool::{self, Backends};
use crate::refusal::{Refusal, Unavailable};
use crate::rpc_type;

/// One service.
#[derive(Debug)]
pub(crate) struct Service {
    pub id: ServiceId,
    /// The id as a header, shared by all relays.
    pub id_header: HeaderValue,
    pub mode: ValidationMode,
    /// Largest request, in bytes.
    pub body_limit: usize,
    pub default_type: RpcType,
    /// Its relays that are worked on.
    load: Arc<Load>,
    /// Types that stand in for others, first choice first.
    fallbacks: Vec<RpcType>,
    routes: [Option<Route>; rpc_type::ALL.len()],
}

/// Where relays of one service and type go, and what they are counted with.
#[derive(Debug)]
pub(crate) struct Route {
    pub kind: RpcType,
    pub backends: Backends,
    pub metrics: RelayMetrics,
}

impl Service {
    /// The route of a type; there is no falling back on another.
    pub fn route(&self, kind: RpcType) -> Option<&Route> {
        self.routes[rpc_type::index(kind)].as_ref()
    }

    /// A place for one relay among those that are worked on.
    pub fn enter(&self) -> Result<Place, Refusal> {
        self.load.enter().ok_or_else(|| Refusal::Unavailable {
            service: self.id.as_str().to_owned(),
            reason: Unavailable::Overloaded,
        })
    }

    /// The type whose backend serves relays of a type now: its own where that has an endpoint to ask, else the first
    /// fallback that has. Only requests fall back, not sockets and calls.
    pub fn served_as(&self, kind: RpcType) -> RpcType {
        let is_available = |kind| {
            self.route(kind)
                .is_some_and(|route| route.backends.pool().is_available())
        };
        if self.fallbacks.is_empty() || matches!(kind, RpcType::WebSocket | RpcType::Grpc) || is_available(kind) {
            return kind;
        }
        let mut others = self.fallbacks.iter().copied();
        others.find(|other| is_available(*other)).unwrap_or(kind)
    }

    /// Its relays that are worked on.
    pub fn load(&self) -> &Load {
        &self.load
    }

    /// The types that have one.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().flatten()
    }
}

/// All services, by id.
#[derive(Debug)]
pub(crate) struct Services {
    by_id: HashMap<ServiceId, Arc<Service>>,
    /// Largest request that any service takes, in bytes.
    pub body_limit: usize,
    /// The relays of all services that are worked on.
    pub load: Arc<Load>,
}

/// A service whose backend cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("services.{service}.backends.{kind}: {source}")]
pub struct ServiceError {
    service: ServiceId,
    kind: &'static str,
    source: BackendError,
}

impl Services {
    /// Prepares every service of the configuration. Backends are not asked whether they are there.
    pub fn new(config: &RelayerConfig, metrics: &Metrics) -> Result<Self, ServiceError> {
        let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let limits = config
            .services
            .values()
            .map(|service| bytes(service.max_body_size_bytes));
        let body_limit = limits.fold(bytes(config.default_max_body_size_bytes), usize::max);
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let load = Load::new(count(config.max_relays_in_flight));
        let mut by_id = HashMap::new();
        for (id, service) in &config.services {
            let mut routes = [const { None }; rpc_type::ALL.len()];
            for (&kind, backend) in &service.backends {
                let backends = Backends::new(id, kind, backend, service, config, body_limit, &metrics.pools);
                let backends = backends.map_err(|source| ServiceError {
                    service: id.clone(),
                    kind: kind.as_str(),
                    source,
                })?;
                let metrics = metrics.of(id.as_str(), kind, service.validation_mode);
                routes[rpc_type::index(kind)] = Some(Route {
                    kind,
                    backends,
                    metrics,
                });
            }
            let service = Service {
                id: id.clone(),
                id_header: HeaderValue::from_str(id.as_str()).expect("a service id is letters, digits, `-` and `_`"),
                mode: service.validation_mode,
                body_limit: bytes(service.max_body_size_bytes),
                default_type: service.default_backend,
                load: load.part(count(service.max_relays_in_flight)),
                fallbacks: service.fallback_backends.clone(),
                routes,
            };
            by_id.insert(id.clone(), Arc::new(service));
        }
        Ok(Self {
            by_id,
            body_limit,
            load,
        })
    }

    /// Watches all endpoints until `cancel`, in tasks that end with `tasks`.
    pub fn watch(&self, tasks: &mut JoinSet<()>, cancel: &CancellationToken) {
        for backends in self
            .by_id
            .values()
            .flat_map(|service| service.routes())
            .map(|route| &route.backends)
        {
            pool::watch_all(backends.pool(), backends.watched(), tasks, cancel);
            for index in 0..backends.pool().endpoints().len() {
                let (pool, cancel) = (backends.pool().clone(), cancel.clone());
                tasks.spawn(async move {
                    let warming = pool.endpoints()[index].connection.keep_warm();
                    cancel.run_until_cancelled(warming).await;
                });
            }
        }
    }

    /// Every service, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.by_id.values()
    }

    /// The service of an id from the wire.
    pub fn get(&self, id: &str) -> Option<&Arc<Service>> {
        self.by_id.get(id)
    }
}
