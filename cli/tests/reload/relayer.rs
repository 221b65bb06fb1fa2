use std::net::{Ipv4Addr, SocketAddr};

use crate::world::{Half, World, backend, free_port, until};

const APPLIED: &str = r#"ha_config_reloads_total{result="applied"}"#;
const REFUSED: &str = r#"ha_config_reloads_total{result="refused"}"#;

struct Serving {
    address: SocketAddr,
    metrics: u16,
}

impl Serving {
    fn new() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, free_port()).into(),
            metrics: free_port(),
        }
    }

    /// A relayer's file.
    fn config(&self, world: &World, backend: &str) -> String {
        format!(
            "{}health_check: {{ enabled: false }}
listen_addr: {}
services: {{ svc-http: {{ backends: {{ jsonrpc: {{ url: '{backend}' }} }} }} }}
",
            world.common(self.metrics),
            self.address
        )
    }

    async fn start(&self, world: &World) -> Half {
        world.write("relayer.yaml", &self.config(world, &world.backend.url()));
        let relayer = world.start("relayer", self.metrics, &[]);
        until("a relay is answered", async || {
            world.relay(self.address, "supplier1").await.is_ok()
        })
        .await;
        relayer
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_is_added_to_the_file_serves_and_a_removed_one_does_not() {
    let world = World::new().await;
    world.write_keys(&["supplier1"]);
    let serving = Serving::new();
    let relayer = serving.start(&world).await;
    assert!(world.relay(serving.address, "supplier2").await.is_err());
    relayer.shows("ha_keys_supplier_keys_active", 1).await;

    world.write_keys(&["supplier1", "supplier2"]);
    relayer.shows(APPLIED, 1).await;
    world.relay(serving.address, "supplier2").await.unwrap();
    relayer.shows("ha_keys_supplier_keys_active", 2).await;

    world.write_keys(&["supplier2"]);
    relayer.hang_up();
    relayer.shows(r#"ha_keys_changes_total{type="removed"}"#, 1).await;
    assert!(world.relay(serving.address, "supplier1").await.is_err());
    world.relay(serving.address, "supplier2").await.unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_file_is_told_and_changes_nothing_and_the_mended_one_is_taken_up() {
    let world = World::new().await;
    world.write_keys(&["supplier1"]);
    let serving = Serving::new();
    let relayer = serving.start(&world).await;
    let other = backend().await;
    let good = serving.config(&world, &other.url());

    let wrong = good.replace("services:", "servces:");
    let line = 1 + wrong.lines().position(|line| line.starts_with("servces:")).unwrap();
    world.write("relayer.yaml", &wrong);
    relayer.hang_up();
    relayer
        .says(&[
            "configuration not reloaded",
            "ERROR",
            &format!("relayer.yaml:{line}:1: servces: unknown key; did you mean \\\"services\\\"?"),
        ])
        .await;
    relayer.shows(REFUSED, 1).await;
    relayer.shows("ha_config_last_reload_successful", 0).await;

    world.write(
        "relayer.yaml",
        &good.replace("pprof: { enabled: false }", "pprof: { enabled: true }"),
    );
    relayer
        .says(&[
            "configuration not reloaded",
            "pprof cannot change while the process runs",
        ])
        .await;

    world.write("keys.yaml", "keys: [no key]");
    world.write("relayer.yaml", &good);
    relayer
        .says(&["configuration not reloaded", "keys.yaml", "keys[0]"])
        .await;
    world.relay(serving.address, "supplier1").await.unwrap();
    assert_eq!(other.received(), 0);

    world.write_keys(&["supplier1"]);
    relayer.shows(APPLIED, 1).await;
    relayer.shows("ha_config_last_reload_successful", 1).await;
    world.relay(serving.address, "supplier1").await.unwrap();
    assert_eq!(other.received(), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_level_follows_the_file() {
    let world = World::new().await;
    world.write_keys(&["supplier1"]);
    let serving = Serving::new();
    let relayer = serving.start(&world).await;
    assert!(!relayer.said().contains(r#""level":"DEBUG""#));
    let config = serving.config(&world, &world.backend.url());
    world.write("relayer.yaml", &config.replace("level: info", "level: debug"));
    relayer.says(&["configuration reloaded", "log level debug"]).await;
    let _ = world.relay(serving.address, "supplier2").await;
    relayer.says(&[r#""level":"DEBUG""#, "relay refused"]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_in_a_file_of_its_own_is_followed() {
    let world = World::new().await;
    world.write_keys(&["supplier1"]);
    let serving = Serving::new();
    world.write("token", "first");
    let token = world.path("token").display().to_string();
    let secured = format!("', authentication: {{ bearer_token_file: '{token}' }} }} }} }} }}");
    let config = serving
        .config(&world, &world.backend.url())
        .replace("' } } } }", &secured);
    assert!(config.contains("bearer_token_file"), "{config}");
    world.write("relayer.yaml", &config);
    let relayer = world.start("relayer", serving.metrics, &[]);
    relayer.says(&["serving relays"]).await;
    world.write("token", "second");
    relayer.shows(APPLIED, 1).await;
    relayer
        .says(&["configuration reloaded", "a file changed", "settings"])
        .await;
    world.end().await;
}
