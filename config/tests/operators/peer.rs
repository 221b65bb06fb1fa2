//! The Go relay miner's files start this program unchanged: each of its keys is known, means the same when it is left
//! out, and is either read, or told in docs/operators.md to be without effect.

use std::fmt::Debug;

use pocket_config::{Environment, MinerConfig, RelayerConfig};

/// A key of the peer with its default there, or what stands for none, and another value.
type Key = (&'static str, &'static str, &'static str);

/// What stands in a file for these tables. Sections are there where the peer's defaults count only within one.
const RELAYER: &str = "
pocket_node: {query_node_rpc_url: 'http://rpc', query_node_grpc_url: 'grpc:9090'}
keys: {keyring: {backend: test}}
services: {eth: {backends: {jsonrpc: {url: 'http://eth', health_check: {enabled: false}}}}}
pool_profiles: {mine: {max_conns_per_host: 5}}
timeout_profiles: {mine: {request_timeout_seconds: 5}}
";
const MINER: &str = "
pocket_node: {query_node_rpc_url: 'http://rpc', query_node_grpc_url: 'grpc:9090'}
keys: {keyring: {backend: test}}
";

const OF_BOTH: &[Key] = &[
    ("redis.url", "redis://localhost:6379", "redis://other:6379"),
    ("redis.pool_size", "0", "50"),
    ("redis.min_idle_conns", "0", "10"),
    ("redis.pool_timeout_seconds", "0", "9"),
    ("redis.conn_max_idle_time_seconds", "0", "60"),
    ("redis.namespace.base_prefix", "ha", "other"),
    ("redis.namespace.cache_prefix", "cache", "other"),
    ("redis.namespace.events_prefix", "events", "other"),
    ("redis.namespace.streams_prefix", "relays", "other"),
    ("redis.namespace.miner_prefix", "miner", "other"),
    ("redis.namespace.supplier_prefix", "supplier", "other"),
    ("redis.namespace.meter_prefix", "meter", "other"),
    ("redis.namespace.params_prefix", "params", "other"),
    ("redis.namespace.consumer_group_prefix", "miners", "other"),
    ("pocket_node.query_node_rpc_url", "http://rpc", "https://other"),
    ("pocket_node.query_node_grpc_url", "grpc:9090", "tcp://other:443"),
    ("pocket_node.grpc_insecure", "false", "true"),
    ("keys.keys_file", "", "/keys/supplier-keys.yaml"),
    ("keys.keys_dir", "", "/keys/suppliers"),
    ("keys.keyring.backend", "test", "file"),
    ("keys.keyring.dir", "", "/keys/keyring"),
    ("keys.keyring.app_name", "pocket", "other"),
    ("keys.keyring.key_names", "", "supplier1,supplier2"),
    ("metrics.enabled", "true", "false"),
    ("logging.level", "info", "debug"),
    ("logging.format", "json", "text"),
    ("logging.output", "stdout", "stderr"),
    ("logging.async", "true", "false"),
    ("logging.async_buffer_size", "100000", "1000"),
    ("logging.async_poll_interval", "100", "10"),
    ("logging.sampling", "false", "true"),
    ("logging.sampling_initial", "100", "1"),
    ("logging.sampling_thereafter", "10", "2"),
    ("logging.enable_caller", "false", "true"),
];

const OF_RELAYER: &[Key] = &[
    ("listen_addr", "0.0.0.0:8080", ":80"),
    ("metrics.addr", "0.0.0.0:9090", ":9091"),
    ("pprof.enabled", "true", "false"),
    ("pprof.addr", "0.0.0.0:6060", "localhost:6061"),
    ("health_check.enabled", "true", "false"),
    ("health_check.addr", "0.0.0.0:8081", ":8082"),
    ("default_validation_mode", "optimistic", "eager"),
    ("default_request_timeout_seconds", "30", "20"),
    ("default_max_body_size_bytes", "10485760", "1048576"),
    ("services.eth.validation_mode", "", "eager"),
    ("services.eth.timeout_profile", "", "streaming"),
    ("services.eth.pool_profile", "", "low"),
    ("services.eth.max_body_size_bytes", "0", "1000"),
    ("services.eth.default_backend", "jsonrpc", "3"),
    ("services.eth.backends.jsonrpc.url", "http://eth", "grpcs://other:443"),
    ("services.eth.backends.jsonrpc.urls", "", "http://one,http://two"),
    ("services.eth.backends.jsonrpc.base_path", "", "/ext/bc"),
    ("services.eth.backends.jsonrpc.load_balancing", "", "round_robin"),
    ("services.eth.backends.jsonrpc.headers", "", "{X-Custom: value}"),
    (
        "services.eth.backends.jsonrpc.authentication",
        "",
        "{username: me, password: it}",
    ),
    ("services.eth.backends.jsonrpc.authentication.bearer_token", "", "it"),
    ("services.eth.backends.jsonrpc.authentication.plain_token", "", "it"),
    ("services.eth.backends.jsonrpc.max_retries", "1", "0"),
    ("services.eth.backends.jsonrpc.recovery_timeout_seconds", "30", "0"),
    (
        "services.eth.backends.jsonrpc.health_check",
        "{enabled: false}",
        "{enabled: true, endpoint: /h, interval_seconds: 9}",
    ),
    ("services.eth.backends.jsonrpc.health_check.endpoint", "", "/health"),
    ("services.eth.backends.jsonrpc.health_check.interval_seconds", "0", "9"),
    ("services.eth.backends.jsonrpc.health_check.timeout_seconds", "0", "9"),
    (
        "services.eth.backends.jsonrpc.health_check.unhealthy_threshold",
        "0",
        "9",
    ),
    ("services.eth.backends.jsonrpc.health_check.healthy_threshold", "0", "9"),
    ("services.eth.backends.jsonrpc.health_check.method", "GET", "post"),
    ("services.eth.backends.jsonrpc.health_check.request_body", "", "{}"),
    (
        "services.eth.backends.jsonrpc.health_check.content_type",
        "",
        "text/plain",
    ),
    ("services.eth.backends.jsonrpc.health_check.expected_body", "", "ok"),
    (
        "services.eth.backends.jsonrpc.health_check.expected_status",
        "",
        "200,204",
    ),
    (
        "services.eth.backends.jsonrpc.health_check.headers",
        "",
        "{X-Health-Token: it}",
    ),
    ("cache_warmup.enabled", "true", "false"),
    (
        "cache_warmup.known_applications",
        "",
        "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4",
    ),
    ("cache_warmup.warmup_concurrency", "10", "1"),
    ("cache_warmup.warmup_timeout_seconds", "5", "1"),
    ("relay_meter.enabled", "true", "false"),
    ("relay_meter.redis_key_prefix", "ha", "other"),
    ("relay_meter.fail_behavior", "open", "closed"),
    ("relay_meter.cache_ttl", "2h", "1h30m"),
    ("http_transport.max_idle_conns", "500", "1"),
    ("http_transport.max_idle_conns_per_host", "100", "1"),
    ("http_transport.max_conns_per_host", "500", "0"),
    ("http_transport.dial_timeout_seconds", "5", "1"),
    ("http_transport.tls_handshake_timeout_seconds", "10", "1"),
    ("http_transport.response_header_timeout_seconds", "30", "0"),
    ("http_transport.expect_continue_timeout_seconds", "1", "0"),
    ("http_transport.tcp_keep_alive_seconds", "30", "0"),
    ("http_transport.disable_compression", "true", "false"),
    ("response_compression.enabled", "false", "true"),
    ("response_compression.min_size_bytes", "1024", "1"),
    ("timeout_profiles.mine.request_timeout_seconds", "5", "90"),
    ("timeout_profiles.mine.response_header_timeout_seconds", "0", "1"),
    ("timeout_profiles.mine.dial_timeout_seconds", "0", "1"),
    ("timeout_profiles.mine.tls_handshake_timeout_seconds", "0", "1"),
    ("pool_profiles.mine.max_conns_per_host", "5", "1"),
    ("pool_profiles.mine.max_idle_conns_per_host", "0", "1"),
    ("pool_profiles.mine.idle_conn_timeout_seconds", "0", "1"),
    ("simulation.max_concurrent", "32", "1"),
    ("simulation.freshness_window_seconds", "30", "1"),
    (
        "simulation.identities",
        "",
        "[{key_id: a, enabled: true, max_rps: 1, not_after: '2030-01-01T00:00:00Z'}]",
    ),
    ("grace_period_extra_blocks", "2", "1"),
];

const OF_MINER: &[Key] = &[
    ("redis.consumer_name", "", "miner-1"),
    ("redis.claim_idle_timeout_ms", "60000", "1000"),
    ("pocket_node.query_timeout_seconds", "5", "9"),
    ("pocket_node.chain_id", "", "pocket-beta"),
    ("transaction.gas_limit", "0", "500000"),
    ("transaction.gas_price", "0.000001upokt", "0.00001upokt"),
    ("transaction.gas_adjustment", "1.7", "2.5"),
    ("transaction.disable_claim_batching", "false", "true"),
    ("transaction.disable_proof_batching", "false", "true"),
    ("transaction.tx_timeout_min_seconds", "120", "20"),
    ("transaction.tx_timeout_max_seconds", "590", "130"),
    ("transaction.tx_timeout_default_seconds", "120", "60"),
    ("transaction.tx_timeout_clock_skew_buffer_seconds", "60", "10"),
    ("transaction.disable_pre_proof_claim_verification", "false", "true"),
    ("transaction.disable_inclusion_reconciler", "false", "true"),
    ("transaction.inclusion_reconciler_max_concurrent", "64", "8"),
    ("transaction.max_rebroadcasts", "1", "0"),
    ("transaction.rebroadcast_safety_blocks", "1", "0"),
    ("transaction.inclusion_reconciler_per_group_timeout_ms", "10000", "5000"),
    ("metrics.addr", ":9092", ":9093"),
    ("pprof.enabled", "false", "true"),
    ("pprof.addr", "localhost:6060", ":6065"),
    ("deduplication_ttl_blocks", "10", "12"),
    ("batch_size", "1000", "10"),
    ("ack_batch_size", "50", "5"),
    ("hot_reload_enabled", "true", "false"),
    ("session_ttl", "0s", "3h"),
    ("cache_ttl", "2h", "4h"),
    ("smst_live_root_checkpoint_interval", "10", "1"),
    ("submission_tracking_ttl", "24h", "168h"),
    ("supplier_reconcile_interval_seconds", "60", "-1"),
    ("known_applications", "", "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4"),
    ("leader_election.leader_ttl_seconds", "30", "20"),
    ("leader_election.heartbeat_rate_seconds", "10", "5"),
    ("session_lifecycle.max_concurrent_transitions", "10", "3"),
    ("balance_monitor.enabled", "true", "false"),
    ("balance_monitor.check_interval_seconds", "300", "60"),
    ("balance_monitor.balance_threshold_upokt", "1000000", "0"),
    ("balance_monitor.stake_warning_proof_threshold", "10", "20"),
    ("balance_monitor.stake_critical_proof_threshold", "3", "5"),
    ("block_time_seconds", "30", "10"),
    ("block_health_monitor.enabled", "false", "true"),
    ("block_health_monitor.slowness_threshold", "1.5", "2.5"),
    ("settlement_monitor.enabled", "false", "true"),
    ("default_service_factor", "0", "0.01"),
    ("service_factors", "{}", "{eth-mainnet: 0.007}"),
    ("service_factors.eth-mainnet", "0", "0.007"),
    ("worker_pools.master_pool_size", "0", "100"),
    ("worker_pools.cpu_multiplier", "4", "2"),
    ("worker_pools.workers_per_supplier", "6", "2"),
    ("worker_pools.query_workers", "20", "4"),
    ("worker_pools.settlement_workers", "2", "1"),
    ("supplier_claiming.claim_ttl_seconds", "90", "60"),
    ("supplier_claiming.renew_rate_seconds", "10", "5"),
    ("supplier_claiming.rebalance_interval_seconds", "30", "15"),
    (
        "suppliers",
        "",
        "[{operator_address: pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4, signing_key_name: one, services: [eth]}]",
    ),
];

/// The keys of the peer whose defaults are others here, on purpose: the peer's, and ours.
const OTHER_DEFAULTS: &[Key] = &[("http_transport.idle_conn_timeout_seconds", "90", "300")];

/// Reads each key through its variable, and checks what comes of it.
fn check<C: Debug>(prefix: &str, keys: &[Key], load: impl Fn(&Environment) -> Result<C, pocket_config::ConfigError>) {
    let show = |key: &str, value: &str| {
        let letters = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        };
        let parts: Vec<String> = key.split('.').map(|part| part.chars().map(letters).collect()).collect();
        let variable = format!("{prefix}{}", parts.join("__"));
        let config = load(&Environment::from_iter([(variable, value)]));
        match config {
            Ok(config) => format!("{config:?}"),
            Err(error) => panic!("{key}: {value}: {error}"),
        }
    };
    let left_out = format!("{:?}", load(&Environment::default()).unwrap());
    for (key, default, other) in keys {
        assert_eq!(
            show(key, default),
            left_out,
            "{key}: {default} is not what counts without it"
        );
        // A type of backend is the same by name and by number.
        if *key != "services.eth.default_backend" {
            assert_ne!(show(key, other), left_out, "{key}: {other} changes nothing");
        }
    }
    for (key, theirs, ours) in OTHER_DEFAULTS.iter().filter(|_| prefix == "RELAYER_") {
        assert_ne!(show(key, theirs), left_out, "{key} is no exception");
        assert_eq!(show(key, ours), left_out, "{key}");
    }
}

