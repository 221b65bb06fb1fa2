//! Secrets need not stand in the file.

use pocket_config::{Authentication, RelayerConfig, RpcType, Secret};

/// A relayer with this backend and the file that it names as `SECRET`.
fn backend(backend: &str) -> pocket_config::BackendConfig {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "http://user:hunter2@secret/\n").unwrap();
    let backend = backend.replace("SECRET", secret.path().to_str().unwrap());
    let text = format!(
        "redis: {{url: redis://localhost}}\nkeys: {{keys_file: keys.yaml}}\n\
         pocket_node: {{query_node_rpc_url: http://localhost, query_node_grpc_url: 'localhost:9090'}}\n\
         services: {{eth: {{backends: {{jsonrpc: {backend}}}}}}}"
    );
    let config = RelayerConfig::from_str("r", &text).unwrap();
    config.services["eth"].backends[&RpcType::JsonRpc].clone()
}

#[test]
fn every_secret_of_a_backend_may_be_in_a_file() {
    const CONTENT: &str = "http://user:hunter2@secret/";
    assert_eq!(backend("{url_file: SECRET}").endpoints[0].url.as_str(), CONTENT);
    let headers = backend("{url: http://a, headers: {X-Key: {file: SECRET}, X-Tier: paid}}").headers;
    let values: Vec<&str> = headers.values().map(Secret::expose).collect();
    assert_eq!(values, [CONTENT, "paid"]);
    let check = backend("{url: http://a, health_check: {headers: {X-Key: {file: SECRET}}}}").health_check;
    assert_eq!(check.unwrap().headers.values().next().unwrap().expose(), CONTENT);
    for (keys, is) in [
        (
            "bearer_token_file: SECRET",
            Authentication::Bearer(Secret::new(CONTENT)),
        ),
        ("plain_token_file: SECRET", Authentication::Plain(Secret::new(CONTENT))),
        (
            "username: me, password_file: SECRET",
            Authentication::Basic {
                username: "me".to_owned(),
                password: Secret::new(CONTENT),
            },
        ),
    ] {
        let found = backend(&format!("{{url: http://a, authentication: {{{keys}}}}}")).authentication;
        assert_eq!(found, Some(is));
    }
}
