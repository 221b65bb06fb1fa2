//! Variables in place of keys.

use pocket_config::{ConfigError, Environment, MinerConfig, RelayerConfig, RpcType};

const RELAYER: &str = "
redis: {url_file: /nowhere}
pocket_node: {query_node_rpc_url: 'http://localhost:26657', query_node_grpc_url: 'localhost:9090'}
keys: {keys_file: keys.yaml}
services:
  eth-Main: {backends: {jsonrpc: {urls: ['http://a', 'http://b']}}}
";

fn load(variables: &[(&str, &str)]) -> Result<RelayerConfig, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), RELAYER).unwrap();
    let environment = [("RELAYER_REDIS__URL", "redis://here:1")]
        .iter()
        .chain(variables)
        .copied();
    RelayerConfig::load_with(file.path(), &environment.collect())
}

/// What is said about the variables, without the file's name.
fn problems(variables: &[(&str, &str)]) -> Vec<String> {
    let error = load(variables).unwrap_err();
    error
        .problems()
        .iter()
        .map(|problem| problem.to_string().trim().to_owned())
        .collect()
}

#[test]
fn variable_stands_for_the_key_of_its_path() {
    let config = load(&[
        ("RELAYER_LISTEN_ADDR", ":1234"),
        ("RELAYER_METRICS__ENABLED", "false"),
        ("RELAYER_RELAY_METER__CACHE_TTL", "3h"),
        ("RELAYER_POOL_PROFILES__WIDE__MAX_CONNS_PER_HOST", "7"),
    ])
    .unwrap();
    assert_eq!(config.listen_addr.port, 1234);
    assert!(!config.metrics.enabled);
    assert_eq!(config.relay_meter.cache_ttl.as_secs(), 3 * 3600);
    assert_eq!(config.pool_profiles["wide"].max_connections_per_host, Some(7));
}

#[test]
fn names_that_operators_choose_are_found_by_their_letters() {
    let config = load(&[
        ("RELAYER_SERVICES__ETH_MAIN__MAX_BODY_SIZE_BYTES", "77"),
        ("RELAYER_SERVICES__POLY__BACKENDS__WEBSOCKET__URL", "ws://c"),
    ])
    .unwrap();
    assert_eq!(config.services["eth-Main"].max_body_size_bytes, 77);
    assert!(config.services["poly"].backends.contains_key(&RpcType::WebSocket));
}

#[test]
fn override_takes_the_place_of_another_way_to_say_it() {
    let config = load(&[("RELAYER_SERVICES__ETH_MAIN__BACKENDS__JSONRPC__URL", "http://only")]).unwrap();
    assert_eq!(config.redis.url.expose(), "redis://here:1");
    let endpoints = &config.services["eth-Main"].backends[&RpcType::JsonRpc].endpoints;
    assert_eq!(
        endpoints.iter().map(|one| one.url.as_str()).collect::<Vec<_>>(),
        ["http://only/"]
    );
}

#[test]
fn list_is_written_with_commas_and_anything_as_yaml() {
    let key = "RELAYER_SERVICES__ETH_MAIN__BACKENDS__JSONRPC__URLS";
    let addresses = |value: &str| {
        let config = load(&[(key, value)]).unwrap();
        let endpoints = &config.services["eth-Main"].backends[&RpcType::JsonRpc].endpoints;
        endpoints
            .iter()
            .map(|one| one.url.host_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(addresses("http://c, http://d,http://e"), ["c", "d", "e"]);
    assert_eq!(addresses("[{name: one, url: 'http://f'}, 'http://g']"), ["f", "g"]);
    assert_eq!(addresses("http://h"), ["h"]);
    let config = load(&[("RELAYER_SERVICES__SOL", "{backends: {rest: {url: 'http://i'}}}")]).unwrap();
    assert!(config.services["sol"].backends.contains_key(&RpcType::Rest));
}

#[test]
fn single_value_is_taken_as_it_is() {
    let key = "RELAYER_SERVICES__ETH_MAIN__BACKENDS__JSONRPC__AUTHENTICATION__BEARER_TOKEN";
    let config = load(&[(key, "a: #b, ${C} *")]).unwrap();
    let backend = &config.services["eth-Main"].backends[&RpcType::JsonRpc];
    let Some(pocket_config::Authentication::Bearer(token)) = &backend.authentication else {
        panic!()
    };
    assert_eq!(token.expose(), "a: #b, ${C} *");
}

#[test]
fn variable_of_a_key_goes_before_the_short_one_and_after_a_flag() {
    let both = [("REDIS_URL", "redis://short:1"), ("MINER_REDIS__URL", "redis://long:1")];
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), RELAYER.split("services").next().unwrap()).unwrap();
    let environment: Environment = both.into_iter().collect();
    let config = MinerConfig::load_with(file.path(), &environment).unwrap();
    assert_eq!(config.redis.url.expose(), "redis://long:1");
    let environment = environment.replacing("redis.url", "redis://flag:1", "--redis-url");
    let config = MinerConfig::load_with(file.path(), &environment).unwrap();
    assert_eq!(config.redis.url.expose(), "redis://flag:1");
}

#[test]
fn empty_variable_counts_as_not_set() {
    let config = load(&[("RELAYER_LISTEN_ADDR", ""), ("RELAYER_TLS__CERT_FILE", "")]).unwrap();
    assert_eq!((config.listen_addr.port, config.tls), (8080, None));
}

#[test]
fn wrong_value_is_told_with_its_variable() {
    assert_eq!(
        problems(&[("RELAYER_MAX_RELAYS_IN_FLIGHT", "many")]),
        [
            "environment variable RELAYER_MAX_RELAYS_IN_FLIGHT: max_relays_in_flight: expected a whole number, found \
             many; write digits, without quotes and without a unit"
        ]
    );
    assert_eq!(
        problems(&[("RELAYER_SERVICES__SOL", "{")])[0].split(':').next(),
        Some("environment variable RELAYER_SERVICES__SOL")
    );
}

#[test]
fn path_that_leads_nowhere_is_told_with_what_was_meant() {
    assert_eq!(
        problems(&[("RELAYER_REDIS__URI", "x"), ("RELAYER_LOGING__LEVEL", "x")]),
        [
            "environment variable RELAYER_LOGING__LEVEL: there is no key loging; did you mean RELAYER_LOGGING?",
            "environment variable RELAYER_REDIS__URI: there is no key uri in redis; did you mean RELAYER_REDIS__URL?",
        ]
    );
}

#[test]
fn other_programs_variables_are_no_error() {
    let variables = [
        ("RELAYER_SERVICE_HOST", "10.0.0.1"),
        ("RELAYER_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("RELAYER_CONFIG_FILE", "relayer.yaml"),
        ("RELAYER_LISTEN_ADR", ":1"),
        ("MINER_REDIS__NOTHING", "x"),
    ];
    load(&variables).unwrap();
    let unknown = RelayerConfig::unknown_variables(&variables.into_iter().collect());
    let unknown: Vec<_> = unknown
        .iter()
        .map(|one| (one.name.as_str(), one.remedy.as_str()))
        .collect();
    assert_eq!(unknown, [("RELAYER_LISTEN_ADR", "did you mean RELAYER_LISTEN_ADDR?")]);
}
