//! `relay-miner all-in-one`: a whole supplier in one process, that may be killed.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use pocket_client::{
    BackendCall, ClientConfig, Mode, RelayClient, SampleBackend, SampleBackendConfig, Sessions, Signatory,
    SigningStyle, SupplierChoice,
};
use pocket_demo::World;
use pocket_devnet::{Actor, Devnet, DevnetConfig, Localnet};
use pocket_proto::pocket::proof::ClaimProofStatus;
use pocket_query::{BlockFeed, ChainClient, NodeConfig};
use pocket_smst::Digest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::program;

const PATIENCE: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(20);

struct Supplier {
    devnet: Devnet,
    client: RelayClient,
    folder: TempDir,
    child: Child,
    end: CancellationToken,
    _backend: SampleBackend,
}

impl Supplier {
    async fn start() -> Self {
        let genesis = Localnet {
            suppliers: 1,
            ..Localnet::default()
        };
        let devnet = Devnet::start(DevnetConfig {
            genesis: genesis.genesis(),
            ..DevnetConfig::default()
        });
        let devnet = devnet.await.unwrap();
        let backend = SampleBackend::start(SampleBackendConfig::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        configure(folder.path(), &devnet, &backend.url(), port);

        let world = World::devnet(&devnet, 1);
        let service = world.service_of(Mode::JsonRpc).unwrap();
        let chain = ChainClient::new(NodeConfig::new(devnet.rpc_url(), devnet.grpc_url())).unwrap();
        let end = CancellationToken::new();
        let (feed, _following) = BlockFeed::start(chain.clone(), end.clone());
        let sessions = Sessions::on_chain(
            chain,
            feed,
            Signatory::gateway(&world.gateway, service.application.clone()),
            service.id.clone(),
            SupplierChoice::All,
            SigningStyle::Fast,
        );
        let url = format!("http://127.0.0.1:{port}").parse().unwrap();
        let client = RelayClient::new(&ClientConfig::new(url, service.id.clone()), sessions).unwrap();
        Self {
            child: launch(folder.path()),
            devnet,
            client,
            folder,
            end,
            _backend: backend,
        }
    }

    async fn until(&self, what: &str, mut fact: impl AsyncFnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !fact().await {
            if Instant::now() > deadline {
                let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("waited in vain at height {}: {what}\n{log}", self.devnet.height());
            }
            sleep(LOOK).await;
        }
    }

    /// Has so many relays answered; the first may have to wait until somebody listens.
    async fn relays(&self, count: u64) -> u64 {
        let payload = BackendCall::usual(Mode::JsonRpc).payload();
        self.until("relays are answered", async || {
            self.client.relay(&payload).await.is_ok()
        })
        .await;
        for _ in 1..count {
            self.client.relay(&payload).await.unwrap();
        }
        count
    }

    /// Kills it with all that it has in memory. Its Redis stays behind.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn redis_url(&self) -> String {
        let file = self.folder.path().join("data/redis/redis.url");
        std::fs::read_to_string(file).unwrap().trim().to_owned()
    }

    async fn until_sent(&self) {
        self.until("a transaction is sent", async || self.devnet.pending() > 0)
            .await;
    }
}

