//! The relayer's configuration.

mod backend;
mod backend_health;
mod inbound;
mod listener;
mod relay_log;
mod service;
mod simulation;
mod transport;

use std::collections::BTreeMap;
use std::time::Duration;

use pocket_protocol::{AppAddress, ServiceId};

pub use self::backend::{
    Authentication, BackendConfig, BackendEndpoint, BackendSelection, HeaderName, RetriedRequests, RpcType,
};
pub use self::backend_health::{BackendHealthCheck, HealthCheckKind, OutlierEjection};
pub use self::inbound::{HandshakeSignature, InboundConfig, WebSocketConfig};
pub use self::listener::TlsConfig;
pub use self::relay_log::RelayLogConfig;
pub use self::service::{ServiceConfig, ValidationMode};
pub use self::simulation::{SimulationConfig, SimulationIdentity};
pub use self::transport::{HttpTransportConfig, PoolProfile, ResponseCompressionConfig, TimeoutProfile};
use crate::address::{Address, ListenAddress};
use crate::codec::{Amount, Choice, Count, Flag, List, Map, Named, Nested, Parsed, Section, Text};
use crate::duration::{Seconds, WithUnits};
use crate::reader::Fields;
use crate::shared::{KeysConfig, LoggingConfig, PocketNodeConfig, RedisConfig, ServerConfig, note_clashes};

/// A relayer's configuration, with every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct RelayerConfig {
    /// `listen_addr`: where relays come in; `0.0.0.0:8080`.
    pub listen_addr: ListenAddress,
    /// `tls`: relays come over TLS; `None` for plain TCP.
    pub tls: Option<TlsConfig>,
    /// `redis`, required.
    pub redis: RedisConfig,
    /// `pocket_node`, required.
    pub pocket_node: PocketNodeConfig,
    /// `keys`, required.
    pub keys: KeysConfig,
    /// `services`, at least one.
    pub services: BTreeMap<ServiceId, ServiceConfig>,
    /// `default_validation_mode`: for services without their own; `optimistic`.
    pub default_validation_mode: ValidationMode,
    /// `default_request_timeout_seconds`: for timeout profiles without their own; 30 s.
    pub default_request_timeout: Duration,
    /// `default_max_body_size_bytes`: for services without their own; 10 MiB.
    pub default_max_body_size_bytes: u64,
    /// `max_relays_in_flight`: relays of all services that are worked on at a time; 10000. Ours, not the peer's.
    pub max_relays_in_flight: u32,
    /// `metrics`: enabled, `0.0.0.0:9090`.
    pub metrics: ServerConfig,
    /// `pprof`: profiles of the running process; enabled, `0.0.0.0:6060`.
    pub pprof: ServerConfig,
    /// `health_check`: of the relayer itself; enabled, `0.0.0.0:8081`.
    pub health_check: ServerConfig,
    /// `cache_warmup`.
    pub cache_warmup: CacheWarmupConfig,
    /// `logging`.
    pub logging: LoggingConfig,
    /// `relay_meter`.
    pub relay_meter: RelayMeterConfig,
    /// `relay_log`; `None` without `dir`. Ours alone.
    pub relay_log: Option<RelayLogConfig>,
    /// `http_transport`.
    pub http_transport: HttpTransportConfig,
    /// `inbound`.
    pub inbound: InboundConfig,
    /// `websocket`.
    pub web_socket: WebSocketConfig,
    /// `response_compression`.
    pub response_compression: ResponseCompressionConfig,
    /// `timeout_profiles`, `fast` and `streaming` always among them.
    pub timeout_profiles: BTreeMap<String, TimeoutProfile>,
    /// `pool_profiles`, `low`, `medium` and `high` always among them.
    pub pool_profiles: BTreeMap<String, PoolProfile>,
    /// `simulation`.
    pub simulation: SimulationConfig,
    /// `grace_period_extra_blocks`: known and kept, without effect, as for the peer; 2.
    pub grace_period_extra_blocks: u32,
}

impl RelayerConfig {
    /// The longest time that any service's backend may take.
    pub fn longest_request_timeout(&self) -> Duration {
        let services = self.services.values().map(|service| service.timeouts.request);
        services.fold(self.default_request_timeout, Duration::max)
    }
}

