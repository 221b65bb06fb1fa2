//! The schemas in docs/schemas are those of the program; they accept what it accepts and refuse what it refuses.

use std::path::PathBuf;

use jsonschema::Validator;
use pocket_config::{MinerConfig, RelayerConfig};
use serde_json::Value;

/// Set to write the schemas anew, after a key has changed.
const UPDATE: &str = "UPDATE_SCHEMAS";

fn committed(half: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas");
    folder.join(format!("{half}.schema.json"))
}

fn schemas() -> [(&'static str, Value); 2] {
    [("relayer", RelayerConfig::schema()), ("miner", MinerConfig::schema())]
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn relayer() -> Validator {
    jsonschema::validator_for(&RelayerConfig::schema()).unwrap()
}

fn miner() -> Validator {
    jsonschema::validator_for(&MinerConfig::schema()).unwrap()
}

#[track_caller]
fn assert_accepts(validator: &Validator, text: &str) {
    let document = yaml(text);
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn committed_schema_is_the_programs() {
    for (half, schema) in schemas() {
        let path = committed(half);
        let text = format!("{schema:#}\n");
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap();
        assert!(found == text, "{} is stale: run make schemas", path.display());
    }
}

#[test]
fn every_key_has_a_description_and_a_type() {
    fn check(schema: &Value, path: &str) {
        let properties = schema["properties"].as_object().into_iter().flatten();
        for (name, below) in properties {
            let path = format!("{path}/{name}");
            // Names of a map are values, not keys.
            let is_name = ["jsonrpc", "rest", "websocket", "grpc", "cometbft"].contains(&name.as_str());
            assert!(is_name || below["description"].is_string(), "{path} has no description");
            let has_type = ["type", "anyOf", "$ref"].iter().any(|word| below.get(word).is_some());
            assert!(has_type, "{path} has no type");
            check(below, &path);
        }
        for word in ["items", "additionalProperties"] {
            if schema[word].is_object() {
                check(&schema[word], path);
            }
        }
    }
    for (half, schema) in schemas() {
        check(&schema, half);
    }
}

#[test]
fn schema_tells_types_defaults_and_bounds() {
    let relayer = RelayerConfig::schema();
    let key = |path: &str| relayer.pointer(&path.replace('.', "/properties/")).cloned().unwrap();
    assert_eq!(key(".listen_addr")["default"], "0.0.0.0:8080");
    assert_eq!(key(".default_validation_mode")["anyOf"][0]["enum"][0], "eager");
    assert_eq!(key(".relay_meter.cache_ttl")["default"], "2h");
    let backend = "/properties/services/additionalProperties/properties/backends/properties/jsonrpc/properties";
    let retries = &relayer.pointer(backend).unwrap()["max_retries"];
    assert_eq!((&retries["maximum"], &retries["default"]), (&3.into(), &1.into()));
    assert!(retries["description"].as_str().unwrap().contains("At another URL"));
}

#[test]
fn schema_accepts_the_examples_and_every_key_of_the_peer() {
    assert_accepts(&relayer(), RelayerConfig::EXAMPLE);
    assert_accepts(&miner(), MinerConfig::EXAMPLE);
    let required = "
redis: {url: redis://localhost:6379}
pocket_node: {query_node_rpc_url: http://localhost:26657, query_node_grpc_url: 'localhost:9090'}
keys: {keys_file: keys.yaml}
";
    let several = "query_node_rpc_url: [http://a, https://b], query_node_grpc_url: 'a:9090,b:443'";
    let one = "query_node_rpc_url: http://localhost:26657, query_node_grpc_url: 'localhost:9090'";
    assert_accepts(&miner(), &required.replace(one, several));
    let services = "services: {eth: {backends: {jsonrpc: {url: http://localhost:8545}}}}\n";
    let every_key = include_str!("../data/relayer_every_key.yaml");
    assert_accepts(&relayer(), &format!("{required}{services}{every_key}"));
    assert_accepts(
        &miner(),
        &format!("{required}{}", include_str!("../data/miner_every_key.yaml")),
    );
}

#[test]
fn schema_refuses_what_the_program_refuses() {
    let wrong = [
        ("listen_addr: 0.0.0.0:8080", "lisen_addr: 0.0.0.0:8080"),
        ("listen_addr: 0.0.0.0:8080", "listen_addr: localhost"),
        ("level: info", "level: loud"),
        (
            "enabled: true # Whether it is served",
            "enabled: sure # Whether it is served",
        ),
        ("          interval_seconds: 10", "          interval_seconds: often"),
        ("timeout_profile: fast", "timeout_profile: [fast]"),
        ("url: http://localhost:8545", "uri: http://localhost:8545"),
        ("url: ws://localhost:8546", "url: http://localhost:8546"),
        ("      websocket:", "      ws:"),
        ("url: redis://localhost:6379", "url: localhost:6379"),
        ("  query_node_rpc_url: http://localhost:26657", "  grpc_insecure2: true"),
        (
            "  query_node_rpc_url: http://localhost:26657",
            "  query_node_rpc_url: []",
        ),
        (
            "  query_node_rpc_url: http://localhost:26657",
            "  query_node_rpc_url: [http://a, ftp://b]",
        ),
        ("  keys_file: supplier-keys.yaml", "  keys_files: supplier-keys.yaml"),
    ];
    for (right, mistake) in wrong {
        let text = RelayerConfig::EXAMPLE.replacen(right, mistake, 1);
        assert_ne!(text, RelayerConfig::EXAMPLE, "{right} is in the example");
        assert!(
            RelayerConfig::from_str("r", &text).is_err(),
            "the program accepts {mistake}"
        );
        assert!(!relayer().is_valid(&yaml(&text)), "the schema accepts {mistake}");
    }
}

#[test]
fn schema_accepts_variables_in_place_of_any_value() {
    for (written, variable) in [
        ("          interval_seconds: 10", "          interval_seconds: ${PACE}"),
        (
            "enabled: true # Whether it is served",
            "enabled: ${ENABLED:-true} # Whether it is served",
        ),
        ("level: info", "level: ${LEVEL:-info}"),
        ("url: redis://localhost:6379", "url: ${REDIS:-redis://localhost:6379}"),
    ] {
        assert_accepts(&relayer(), &RelayerConfig::EXAMPLE.replacen(written, variable, 1));
    }
}