impl Drop for Supplier {
    fn drop(&mut self) {
        self.end.cancel();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(folder: &Path) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"));
    let log = log.unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    let mut command = program(&[
        "all-in-one",
        "--relayer-config",
        &path("relayer.yaml"),
        "--miner-config",
        &path("miner.yaml"),
        "--data-dir",
        &path("data"),
    ]);
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    command.spawn().unwrap()
}

fn configure(folder: &Path, devnet: &Devnet, backend: &str, port: u16) {
    let keys: PathBuf = folder.join("keys.yaml");
    let key = hex::encode(Actor::named("supplier1").private_key);
    std::fs::write(&keys, json!({ "keys": [key] }).to_string()).unwrap();
    let mut config = json!({
        // What must be there, and does not count.
        "redis": { "url": "redis://127.0.0.1:1" },
        "pocket_node": {
            "query_node_rpc_url": devnet.rpc_url(),
            "query_node_grpc_url": devnet.grpc_url().trim_start_matches("http://"),
            "grpc_insecure": true,
            "chain_id": "pocket",
        },
        "keys": { "keys_file": keys },
        "metrics": { "enabled": false },
        "pprof": { "enabled": false },
        "logging": { "level": "info", "format": "text" },
    });
    std::fs::write(folder.join("miner.yaml"), config.to_string()).unwrap();
    config["health_check"] = json!({ "enabled": false });
    config["listen_addr"] = format!("127.0.0.1:{port}").into();
    config["services"] = json!({ "svc-http": { "backends": { "jsonrpc": { "url": backend } } } });
    std::fs::write(folder.join("relayer.yaml"), config.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_as_a_whole_it_claims_and_proves_all_that_it_answered() {
    let mut supplier = Supplier::start().await;
    let mut answered = supplier.relays(20).await;
    supplier.kill();
    let first_redis = supplier.redis_url();
    supplier.child = launch(supplier.folder.path());
    answered += supplier.relays(5).await;
    assert_ne!(
        supplier.redis_url(),
        first_redis,
        "the Redis that was left behind is not used beside the new one"
    );

    // Its Redis dies alone, and comes back where it was.
    let url = supplier.redis_url();
    let client = redis::Client::open(url.as_str()).unwrap();
    let process = async || {
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        let info: redis::InfoDict = redis::cmd("INFO").query_async(&mut connection).await.ok()?;
        info.get::<i32>("process_id")
    };
    let dead = process().await.unwrap();
    kill_process(Pid::from_raw(dead).unwrap(), Signal::KILL).unwrap();
    supplier
        .until("redis-server is started again", async || {
            process().await.is_some_and(|id| id != dead)
        })
        .await;
    answered += supplier.relays(5).await;

    let windows = supplier.devnet.read(|chain| chain.view().state.windows(10));
    supplier.devnet.advance_to(windows.claim_open.0);
    supplier.until_sent().await;
    supplier.devnet.advance(1);
    let claim = supplier.devnet.claims().remove(0);
    assert_eq!(Digest::try_from(claim.root_hash.as_ref()).unwrap().count(), answered);
    supplier.devnet.advance_to(windows.proof_open.0);
    supplier.until_sent().await;
    supplier.devnet.advance(1);
    let proven = supplier.devnet.claims().remove(0);
    assert_eq!(proven.proof_validation_status(), ClaimProofStatus::Validated);

    let own = Pid::from_raw(i32::try_from(supplier.child.id()).unwrap()).unwrap();
    kill_process(own, Signal::TERM).unwrap();
    assert!(supplier.child.wait().unwrap().success());
    let address = url.rsplit_once('@').unwrap().1;
    assert!(TcpStream::connect(address).is_err(), "its Redis ends with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_is_for_one_at_a_time() {
    let supplier = Supplier::start().await;
    supplier.relays(1).await;
    let mut second = launch(supplier.folder.path());
    assert_eq!(second.wait().unwrap().code(), Some(1));
    let log = std::fs::read_to_string(supplier.folder.path().join("log")).unwrap();
    assert!(log.contains("another process works with"), "{log}");
    supplier.relays(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_server_it_says_how_to_install_it() {
    let folder = tempfile::tempdir().unwrap();
    let devnet = Devnet::start(DevnetConfig::default()).await.unwrap();
    configure(folder.path(), &devnet, "http://127.0.0.1:1", 0);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut command = program(&[
        "all-in-one",
        "--relayer-config",
        &path("relayer.yaml"),
        "--miner-config",
        &path("miner.yaml"),
        "--data-dir",
        &path("data"),
    ]);
    let output = command.env("PATH", "/nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("redis-server is not installed") && text.contains("apt-get install"),
        "{text}"
    );
}
