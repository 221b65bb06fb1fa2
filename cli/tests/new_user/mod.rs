//! What a new user does wrong, and what the program says to it: at `validate`, and at start.

mod start;
mod validate;

use std::path::PathBuf;
use std::process::Output;

use pocket_client::{SampleBackend, SampleBackendConfig};
use pocket_devnet::{Actor, Devnet, DevnetConfig, Genesis};
use pocket_store::PrivateRedis;
use tempfile::TempDir;

use super::{assert_says, command, text};

/// The types that the supplier of this world is staked with.
const STAKED: [&str; 2] = ["JSON-RPC", "WebSocket"];
/// The supplier's service.
const SERVICE: &str = "svc-http";

/// A chain with a supplier of one service, a Redis, a backend, and the two configurations that go with them.
struct World {
    folder: TempDir,
    devnet: Devnet,
    redis: Option<PrivateRedis>,
    backend: SampleBackend,
    supplier: Actor,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with another genesis.
    async fn with(change: impl FnOnce(&mut Genesis)) -> Self {
        let supplier = Actor::named("supplier1");
        let mut genesis = Genesis::localnet();
        genesis.suppliers.truncate(1);
        let services = &mut genesis.suppliers[0].services;
        services.retain(|service| service.service_id == SERVICE);
        // JSON-RPC and WebSocket, by the chain's numbers.
        services[0]
            .endpoints
            .retain(|endpoint| matches!(endpoint.rpc_type, 2 | 3));
        assert_eq!(services[0].endpoints.len(), STAKED.len());
        change(&mut genesis);
        let devnet = Devnet::start(DevnetConfig {
            genesis,
            ..DevnetConfig::default()
        });
        let folder = tempfile::tempdir().unwrap();
        let redis = PrivateRedis::start(folder.path(), true).await.unwrap();
        let backend = SampleBackend::start(SampleBackendConfig::default()).await.unwrap();
        let world = Self {
            devnet: devnet.await.unwrap(),
            redis: Some(redis),
            backend,
            supplier,
            folder,
        };
        world.write(
            "keys.yaml",
            &format!("keys: [\"{}\"]", hex(&world.supplier.private_key)),
        );
        world.configure(str::to_owned);
        world
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes both configurations; `change` gets the text that is good.
    fn configure(&self, change: impl Fn(&str) -> String) {
        let common = format!(
            "redis: {{ url: {} }}\n\
             pocket_node: {{ query_node_rpc_url: {}, query_node_grpc_url: '{}', grpc_insecure: true, chain_id: pocket }}\n\
             keys: {{ keys_file: {} }}\n\
             metrics: {{ enabled: false }}\n",
            self.redis
                .as_ref()
                .map_or("redis://127.0.0.1:1".to_owned(), PrivateRedis::url),
            self.devnet.rpc_url(),
            self.devnet.grpc_url(),
            self.path("keys.yaml").display(),
        );
        let relayer = format!(
            "{common}listen_addr: 127.0.0.1:0\nhealth_check: {{ enabled: false }}\nservices:\n  {SERVICE}:\n    backends:\n      \
             jsonrpc: {{ url: {} }}\n      websocket: {{ url: {} }}\n",
            self.backend.url(),
            self.backend.socket_url(),
        );
        self.write("relayer.yaml", &change(&relayer));
        self.write("miner.yaml", &change(&common));
    }

    /// Runs `relay-miner <half> validate` with the half's configuration.
    async fn validate(&self, half: &str, more: &[&str]) -> Output {
        let config = self.path(&format!("{half}.yaml"));
        let mut arguments = vec![half, "validate", "--config", config.to_str().unwrap()];
        arguments.extend(more);
        ended(command(&arguments)).await
    }

    /// Runs `relay-miner <half>`, which is to end by itself.
    async fn start(&self, half: &str) -> Output {
        let config = self.path(&format!("{half}.yaml"));
        ended(command(&[half, "--config", config.to_str().unwrap()])).await
    }
}

/// The chain and the rest run beside it.
async fn ended(mut command: std::process::Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn hex(bytes: &[u8; 32]) -> String {
    let [high, low] = [0, 16].map(|at| u128::from_be_bytes(bytes[at..at + 16].try_into().unwrap()));
    format!("{high:032x}{low:032x}")
}
