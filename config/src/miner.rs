//! The miner's configuration.

mod monitoring;
mod rehearsal;
mod transaction;
mod work;

use std::collections::BTreeMap;
use std::time::Duration;

use pocket_protocol::{AppAddress, ServiceId, SupplierAddress};

pub use self::monitoring::{BalanceMonitorConfig, BlockHealthConfig};
pub use self::rehearsal::{ProfitabilityConfig, RehearsalConfig, RehearsalMode};
pub use self::transaction::TransactionConfig;
pub use self::work::{LeaderElectionConfig, SupplierClaimingConfig, WorkerPoolsConfig};
use crate::address::ListenAddress;
use crate::codec::{Amount, Count, Flag, List, Map, Nested, Number, Parsed, Section, Text};
use crate::duration::{Seconds, SecondsOrOff, WithUnits};
use crate::reader::Fields;
use crate::shared::{KeysConfig, LoggingConfig, PocketNodeConfig, RedisConfig, ServerConfig, note_clashes};

/// A miner's configuration, with every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct MinerConfig {
    /// `redis`, required.
    pub redis: RedisConfig,
    /// `pocket_node`, required.
    pub pocket_node: PocketNodeConfig,
    /// `keys`, required.
    pub keys: KeysConfig,
    /// `transaction`: claims and proofs on their way to the chain.
    pub transaction: TransactionConfig,
    /// `metrics`: enabled, port 9092 of all addresses.
    pub metrics: ServerConfig,
    /// `pprof`: profiles of the running process; not enabled, `localhost:6060`.
    pub pprof: ServerConfig,
    /// `logging`.
    pub logging: LoggingConfig,
    /// `deduplication_ttl_blocks`: how long relay hashes are remembered; 10 blocks.
    pub deduplication_ttl_blocks: u64,
    /// `batch_size`: stream entries read at once; 1000.
    pub batch_size: u32,
    /// `ack_batch_size`: stream entries acknowledged at once; 50.
    pub ack_batch_size: u32,
    /// `hot_reload_enabled`: changed keys are taken up while running; true.
    pub hot_reload_enabled: bool,
    /// `session_ttl`: how long a session's record lives in Redis; `cache_ttl`.
    pub session_ttl: Duration,
    /// `cache_ttl`: how long cached data and trees live in Redis; 2 h.
    pub cache_ttl: Duration,
    /// `smst_live_root_checkpoint_interval`: updates of a tree between two writings of its root; 10.
    pub smst_live_root_checkpoint_interval: u32,
    /// `submission_tracking_ttl`: how long records of claims and proofs live in Redis; 24 h.
    pub submission_tracking_ttl: Duration,
    /// `supplier_reconcile_interval_seconds`: how often stakes and services are looked up; 60 s, `None` (negative)
    /// for never.
    pub supplier_reconcile_interval: Option<Duration>,
    /// `known_applications`: fetched at start; none.
    pub known_applications: Vec<AppAddress>,
    /// `suppliers`: known and kept, without effect, as for the peer: suppliers follow from the keys.
    pub suppliers: Vec<SupplierEntry>,
    /// `leader_election`.
    pub leader_election: LeaderElectionConfig,
    /// `session_lifecycle.max_concurrent_transitions`: sessions that change state at a time; 10.
    pub max_concurrent_transitions: u32,
    /// `balance_monitor`.
    pub balance_monitor: BalanceMonitorConfig,
    /// `block_time_seconds`: what is expected between blocks; 30 s.
    pub block_time: Duration,
    /// `block_health_monitor`.
    pub block_health_monitor: BlockHealthConfig,
    /// `settlement_monitor.enabled`: settlements are looked for in block results; false.
    pub settlement_monitor_enabled: bool,
    /// `default_service_factor`: the part of an application's stake that one session may use; `None` (0 or unset) for
    /// the protocol's own limit.
    pub default_service_factor: Option<f64>,
    /// `service_factors`: the same for single services; those of 0 are left out.
    pub service_factors: BTreeMap<ServiceId, f64>,
    /// `rehearsal`.
    pub rehearsal: RehearsalConfig,
    /// `profitability`.
    pub profitability: ProfitabilityConfig,
    /// `worker_pools`.
    pub worker_pools: WorkerPoolsConfig,
    /// `supplier_claiming`.
    pub supplier_claiming: SupplierClaimingConfig,
}

impl MinerConfig {
    /// The part of an application's stake that one session of `service` may use; `None` for the protocol's limit.
    pub fn service_factor(&self, service: &ServiceId) -> Option<f64> {
        self.service_factors
            .get(service)
            .copied()
            .or(self.default_service_factor)
    }
}