impl Section for RelayerConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let default_validation_mode =
            fields.or::<Choice<ValidationMode>>("default_validation_mode", ValidationMode::Optimistic);
        let default_request_timeout =
            fields.or_if_zero::<Seconds<0>>("default_request_timeout_seconds", Duration::from_secs(30));
        let default_max_body_size_bytes = fields.or_if_zero::<Amount>("default_max_body_size_bytes", 10 * 1024 * 1024);
        let http_transport = fields.section("http_transport", HttpTransportConfig::read);
        let timeout_profiles = transport::timeout_profiles(fields, default_request_timeout, &http_transport);
        let pool_profiles = transport::pool_profiles(fields, &http_transport);
        let written = fields.required::<Map<ServiceId, Nested<service::WrittenService>>>("services");
        if written.is_empty() && fields.written("services") && fields.sound(&["services"]) {
            fields.missing(
                &["services"],
                "names no service",
                "add a service by its id, with its backends",
            );
        }
        let defaults = service::Defaults {
            validation_mode: default_validation_mode,
            max_body_size_bytes: default_max_body_size_bytes,
            timeout_profiles: &timeout_profiles,
            pool_profiles: &pool_profiles,
            pool: PoolProfile::of_transport(&http_transport),
        };
        let services = written
            .into_iter()
            .map(|(id, service)| (id.clone(), service.complete(&id, &defaults, fields)))
            .collect();
        let config = Self {
            listen_addr: fields.or::<Address>("listen_addr", ListenAddress::everywhere(8080)),
            tls: fields.optional::<Nested<TlsConfig>>("tls"),
            redis: fields.section("redis", RedisConfig::read),
            pocket_node: fields.section("pocket_node", PocketNodeConfig::read),
            keys: fields.section("keys", KeysConfig::read),
            services,
            default_validation_mode,
            default_request_timeout,
            default_max_body_size_bytes,
            max_relays_in_flight: fields.or_if_zero::<Count>("max_relays_in_flight", 10_000),
            metrics: fields.section("metrics", |fields| ServerConfig::read(fields, true, "0.0.0.0", 9090)),
            pprof: fields.section("pprof", |fields| ServerConfig::read(fields, true, "0.0.0.0", 6060)),
            health_check: fields.section("health_check", |fields| {
                ServerConfig::read(fields, true, "0.0.0.0", 8081)
            }),
            cache_warmup: fields.section("cache_warmup", CacheWarmupConfig::read),
            logging: fields.section("logging", LoggingConfig::read),
            relay_meter: fields.section("relay_meter", RelayMeterConfig::read),
            relay_log: fields.section("relay_log", relay_log::read),
            http_transport,
            inbound: fields.section("inbound", InboundConfig::read),
            web_socket: fields.section("websocket", WebSocketConfig::read),
            response_compression: fields.section("response_compression", ResponseCompressionConfig::read),
            timeout_profiles,
            pool_profiles,
            simulation: fields.section("simulation", SimulationConfig::read),
            grace_period_extra_blocks: fields.or::<Count>("grace_period_extra_blocks", 2),
        };
        config.check_addresses(fields);
        config
    }
}

impl RelayerConfig {
    fn check_addresses(&self, fields: &mut Fields<'_, '_>) {
        let mut servers: Vec<(&[&str], &ListenAddress)> = vec![(&["listen_addr"], &self.listen_addr)];
        let beside: [(&[&str], &ServerConfig); 3] = [
            (&["metrics", "addr"], &self.metrics),
            (&["pprof", "addr"], &self.pprof),
            (&["health_check", "addr"], &self.health_check),
        ];
        servers.extend(
            beside
                .iter()
                .filter(|(_, server)| server.enabled)
                .map(|(path, server)| (*path, &server.address)),
        );
        servers.retain(|(path, _)| fields.sound(path));
        note_clashes(fields, &servers);
    }
}

/// `cache_warmup`: what is fetched before the first relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheWarmupConfig {
    /// `enabled`; true.
    pub enabled: bool,
    /// `known_applications`: those whose sessions are fetched; none.
    pub known_applications: Vec<AppAddress>,
    /// `warmup_concurrency`: fetches at a time; 10.
    pub concurrency: u32,
    /// `warmup_timeout_seconds`: for one application; 5 s.
    pub timeout: Duration,
}

impl Section for CacheWarmupConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            enabled: fields.or::<Flag>("enabled", true),
            known_applications: fields.or::<List<Parsed<AppAddress>>>("known_applications", Vec::new()),
            concurrency: fields.or_if_zero::<Count>("warmup_concurrency", 10),
            timeout: fields.or_if_zero::<Seconds<0>>("warmup_timeout_seconds", Duration::from_secs(5)),
        }
    }
}

/// `relay_meter`: relays are limited by what their application's stake can pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayMeterConfig {
    /// `enabled`; true.
    pub enabled: bool,
    /// `redis_key_prefix`: the first word of the meter's keys; `ha`.
    pub redis_key_prefix: String,
    /// `fail_behavior`: without Redis; `open`.
    pub fail_behavior: FailBehavior,
    /// `cache_ttl`: how long the meter's keys live; 2 h.
    pub cache_ttl: Duration,
}

impl Section for RelayMeterConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            enabled: fields.or::<Flag>("enabled", true),
            redis_key_prefix: fields.or::<Text>("redis_key_prefix", "ha".to_owned()),
            fail_behavior: fields.or::<Choice<FailBehavior>>("fail_behavior", FailBehavior::Open),
            cache_ttl: fields.or_if_zero::<WithUnits>("cache_ttl", Duration::from_hours(2)),
        }
    }
}

/// What a meter that cannot count does with a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailBehavior {
    /// Serve it.
    Open,
    /// Refuse it.
    Closed,
}

impl Named for FailBehavior {
    const NAMES: &'static [(&'static str, Self)] = &[("open", Self::Open), ("closed", Self::Closed)];
}
