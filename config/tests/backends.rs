//! Keys about backends and the relay port that the peer does not have: what they come to, and what is wrong with them.

use std::path::PathBuf;
use std::time::Duration;

use pocket_config::{
    BackendConfig, BackendSelection, HealthCheckKind, OutlierEjection, RelayerConfig, RetriedRequests, RpcType,
};

const REQUIRED: &str = "\
redis: {url: redis://localhost:6379}
pocket_node: {query_node_rpc_url: http://localhost:26657, query_node_grpc_url: 'localhost:9090'}
keys: {keys_file: keys.yaml}
";

fn relayer(service: &str, more: &str) -> Result<RelayerConfig, Vec<String>> {
    let text = format!("{REQUIRED}services: {{eth: {service}}}\n{more}");
    RelayerConfig::from_str("r", &text).map_err(|error| error.to_string().lines().map(str::to_owned).collect())
}

fn backend(backend: &str) -> Result<BackendConfig, Vec<String>> {
    let config = relayer(&format!("{{backends: {{jsonrpc: {backend}}}}}"), "")?;
    Ok(config.services["eth"].backends[&RpcType::JsonRpc].clone())
}

/// The problems of a file, without the place where each is.
fn problems<T: std::fmt::Debug>(read: Result<T, Vec<String>>) -> Vec<String> {
    let lines = read.unwrap_err();
    let without_place = |line: &String| line.split_once(": ").unwrap().1.to_owned();
    lines.iter().map(without_place).collect()
}

#[test]
fn what_is_not_written_is_off_or_careful() {
    let config = backend("{urls: [http://a, http://b]}").unwrap();
    assert_eq!(config.selection, BackendSelection::RoundRobin);
    assert_eq!(config.retried_requests, RetriedRequests::Idempotent);
    assert_eq!(config.hedge_after, None);
    let off = OutlierEjection {
        enabled: false,
        interval: Duration::from_secs(10),
        min_relays: 20,
        failure_percent: 50,
        ejection_time: Duration::from_secs(30),
        max_ejected_percent: 50,
    };
    assert_eq!(config.outlier_ejection, off);
    let config = relayer("{backends: {jsonrpc: {url: http://a}}}", "").unwrap();
    assert_eq!(config.tls, None);
    assert_eq!(config.http_transport.ca_file, None);
    assert_eq!(config.http_transport.warm_connections_per_host, 0);
    assert_eq!(config.http_transport.idle_connection_timeout, Duration::from_mins(5));
    assert!(config.services["eth"].fallback_backends.is_empty());
}

#[test]
fn every_key_is_read() {
    let config = backend(
        "{urls: [http://a, http://b], load_balancing: least_latency, retry_requests: all, hedge_after_ms: 250, \
         outlier_ejection: {enabled: true, interval_seconds: 1, min_relays: 2, failure_percent: 3, \
         ejection_seconds: 4, max_ejected_percent: 5}, health_check: {enabled: true, interval_seconds: 7, \
         type: jsonrpc, rpc_method: eth_syncing, rpc_params: '[]', expected_result: false}}",
    )
    .unwrap();
    assert_eq!(config.selection, BackendSelection::LeastLatency);
    assert_eq!(config.retried_requests, RetriedRequests::All);
    assert_eq!(config.hedge_after, Some(Duration::from_millis(250)));
    let outliers = OutlierEjection {
        enabled: true,
        interval: Duration::from_secs(1),
        min_relays: 2,
        failure_percent: 3,
        ejection_time: Duration::from_secs(4),
        max_ejected_percent: 5,
    };
    assert_eq!(config.outlier_ejection, outliers);
    let check = config.health_check.unwrap();
    assert_eq!(check.kind, Some(HealthCheckKind::JsonRpc));
    assert_eq!(check.rpc_method.as_deref(), Some("eth_syncing"));
    assert_eq!(check.rpc_params.as_deref(), Some("[]"));
    assert_eq!(check.expected_result.as_deref(), Some("false"));

    let config = relayer(
        "{fallback_backends: [rest, jsonrpc], backends: {jsonrpc: {url: http://a}, rest: {url: http://b}}}",
        "tls: {cert_file: c.pem, key_file: k.pem}\nhttp_transport: {ca_file: ca.pem, warm_conns_per_host: 7}\n",
    )
    .unwrap();
    let fallbacks = &config.services["eth"].fallback_backends;
    assert_eq!(fallbacks[..], [RpcType::Rest, RpcType::JsonRpc]);
    let tls = config.tls.unwrap();
    assert_eq!((tls.cert_file, tls.key_file), (PathBuf::from("c.pem"), "k.pem".into()));
    assert_eq!(config.http_transport.ca_file, Some("ca.pem".into()));
    assert_eq!(config.http_transport.warm_connections_per_host, 7);
}

#[test]
fn probes_of_sockets_and_calls_need_no_path() {
    for (kind, url) in [("websocket", "ws://a"), ("grpc", "grpc://a")] {
        let check = "health_check: {enabled: true, interval_seconds: 1}";
        let service = format!("{{backends: {{{kind}: {{url: '{url}', {check}}}}}}}");
        relayer(&service, "").unwrap();
    }
    backend("{url: http://a, health_check: {enabled: true, interval_seconds: 1, type: grpc}}").unwrap();
}

#[test]
fn probe_by_call_needs_its_method_and_its_keys_need_it() {
    assert_eq!(
        problems(backend(
            "{url: http://a, health_check: {enabled: true, interval_seconds: 1, type: jsonrpc}}"
        )),
        ["services.eth.backends.jsonrpc.health_check.rpc_method: is missing; add rpc_method: eth_syncing"]
    );
    assert_eq!(
        problems(backend("{url: http://a, health_check: {expected_result: '0x1'}}")),
        [
            "services.eth.backends.jsonrpc.health_check.expected_result: is for another type of probe; add type: \
             jsonrpc, or remove it"
        ]
    );
    assert_eq!(
        problems(backend("{url: http://a, health_check: {type: ws}}")),
        [
            "services.eth.backends.jsonrpc.health_check.type: \"ws\" is not known here; did you mean \"websocket\"? \
             Possible are: http, jsonrpc, grpc, websocket"
        ]
    );
}

#[test]
fn fallback_is_an_http_type_that_has_a_backend() {
    for fallback in ["rest", "websocket"] {
        let service = format!(
            "{{fallback_backends: [{fallback}], backends: {{jsonrpc: {{url: http://a}}, websocket: {{url: ws://a}}}}}}"
        );
        assert_eq!(
            problems(relayer(&service, "")),
            [format!(
                "services.eth.fallback_backends: \"{fallback}\" cannot stand in for others; list types that are in \
                 backends, of jsonrpc, rest and cometbft"
            )]
        );
    }
}

#[test]
fn tls_needs_both_files() {
    assert_eq!(
        problems(relayer(
            "{backends: {jsonrpc: {url: http://a}}}",
            "tls: {cert_file: c.pem}"
        )),
        ["tls.key_file: is missing; add key_file: /path/to/file"]
    );
}

#[test]
fn shares_are_percentages() {
    let ejection = "{url: http://a, outlier_ejection: {failure_percent: 101, max_ejected_percent: 0}}";
    assert_eq!(
        problems(backend(ejection)),
        [
            "services.eth.backends.jsonrpc.outlier_ejection.failure_percent: 101 is out of range; write 1 to 100",
            "services.eth.backends.jsonrpc.outlier_ejection.max_ejected_percent: 0 is out of range; write 1 to 100",
        ]
    );
}
