//! Files that load, and what they come to.

use std::time::Duration;

use pocket_config::{
    Authentication, BackendSelection, Environment, HandshakeSignature, MinerConfig, RehearsalMode, RelayerConfig,
    RpcType, ValidationMode,
};
use pocket_protocol::Upokt;

const RELAYER: &str = "
redis: {url: 'redis://localhost:6379'}
pocket_node: {query_node_rpc_url: 'http://localhost:26657', query_node_grpc_url: 'localhost:9090'}
keys: {keys_file: keys.yaml}
services: {eth: {backends: {jsonrpc: {url: 'http://localhost:8545'}}}}
";

const MINER: &str = "
redis: {url: 'redis://localhost:6379'}
pocket_node: {query_node_rpc_url: 'http://localhost:26657', query_node_grpc_url: 'localhost:9090'}
keys: {keys_dir: keys}
";

fn relayer(more: &str) -> RelayerConfig {
    RelayerConfig::from_str("relayer.yaml", &format!("{RELAYER}{more}")).unwrap()
}

fn miner(more: &str) -> MinerConfig {
    MinerConfig::from_str("miner.yaml", &format!("{MINER}{more}")).unwrap()
}

fn example(name: &str) -> String {
    format!("{}/examples/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn example_of_a_relayer_loads() {
    let config = RelayerConfig::load_with(example("relayer"), &Environment::default()).unwrap();
    let llm = &config.services["llm"];
    assert_eq!(llm.timeouts.request, Duration::from_mins(10));
    assert_eq!(config.longest_request_timeout(), Duration::from_mins(10));
    let Some(Authentication::Bearer(token)) = &llm.backends[&RpcType::Rest].authentication else {
        panic!()
    };
    assert_eq!(token.expose(), "none");
    let cometbft = &config.services["pocket"].backends[&RpcType::CometBft];
    assert_eq!(cometbft.selection, BackendSelection::RoundRobin);
    assert_eq!(cometbft.endpoints[1].name.as_deref(), Some("spare"));
    assert_eq!(
        config.services["pocket"].backends[&RpcType::Grpc].endpoints[0]
            .url
            .as_str(),
        "http://localhost:9090/"
    );
}

#[test]
fn files_for_local_kubernetes_load() {
    let file = |name| format!("{}/../deploy/tilt/config/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let relayer = RelayerConfig::load_with(file("relayer"), &Environment::default()).unwrap();
    let miner = MinerConfig::load_with(file("miner"), &Environment::default()).unwrap();
    // The ports that the manifests name.
    assert_eq!(relayer.listen_addr.to_string(), "0.0.0.0:8080");
    assert_eq!(relayer.health_check.address.to_string(), "0.0.0.0:8081");
    assert_eq!(relayer.metrics.address.to_string(), "0.0.0.0:9091");
    assert_eq!(miner.metrics.address.to_string(), "0.0.0.0:9092");
}

#[test]
fn what_gateways_may_take_is_the_peers_unless_written() {
    let unwritten = relayer("");
    assert_eq!(unwritten.inbound.idle_timeout, Duration::from_mins(2));
    assert_eq!(unwritten.web_socket.handshake_signature, HandshakeSignature::Ignore);
    assert_eq!(unwritten.web_socket.max_message_size_bytes, 15 << 20);
    assert_eq!(unwritten.web_socket.max_messages_per_second, None);
    let written = relayer(
        "inbound: {stall_timeout_seconds: 5}\n\
         websocket: {handshake_signature: require, max_messages_per_second: 50, ping_interval_seconds: 3}\n",
    );
    assert_eq!(written.inbound.stall_timeout, Duration::from_secs(5));
    assert_eq!(written.web_socket.handshake_signature, HandshakeSignature::Require);
    assert_eq!(written.web_socket.max_messages_per_second, Some(50));
    assert_eq!(written.web_socket.ping_interval, Duration::from_secs(3));
}

#[test]
fn example_of_a_miner_loads() {
    let config = MinerConfig::load_with(example("miner"), &Environment::default()).unwrap();
    assert_eq!(config.transaction, miner("").transaction);
    assert_eq!(config.metrics.address.to_string(), "0.0.0.0:9092");
}

#[test]
fn relayer_needs_only_the_required_keys() {
    let config = relayer("");
    assert_eq!(config.listen_addr.to_string(), "0.0.0.0:8080");
    assert_eq!(config.redis.namespace.base_prefix, "ha");
    assert_eq!(config.redis.pool_timeout, Duration::from_secs(4));
    assert_eq!(config.pocket_node.query_timeout, Duration::from_secs(5));
    assert!(!config.pocket_node.grpc_insecure);
    assert_eq!(config.relay_meter.cache_ttl, Duration::from_hours(2));
    let service = &config.services["eth"];
    assert_eq!(service.validation_mode, ValidationMode::Optimistic);
    assert_eq!(service.max_body_size_bytes, 10_485_760);
    assert_eq!(
        (config.max_relays_in_flight, service.max_relays_in_flight),
        (10_000, 5_000)
    );
    assert_eq!(service.timeouts.request, Duration::from_secs(30));
    assert_eq!(service.pool.max_connections_per_host, Some(500));
    assert_eq!(service.default_backend, RpcType::JsonRpc);
    let backend = &service.backends[&RpcType::JsonRpc];
    assert_eq!((backend.max_retries, backend.circuit_breaker_threshold), (1, 5));
    assert_eq!(backend.recovery_timeout, Some(Duration::from_secs(30)));
    assert_eq!(backend.selection, BackendSelection::FirstHealthy);
}

#[test]
fn miner_needs_only_the_required_keys() {
    let config = miner("");
    assert_eq!(config.transaction.gas_limit, None);
    assert_eq!(config.transaction.gas_price.to_string(), "0.000001upokt");
    assert!((config.transaction.gas_adjustment - 1.7).abs() < f64::EPSILON);
    assert_eq!(config.transaction.timeout_max, Duration::from_secs(590));
    assert_eq!(config.session_ttl, Duration::from_hours(2));
    assert_eq!(config.submission_tracking_ttl, Duration::from_hours(24));
    assert_eq!(config.block_time, Duration::from_secs(30));
    assert_eq!(config.redis.claim_idle_timeout, Duration::from_mins(1));
    assert_eq!(config.supplier_reconcile_interval, Some(Duration::from_mins(1)));
    assert_eq!((config.batch_size, config.ack_batch_size), (1000, 50));
    assert_eq!(config.balance_monitor.balance_threshold.0, 1_000_000);
    assert!(config.metrics.enabled && !config.pprof.enabled);
}

#[test]
fn rehearsal_warns_and_profit_is_asked_for_unless_it_is_said_otherwise() {
    let unwritten = miner("");
    assert_eq!(unwritten.rehearsal.mode, RehearsalMode::Warn);
    assert!(unwritten.profitability.enabled);
    assert_eq!(unwritten.profitability.min_profit, Upokt(0));
    let written = miner("rehearsal: {mode: off}\nprofitability: {enabled: false, min_profit_upokt: 7}\n");
    assert_eq!(written.rehearsal.mode, RehearsalMode::Off);
    assert!(!written.profitability.enabled);
    assert_eq!(written.profitability.min_profit, Upokt(7));
    assert_eq!(
        miner("rehearsal: {mode: enforce}\n").rehearsal.mode,
        RehearsalMode::Enforce
    );
}

#[test]
fn nought_means_the_default_where_the_peer_takes_it_so() {
    let config = miner("batch_size: 0\ncache_ttl: 0\nsession_ttl: 3h\nsupplier_reconcile_interval_seconds: -1\n");
    assert_eq!(config.batch_size, 1000);
    assert_eq!(config.cache_ttl, Duration::from_hours(2));
    assert_eq!(config.session_ttl, Duration::from_hours(3));
    assert_eq!(config.supplier_reconcile_interval, None);
}

#[test]
fn rebroadcasts_of_nought_are_none() {
    assert_eq!(
        miner("transaction: {max_rebroadcasts: 0}").transaction.max_rebroadcasts,
        0
    );
}

#[test]
fn service_factor_of_a_service_goes_before_the_default() {
    let config = miner("default_service_factor: 0.01\nservice_factors: {eth: 0.02}");
    assert_eq!(config.service_factor(&"eth".parse().unwrap()), Some(0.02));
    assert_eq!(config.service_factor(&"poly".parse().unwrap()), Some(0.01));
}

#[test]
fn profile_of_the_file_replaces_the_built_in_one_as_a_whole() {
    let config =
        relayer("timeout_profiles: {fast: {request_timeout_seconds: 60}}\nhttp_transport: {dial_timeout_seconds: 7}");
    let fast = &config.services["eth"].timeouts;
    assert_eq!(fast.request, Duration::from_mins(1));
    assert_eq!(fast.response_header, None);
    assert_eq!(fast.dial, Duration::from_secs(7));
    assert!(config.timeout_profiles.contains_key("streaming"));
}

#[test]
fn environment_goes_before_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        format!("{MINER}block_time_seconds: ${{PACE}}\nlogging: {{level: \"${{LEVEL:-warn}}\"}}"),
    )
    .unwrap();
    let environment = Environment::from_iter([("REDIS_URL", "redis://elsewhere:1"), ("PACE", "10")]);
    let config = MinerConfig::load_with(file.path(), &environment).unwrap();
    assert_eq!(config.redis.url.expose(), "redis://elsewhere:1");
    assert_eq!(config.block_time, Duration::from_secs(10));
    assert_eq!(config.logging.level, pocket_config::LogLevel::Warn);
}