/// A file with `text`.
fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn every_key_of_the_peers_relayer_is_read_with_its_default() {
    let file = file(RELAYER);
    let keys = [OF_BOTH, OF_RELAYER].concat();
    check("RELAYER_", &keys, |environment| {
        RelayerConfig::load_with(file.path(), environment)
    });
}

#[test]
fn every_key_of_the_peers_miner_is_read_with_its_default() {
    let file = file(MINER);
    let keys = [OF_BOTH, OF_MINER].concat();
    check("MINER_", &keys, |environment| {
        MinerConfig::load_with(file.path(), environment)
    });
}

#[test]
fn keys_without_effect_are_told_to_operators() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operators.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let (_, section) = guide
        .split_once("## What the configuration may say without effect")
        .unwrap();
    let section = section.split("\n## ").next().unwrap();
    let lines = section
        .lines()
        .filter(|line| line.starts_with("- ") || line.starts_with("  "));
    let listed: Vec<&str> = lines.collect();
    let listed = listed.join("\n");
    let told: Vec<&str> = listed.split('`').skip(1).step_by(2).collect();
    for (half, keys) in [
        ("relayer", RelayerConfig::keys_without_effect()),
        ("miner", MinerConfig::keys_without_effect()),
    ] {
        for key in &keys {
            // A section stands for its keys.
            let is_told = told
                .iter()
                .any(|told| key == told || key.strip_prefix(told).is_some_and(|rest| rest.starts_with('.')));
            assert!(
                is_told,
                "docs/operators.md does not tell that {key} of a {half} is without effect"
            );
        }
    }
    let all = [RelayerConfig::keys_without_effect(), MinerConfig::keys_without_effect()].concat();
    for told in told {
        let is_true = all
            .iter()
            .any(|key| key == told || key.strip_prefix(told).is_some_and(|rest| rest.starts_with('.')));
        assert!(
            is_true,
            "docs/operators.md tells of {told}, whose comment in the example does not begin with \"Without effect\""
        );
    }
}