impl Section for MinerConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let cache_ttl = fields.or_if_zero::<WithUnits>("cache_ttl", Duration::from_hours(2));
        let minute = Duration::from_mins(1);
        let reconcile = fields.or::<SecondsOrOff>("supplier_reconcile_interval_seconds", Some(minute));
        let config = Self {
            redis: fields.section("redis", RedisConfig::read),
            pocket_node: fields.section("pocket_node", PocketNodeConfig::read),
            keys: fields.section("keys", KeysConfig::read),
            transaction: fields.section("transaction", TransactionConfig::read),
            metrics: fields.section("metrics", |fields| ServerConfig::read(fields, true, "0.0.0.0", 9092)),
            pprof: fields.section("pprof", |fields| ServerConfig::read(fields, false, "localhost", 6060)),
            logging: fields.section("logging", LoggingConfig::read),
            deduplication_ttl_blocks: fields.or_if_zero::<Amount>("deduplication_ttl_blocks", 10),
            batch_size: fields.or_if_zero::<Count>("batch_size", 1000),
            ack_batch_size: fields.or_if_zero::<Count>("ack_batch_size", 50),
            hot_reload_enabled: fields.or::<Flag>("hot_reload_enabled", true),
            session_ttl: fields.or_if_zero::<WithUnits>("session_ttl", cache_ttl),
            cache_ttl,
            smst_live_root_checkpoint_interval: fields.or_if_zero::<Count>("smst_live_root_checkpoint_interval", 10),
            submission_tracking_ttl: fields
                .or_if_zero::<WithUnits>("submission_tracking_ttl", Duration::from_hours(24)),
            supplier_reconcile_interval: reconcile.map(|every| if every.is_zero() { minute } else { every }),
            known_applications: fields.or::<List<Parsed<AppAddress>>>("known_applications", Vec::new()),
            suppliers: fields.or::<List<Nested<SupplierEntry>>>("suppliers", Vec::new()),
            leader_election: fields.section("leader_election", LeaderElectionConfig::read),
            max_concurrent_transitions: fields.section("session_lifecycle", |fields| {
                fields.or_if_zero::<Count>("max_concurrent_transitions", 10)
            }),
            balance_monitor: fields.section("balance_monitor", BalanceMonitorConfig::read),
            block_time: fields.or_if_zero::<Seconds<0>>("block_time_seconds", Duration::from_secs(30)),
            block_health_monitor: fields.section("block_health_monitor", BlockHealthConfig::read),
            settlement_monitor_enabled: fields
                .section("settlement_monitor", |fields| fields.or::<Flag>("enabled", false)),
            default_service_factor: fields
                .optional::<Number<0>>("default_service_factor")
                .filter(|part| *part > 0.0),
            service_factors: service_factors(fields),
            rehearsal: fields.section("rehearsal", RehearsalConfig::read),
            profitability: fields.section("profitability", ProfitabilityConfig::read),
            worker_pools: fields.section("worker_pools", WorkerPoolsConfig::read),
            supplier_claiming: fields.section("supplier_claiming", SupplierClaimingConfig::read),
        };
        config.check_addresses(fields);
        config
    }
}

impl MinerConfig {
    fn check_addresses(&self, fields: &mut Fields<'_, '_>) {
        let both: [(&[&str], &ServerConfig); 2] =
            [(&["metrics", "addr"], &self.metrics), (&["pprof", "addr"], &self.pprof)];
        let mut servers: Vec<(&[&str], &ListenAddress)> = Vec::new();
        for (path, server) in both {
            if server.enabled && fields.sound(path) {
                servers.push((path, &server.address));
            }
        }
        note_clashes(fields, &servers);
    }
}

fn service_factors(fields: &mut Fields<'_, '_>) -> BTreeMap<ServiceId, f64> {
    let mut factors = fields.or::<Map<ServiceId, Number<0>>>("service_factors", BTreeMap::new());
    factors.retain(|_, factor| *factor > 0.0);
    factors
}

/// One of `suppliers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupplierEntry {
    /// `operator_address`, required.
    pub operator_address: SupplierAddress,
    /// `signing_key_name`: its key among the loaded.
    pub signing_key_name: Option<String>,
    /// `services`; empty for all.
    pub services: Vec<ServiceId>,
}

impl Section for SupplierEntry {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            operator_address: fields.required::<Parsed<SupplierAddress>>("operator_address"),
            signing_key_name: fields.optional::<Text>("signing_key_name"),
            services: fields.or::<List<Parsed<ServiceId>>>("services", Vec::new()),
        }
    }
}