#[test]
fn environment_fills_what_the_file_leaves_out() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "keys: {keys_dir: keys}").unwrap();
    let environment = Environment::from_iter([
        ("REDIS_URL", "redis://a:1"),
        ("POCKET_NODE_RPC_URL", "http://b:2"),
        ("POCKET_NODE_GRPC_URL", "c:3"),
    ]);
    let config = MinerConfig::load_with(file.path(), &environment).unwrap();
    assert_eq!(config.pocket_node.query_node_grpc_urls, ["c:3"]);
}

#[test]
fn several_nodes_are_a_list_or_have_commas_between_them() {
    let lists = RELAYER.replace(
        "query_node_rpc_url: 'http://localhost:26657', query_node_grpc_url: 'localhost:9090'",
        "query_node_rpc_url: [http://a:26657, https://b], query_node_grpc_url: ['a:9090', 'b:443']",
    );
    let from_lists = RelayerConfig::from_str("r", &lists).unwrap().pocket_node;
    assert_eq!(from_lists.query_node_grpc_urls, ["a:9090", "b:443"]);

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), RELAYER).unwrap();
    let environment = Environment::from_iter([
        ("POCKET_NODE_RPC_URL", "http://a:26657, https://b"),
        ("POCKET_NODE_GRPC_URL", "a:9090,b:443"),
    ]);
    let from_variables = RelayerConfig::load_with(file.path(), &environment).unwrap();
    assert_eq!(from_variables.pocket_node, from_lists);
}

#[test]
fn secret_is_read_from_its_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2\n").unwrap();
    let text = RELAYER.replace(
        "url: 'http://localhost:8545'",
        &format!(
            "url: 'http://localhost:8545', authentication: {{bearer_token_file: '{}'}}",
            file.path().display()
        ),
    );
    let config = RelayerConfig::from_str("relayer.yaml", &text).unwrap();
    let authentication = config.services["eth"].backends[&RpcType::JsonRpc]
        .authentication
        .as_ref()
        .unwrap();
    let Authentication::Bearer(token) = authentication else {
        panic!("{authentication:?}")
    };
    assert_eq!(token.expose(), "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn every_key_of_the_peers_relayer_is_known() {
    relayer(include_str!("data/relayer_every_key.yaml"));
}

#[test]
fn every_key_of_the_peers_miner_is_known() {
    miner(include_str!("data/miner_every_key.yaml"));
}
