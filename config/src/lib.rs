//! The YAML configuration of relayer and miner, with the key names of the Go peer: read, checked and typed.
//! Reads the named file, the `*_file` secrets it mentions and the environment; no network, no logging.
//!
//! ```
//! use pocket_config::RelayerConfig;
//!
//! let text = "
//! redis: { url: redis://localhost:6379 }
//! pocket_node: { query_node_rpc_url: http://localhost:26657, query_node_grpc_url: localhost:9090 }
//! keys: { keys_file: keys.yaml }
//! services: { eth: { backends: { jsonrpc: { url: http://localhost:8545 } } } }
//! lisen_addr: :8080
//! ";
//! let error = RelayerConfig::from_str("relayer.yaml", text).unwrap_err();
//! assert_eq!(error.to_string(), "relayer.yaml:6:1: lisen_addr: unknown key; did you mean \"listen_addr\"?");
//! ```

mod address;
mod codec;
mod collection;
mod document;
mod duration;
mod endpoint;
mod environment;
mod error;
mod example;
mod gas_price;
mod load;
mod miner;
mod outline;
mod overrides;
mod reader;
mod referred;
mod relayer;
mod reload;
mod schema;
mod secret;
mod several;
mod shared;
mod suggest;

pub use address::ListenAddress;
pub use endpoint::RedisUrl;
pub use environment::{Environment, OVERRIDES};
pub use error::{ConfigError, Origin, Problem, ProblemKind, Problems};
pub use example::UnusedKey;
pub use gas_price::GasPrice;
pub use miner::{
    BalanceMonitorConfig, BlockHealthConfig, LeaderElectionConfig, MinerConfig, ProfitabilityConfig, RehearsalConfig,
    RehearsalMode, SupplierClaimingConfig, SupplierEntry, TransactionConfig, WorkerPoolsConfig,
};
pub use overrides::UnknownVariable;
pub use relayer::{
    Authentication, BackendConfig, BackendEndpoint, BackendHealthCheck, BackendSelection, CacheWarmupConfig,
    FailBehavior, HandshakeSignature, HeaderName, HealthCheckKind, HttpTransportConfig, InboundConfig, OutlierEjection,
    PoolProfile, RelayLogConfig, RelayMeterConfig, RelayerConfig, ResponseCompressionConfig, RetriedRequests, RpcType,
    ServiceConfig, SimulationConfig, SimulationIdentity, TimeoutProfile, TlsConfig, ValidationMode, WebSocketConfig,
};
pub use secret::Secret;
pub use shared::{
    KeyringBackend, KeyringConfig, KeysConfig, LogFormat, LogLevel, LogOutput, LoggingConfig, PocketNodeConfig,
    RedisConfig, RedisNamespace, ServerConfig,
};
