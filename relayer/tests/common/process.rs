//! A relayer in a process of its own, whose memory can be read.
//!
//! The process is the test's own executable, started again for one ignored test that calls [`run`].

use std::io::Read as _;
use std::net::SocketAddr;
use std::process::Stdio;

use pocket_config::RelayerConfig;
use pocket_devnet::Actor;
use pocket_keys::{LiveKeys, SigningKey};
use pocket_metrics::Registry;
use pocket_query::{BlockFeed, ChainClient, NodeConfig};
use pocket_relayer::{Deps, Relayer};
use pocket_store::{PublisherConfig, Store, StoreConfig};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use super::World;

/// The test that becomes the relayer.
pub const TEST: &str = "relayer_process";
const CONFIG: &str = "RELAYER_PROCESS_CONFIG";
const RPC: &str = "RELAYER_PROCESS_RPC";
const GRPC: &str = "RELAYER_PROCESS_GRPC";
const LISTENS: &str = "relayer listens on ";

/// A running relayer; dropped, it is killed.
pub struct RelayerProcess {
    child: Child,
    address: SocketAddr,
    // Closed, it would fail the process when it says that its test is over.
    _output: Lines<BufReader<ChildStdout>>,
}

impl RelayerProcess {
    /// Starts one beside the world's own, with its configuration, chain and Redis.
    pub async fn start(world: &World) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([TEST, "--exact", "--ignored", "--nocapture"])
            .env(CONFIG, &world.yaml)
            .env(RPC, world.devnet.rpc_url())
            .env(GRPC, world.devnet.grpc_url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("the relayer starts");
            if let Some((_, address)) = line.split_once(LISTENS) {
                break address.parse().unwrap();
            }
        };
        Self {
            child,
            address,
            _output: lines,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes of memory that it holds now.
    pub fn resident(&self) -> usize {
        self.status("VmRSS:")
    }

    /// The most that it has held since [`RelayerProcess::forget_peak`].
    pub fn peak(&self) -> usize {
        self.status("VmHWM:")
    }

    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id().unwrap()), "5").unwrap();
    }

    fn status(&self, name: &str) -> usize {
        let path = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let kibibytes: usize = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        kibibytes << 10
    }

    /// Shuts it down in good order.
    pub async fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().await.unwrap().success());
    }
}

/// Serves until standard input ends; returns at once where no other process has asked for it.
pub fn run() {
    let (Ok(yaml), Ok(rpc), Ok(grpc)) = (std::env::var(CONFIG), std::env::var(RPC), std::env::var(GRPC)) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let config = RelayerConfig::from_str("relayer.yaml", &yaml).unwrap();
        let chain = ChainClient::new(NodeConfig::new(rpc, grpc)).unwrap();
        let stop = CancellationToken::new();
        let (feed, following) = BlockFeed::start(chain.clone(), stop.child_token());
        let mut blocks = feed.subscribe();
        blocks.wait_for(|block| block.height.0 > 0).await.unwrap();
        let key = SigningKey::from_bytes(&Actor::named("supplier1").private_key).unwrap();
        let deps = Deps {
            chain,
            feed,
            store: Store::new(StoreConfig::at(config.redis.url.expose())).unwrap(),
            keys: LiveKeys::from_iter([key]),
            registry: Registry::new(),
            publisher: PublisherConfig::default(),
        };
        let relayer = Relayer::start(&config, deps, stop.child_token()).await.unwrap();
        println!("{LISTENS}{}", relayer.local_addr());
        let asked_to_end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        asked_to_end.await.unwrap().unwrap();
        relayer.shutdown().await;
        stop.cancel();
        following.await.unwrap();
    });
}
