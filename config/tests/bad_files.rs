//! Files that do not load, and exactly what is said about them.

use pocket_config::{Environment, MinerConfig, ProblemKind, RelayerConfig};

const RELAYER: &str = "\
redis: {url: redis://localhost:6379}
pocket_node: {query_node_rpc_url: http://localhost:26657, query_node_grpc_url: 'localhost:9090'}
keys: {keys_file: keys.yaml}
services: {eth: {backends: {jsonrpc: {url: http://localhost:8545}}}}
";

const MINER: &str = "\
redis: {url: redis://localhost:6379}
pocket_node: {query_node_rpc_url: http://localhost:26657, query_node_grpc_url: 'localhost:9090'}
keys: {keys_dir: keys}
";

/// The lines of the error for a relayer's file.
fn relayer(text: &str) -> Vec<String> {
    let error = RelayerConfig::from_str("r", text).unwrap_err();
    error.to_string().lines().map(str::to_owned).collect()
}

/// The lines of the error for the required keys of a relayer and `more`, from line 5.
fn relayer_with(more: &str) -> Vec<String> {
    relayer(&format!("{RELAYER}{more}"))
}

/// The lines of the error for a relayer with this for `services`, in line 4.
fn services(services: &str) -> Vec<String> {
    let required: Vec<_> = RELAYER.lines().take(3).collect();
    relayer(&format!("{}\nservices: {services}\n", required.join("\n")))
}

/// The lines of the error for a relayer with this backend of the type jsonrpc, in line 4.
fn backend(backend: &str) -> Vec<String> {
    services(&format!("{{eth: {{backends: {{jsonrpc: {backend}}}}}}}"))
}

/// The lines of the error for the required keys of a miner and `more`, from line 4.
fn miner_with(more: &str) -> Vec<String> {
    let error = MinerConfig::from_str("m", &format!("{MINER}{more}")).unwrap_err();
    error.to_string().lines().map(str::to_owned).collect()
}

macro_rules! table {
    ($($name:ident: $found:expr => [$($line:expr),+ $(,)?];)+) => {$(
        #[test]
        fn $name() {
            assert_eq!($found, [$($line),+]);
        }
    )+};
}

table! {
    empty_file_lacks_every_required_key: relayer("") => [
        "r: services: is missing; add services, with its entries on the lines below",
        "r: pocket_node.query_node_rpc_url: is missing; add query_node_rpc_url: http://localhost:26657",
        "r: pocket_node.query_node_grpc_url: is missing; add query_node_grpc_url: localhost:9090",
        "r: keys: names no source of keys; add keys_file, keys_dir or keyring",
    ];
    node_of_a_list_is_named_by_its_place: relayer(&RELAYER.replace(
        "query_node_rpc_url: http://localhost:26657, query_node_grpc_url: 'localhost:9090'",
        "query_node_rpc_url: [http://a, ftp://b, http://a], query_node_grpc_url: 'a:1,b'",
    )) => [
        "r:2:46: pocket_node.query_node_rpc_url[1]: the scheme \"ftp\" is not HTTP's; write a URL that starts with http:// or https://",
        "r:2:55: pocket_node.query_node_rpc_url[2]: is written twice; leave one of them out",
        "r:2:87: pocket_node.query_node_grpc_url[1]: is not host:port; write host:port, such as localhost:9090 or grpc.example.org:443",
    ];
    list_of_nodes_is_not_empty: relayer(&RELAYER.replace("query_node_rpc_url: http://localhost:26657", "query_node_rpc_url: []")) => [
        "r:2:35: pocket_node.query_node_rpc_url: is an empty list; write one or more, such as http://localhost:26657",
    ];
    misspelt_key_is_answered_with_the_right_one: relayer_with("lisen_addr: :8080\nmetrics: {adr: x}\n") => [
        "r:5:1: lisen_addr: unknown key; did you mean \"listen_addr\"?",
        "r:6:11: metrics.adr: unknown key; did you mean \"addr\"?",
    ];
    key_like_no_other_is_answered_with_all: relayer_with("response_compression: {banana: 1}\n") => [
        "r:5:24: response_compression.banana: unknown key; remove it, or use one of: enabled, min_size_bytes",
    ];
    key_written_twice_is_named_with_its_first_place: relayer_with("listen_addr: :1\nlisten_addr: :2\n") => [
        "r:6:1: listen_addr: written twice in one section, first in line 5; remove one of them",
    ];
    tab_is_no_indentation: relayer("redis:\n\turl: x\n") => [
        "r:2:2: not valid YAML: tabs disallowed within this context (block indentation); check the indentation (spaces, no tabs), quotes and brackets around this place",
    ];
    second_document_is_refused: relayer_with("---\nx: 1\n") => [
        "r:5:1: a second document starts here; keep one document in a file",
    ];
    list_is_no_section: relayer_with("metrics: [1]\n") => [
        "r:5:10: metrics: expected a section, found a list; write its keys on the lines below, indented further",
    ];
    quoted_number_is_text: relayer_with("default_request_timeout_seconds: '30'\n") => [
        "r:5:34: default_request_timeout_seconds: expected a whole number of seconds, found the text \"30\"; write digits, without quotes and without a unit",
    ];
    unit_is_not_written_where_the_key_has_it: relayer_with("default_request_timeout_seconds: 2m\n") => [
        "r:5:34: default_request_timeout_seconds: expected a whole number of seconds, found 2m; write 120",
    ];
    duration_without_a_unit_is_refused: relayer_with("relay_meter: {cache_ttl: 7200}\n") => [
        "r:5:26: relay_meter.cache_ttl: the duration 7200 has no unit; write 7200s for seconds; units are ns, us, ms, s, m and h",
    ];
    negative_duration_is_refused: relayer_with("default_request_timeout_seconds: -5\n") => [
        "r:5:34: default_request_timeout_seconds: -5 seconds is negative; write 0 or more",
    ];
    timeout_of_nought_is_refused_where_it_would_be_none: relayer_with("http_transport: {dial_timeout_seconds: 0}\n") => [
        "r:5:40: http_transport.dial_timeout_seconds: 0 seconds is too short; write 1 or more",
    ];
    word_is_no_truth_value: relayer_with("metrics: {enabled: sure}\n") => [
        "r:5:20: metrics.enabled: expected true or false, found sure; write true or false, without quotes",
    ];
    unknown_choice_is_answered_with_the_nearest: relayer_with("default_validation_mode: egaer\n") => [
        "r:5:26: default_validation_mode: \"egaer\" is not known here; did you mean \"eager\"? Possible are: eager, optimistic",
    ];
    address_without_a_port_is_refused: relayer_with("listen_addr: localhost\n") => [
        "r:5:14: listen_addr: \"localhost\" is no address to listen on; write host:port with a port of 0 to 65535, such as 0.0.0.0:8080, [::]:8080 or :8080",
    ];
    two_servers_cannot_share_an_address: relayer_with("metrics: {addr: 'localhost:8080'}\n") => [
        "r:5:17: metrics.addr: localhost:8080 is already taken by listen_addr; give each server its own port",
    ];
    application_with_a_wrong_checksum_is_refused: relayer_with("cache_warmup: {known_applications: [pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva5]}\n") => [
        "r:5:37: cache_warmup.known_applications[0]: \"pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva5\": the address is not bech32 text; write the application's address, pokt1 and 38 characters",
    ];
    simulation_without_identities_is_refused: relayer_with("simulation: {enabled: true}\n") => [
        "r:5:13: simulation.identities: is empty; add an identity, or set enabled: false",
    ];
    services_must_not_be_empty: services("{}") => [
        "r:4:11: services: names no service; add a service by its id, with its backends",
    ];
    service_id_of_other_characters_is_refused: services("{eth.main: {backends: {jsonrpc: {url: http://a}}}}") => [
        "r:4:12: services.\"eth.main\": a service id has 1 to 42 characters of A-Z, a-z, 0-9, `_` and `-`; write the service's id as it is on chain",
    ];
    service_without_backends_is_refused: services("{eth: {validation_mode: eager}}") => [
        "r:4:17: services.eth.backends: is missing; add backends, with its entries on the lines below",
    ];
    abbreviated_type_of_backend_is_answered_with_the_full_one: services("{eth: {backends: {ws: {url: ws://a}}}}") => [
        "r:4:29: services.eth.backends.ws: \"ws\" is not known here; did you mean \"websocket\"? Possible are: jsonrpc, rest, websocket, grpc, cometbft",
    ];
    default_backend_must_be_there: services("{eth: {default_backend: rest, backends: {jsonrpc: {url: http://a}}}}") => [
        "r:4:35: services.eth.default_backend: there is no backend \"rest\"; add it to backends, or write one of: jsonrpc",
    ];
    profiles_must_be_there: services("{eth: {timeout_profile: fats, pool_profile: huge, backends: {jsonrpc: {url: http://a}}}}") => [
        "r:4:35: services.eth.timeout_profile: there is no profile \"fats\"; did you mean \"fast\"? Or add it to timeout_profiles",
        "r:4:55: services.eth.pool_profile: there is no profile \"huge\"; add it to pool_profiles, or write one of: high, low, medium",
    ];
    backend_needs_a_url: backend("{max_retries: 1}") => [
        "r:4:38: services.eth.backends.jsonrpc.url: is missing; add url: http://localhost:8545, or a list of them as urls",
    ];
    backend_has_url_or_urls: backend("{url: http://a, urls: [http://b]}") => [
        "r:4:60: services.eth.backends.jsonrpc.urls: stands beside url; keep one of url and urls",
    ];
    urls_must_differ: backend("{urls: ['http://a/', 'http://a:80']}") => [
        "r:4:45: services.eth.backends.jsonrpc.urls: entry 2 is there already; remove it",
    ];
    url_needs_the_scheme_of_its_type: services("{eth: {backends: {websocket: {url: http://a}, jsonrpc: {url: ws://a}}}}") => [
        "r:4:46: services.eth.backends.websocket.url: the scheme \"http\" does not fit; write a URL that starts with ws:// or wss://",
        "r:4:72: services.eth.backends.jsonrpc.url: the scheme \"ws\" does not fit; write a URL that starts with http:// or https:// or grpc:// or grpcs://",
    ];
    retries_have_a_limit: backend("{url: http://a, max_retries: 4}") => [
        "r:4:67: services.eth.backends.jsonrpc.max_retries: 4 is out of range; write 0 to 3",
    ];
    health_check_needs_path_and_interval: backend("{url: http://a, health_check: {enabled: true}}") => [
        "r:4:68: services.eth.backends.jsonrpc.health_check.interval_seconds: is missing; add interval_seconds: 10",
        "r:4:68: services.eth.backends.jsonrpc.health_check.endpoint: is missing; add endpoint, the path to probe, or give the backend a base_path",
    ];
    one_way_to_authenticate_is_enough: backend("{url: http://a, authentication: {bearer_token: hunter2, plain_token: hunter3}}") => [
        "r:4:70: services.eth.backends.jsonrpc.authentication: more than one way to authenticate; keep one of: username with password, bearer_token, plain_token",
    ];
    username_needs_a_password: backend("{url: http://a, authentication: {username: me}}") => [
        "r:4:70: services.eth.backends.jsonrpc.authentication.password: is missing; give username and password together",
    ];
    unset_variable_is_named: miner_with("block_time_seconds: ${PACE}\n") => [
        "m:4:21: block_time_seconds: the variable PACE is not set; set PACE, or give a default as ${PACE:-value}",
    ];
    lease_must_outlast_its_renewal: miner_with("supplier_claiming: {claim_ttl_seconds: 10, renew_rate_seconds: 10}\nleader_election: {leader_ttl_seconds: 5}\n") => [
        "m:4:64: supplier_claiming.renew_rate_seconds: renew_rate_seconds (10 s) is not less than claim_ttl_seconds (10 s): the lease runs out before it is renewed; make renew_rate_seconds a third of claim_ttl_seconds or less",
        "m:5:39: leader_election.leader_ttl_seconds: heartbeat_rate_seconds (10 s) is not less than leader_ttl_seconds (5 s): the lease runs out before it is renewed; make heartbeat_rate_seconds a third of leader_ttl_seconds or less",
    ];
    transaction_cannot_be_valid_for_ten_minutes: miner_with("transaction: {tx_timeout_max_seconds: 600}\n") => [
        "m:4:39: transaction.tx_timeout_max_seconds: 600 seconds is too long: the chain refuses transactions valid for 600 and more; write 599 or less",
    ];
    least_timeout_is_not_above_the_most: miner_with("transaction: {tx_timeout_min_seconds: 90, tx_timeout_max_seconds: 60}\n") => [
        "m:4:39: transaction.tx_timeout_min_seconds: 90 seconds is more than tx_timeout_max_seconds, 60; make the least the smaller of the two",
    ];
    gas_is_paid_in_upokt_and_not_below_its_use: miner_with("transaction: {gas_price: 1pokt, gas_adjustment: 0.5}\n") => [
        "m:4:26: transaction.gas_price: \"1pokt\" is no price of gas; write an amount of upokt, such as 0.000001upokt",
        "m:4:49: transaction.gas_adjustment: 0.5 would pay for less gas than is used; write 1 or more, such as 1.7",
    ];
    pings_come_before_silence_counts: relayer_with("websocket: {ping_interval_seconds: 30}\n") => [
        "r:5:36: websocket.ping_interval_seconds: is not below idle_timeout_seconds: a silent peer would be cut off before it was asked; ping more often, or allow a longer silence",
    ];
    negative_count_is_refused: miner_with("batch_size: -1\ntransaction: {gas_limit: -1}\n") => [
        "m:4:13: batch_size: -1 is out of range; write 0 to 4294967295",
        "m:5:26: transaction.gas_limit: -1 is too small; write 0 or more",
    ];
    service_factor_is_not_negative: miner_with("service_factors: {eth: -0.1}\n") => [
        "m:4:24: service_factors.eth: -0.1 is too small; write 0 or more",
    ];
}

#[test]
fn problems_are_counted_by_kind() {
    let error = MinerConfig::from_str("m", &format!("{MINER}batch_size: x\nbatch_sise: 1\n")).unwrap_err();
    let kinds: Vec<_> = error.problems().iter().map(|problem| problem.kind).collect();
    assert_eq!(kinds, [ProblemKind::WrongType, ProblemKind::UnknownKey]);
}

#[test]
fn missing_file_is_named() {
    let error = RelayerConfig::load_with("/nowhere/relayer.yaml", &Environment::default()).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot read /nowhere/relayer.yaml: "),
        "{error}"
    );
}
