//! The services that are served, as a relay needs them: everything looked up and parsed beforehand.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use http::HeaderValue;
use pocket_config::{RelayerConfig, RpcType, ValidationMode};
use pocket_protocol::ServiceId;

use crate::backend::BackendError;
use crate::metrics::{Metrics, RelayMetrics};
use crate::overload::{Load, Place};
use crate::pool::{Backends, Common, endpoint_names};
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
    /// Its relays that are worked on, and the configuration's limit.
    load: Arc<Load>,
    limit: usize,
    /// Types that stand in for others, first choice first.
    fallbacks: Vec<RpcType>,
    routes: [Option<Route>; rpc_type::ALL.len()],
}

/// Where relays of one service and type go, and what they are counted with.
#[derive(Debug)]
pub(crate) struct Route {
    pub kind: RpcType,
    pub backends: Arc<Backends>,
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
    /// The relays of all services that are worked on, and the configuration's limit.
    pub load: Arc<Load>,
    limit: usize,
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
    /// Prepares every service of the configuration. Backends are not asked whether they are there. What the services of
    /// `old` have for the same settings is taken over; they go on as they are until [`Self::begin`].
    pub fn new(old: Option<&Self>, config: &RelayerConfig, metrics: &Metrics) -> Result<Self, ServiceError> {
        let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let limits = config
            .services
            .values()
            .map(|service| bytes(service.max_body_size_bytes));
        let body_limit = limits.fold(bytes(config.default_max_body_size_bytes), usize::max);
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let limit = count(config.max_relays_in_flight);
        let load = old.map_or_else(|| Load::new(limit), |old| old.load.clone());
        let common = Common {
            transport: &config.http_transport,
            roots: roots(config),
            answer_limit: body_limit,
            series: &metrics.pools,
        };
        let mut by_id = HashMap::new();
        for (id, service) in &config.services {
            let before = old.and_then(|old| old.by_id.get(id));
            let mut routes = [const { None }; rpc_type::ALL.len()];
            for (&kind, backend) in &service.backends {
                let known = before
                    .and_then(|service| service.route(kind))
                    .map(|route| &route.backends);
                let backends = Backends::new(known, id, kind, backend, service, &common);
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
            let limit = count(service.max_relays_in_flight);
            let service = Service {
                id: id.clone(),
                id_header: HeaderValue::from_str(id.as_str()).expect("a service id is letters, digits, `-` and `_`"),
                mode: service.validation_mode,
                body_limit: bytes(service.max_body_size_bytes),
                default_type: service.default_backend,
                load: before.map_or_else(|| load.part(limit), |before| before.load.clone()),
                limit,
                fallbacks: service.fallback_backends.clone(),
                routes,
            };
            by_id.insert(id.clone(), Arc::new(service));
        }
        Ok(Self {
            by_id,
            body_limit,
            load,
            limit,
        })
    }

    /// Puts the services to use, in place of those that they were made from.
    pub fn begin(&self, old: Option<&Self>) {
        self.load.set_limit(self.limit);
        for service in self.by_id.values() {
            service.load.set_limit(service.limit);
        }
        let is_kept =
            |backends: &Arc<Backends>| old.is_some_and(|old| old.backends().any(|known| Arc::ptr_eq(known, backends)));
        for backends in self.backends().filter(|backends| !is_kept(backends)) {
            backends.begin();
        }
    }

    /// The backends of all services.
    pub fn backends(&self) -> impl Iterator<Item = &Arc<Backends>> {
        let routes = self.by_id.values().flat_map(|service| service.routes());
        routes.map(|route| &route.backends)
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

/// What is in the file with root certificates, so that a change of it is a change of the configuration. One that cannot
/// be read is an error where a connection needs it.
fn roots(config: &RelayerConfig) -> Option<Arc<[u8]>> {
    let file = config.http_transport.ca_file.as_ref()?;
    std::fs::read(file).ok().map(Arc::from)
}

/// Names of all endpoints, as metrics have them: `service:type`, and the endpoint's.
pub(crate) fn endpoint_labels(config: &RelayerConfig) -> BTreeSet<(String, String)> {
    let mut labels = BTreeSet::new();
    for (id, service) in &config.services {
        for (kind, backend) in &service.backends {
            let pool = format!("{id}:{}", kind.as_str());
            let names = endpoint_names(&backend.endpoints);
            labels.extend(names.into_iter().map(|name| (pool.clone(), name)));
        }
    }
    labels
}
