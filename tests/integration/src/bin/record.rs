//! Takes down what a Go relay miner leaves in Redis when it ends in the middle of a session.
//!
//! Starts a devnet, a Redis, the sample backend, and the Go relay miner's relayer and miner; sends relays with our client
//! and checks each answer. Then, while relays come in, the miner is held where it stands and killed, more relays are
//! served that nobody reads, and the relayer is ended in good order. What is left is written to a file for the test
//! `rolling_change`.
//!
//! The Go relay miner is not part of this project: build it from its sources and name the program with `--peer`. It uses
//! a command of Redis 8.2; on an older one it needs `XACKDEL` replaced by `XACK` and `XDEL`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use pocket_client::{
    BackendCall, ClientConfig, Mode, RelayClient, SampleBackend, SampleBackendConfig, Sessions, Signatory,
    SigningStyle, SupplierChoice,
};
use pocket_demo::World;
use pocket_devnet::{Actor, Devnet, DevnetConfig};
use pocket_integration::Recording;
use pocket_protocol::{SessionId, SupplierAddress};
use pocket_query::{BlockFeed, ChainClient, NodeConfig};
use pocket_store::{PrivateRedis, SessionRecord, Store, StoreConfig};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Longest that nothing may happen.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(1);
/// Relays that are in the tree before anything goes wrong. Three short of the peer's next checkpoint.
const CALM: u64 = 27;
/// Relays that are sent while the miner is stopped.
const BURST: u64 = 12;
/// Relays that nobody reads.
const UNREAD: u64 = 5;

/// Take down what a Go relay miner leaves in Redis in the middle of a session.
#[derive(Parser)]
struct Arguments {
    /// The Go relay miner's program.
    #[arg(long)]
    peer: PathBuf,
    /// Its version, for the file.
    #[arg(long)]
    version: String,
    /// The file.
    #[arg(long)]
    out: PathBuf,
    /// Milliseconds from block to block; thirty blocks are a session.
    #[arg(long, default_value_t = 2_000)]
    block_time: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config = DevnetConfig {
        genesis: Recording::localnet().genesis(),
        block_time: Some(Duration::from_millis(arguments.block_time)),
        ..DevnetConfig::default()
    };
    let devnet = Devnet::start(config).await?;
    let folder = tempfile::tempdir()?;
    let redis = PrivateRedis::start(folder.path(), false).await?;
    let backend = SampleBackend::start(SampleBackendConfig::default()).await?;
    let peer = Peer::new(folder.path(), &arguments.peer, &devnet, &redis, &backend)?;
    let gateway = Gateway::new(&devnet, &peer)?;
    let store = Store::new(StoreConfig::at(redis.url()))?;

    let mut miner = peer.start("miner", &[])?;
    let mut relayer = peer.start("relayer", &["--redis-url", &redis.url()])?;
    let answered = play(&gateway, &store, &mut miner, &mut relayer).await?;
    let height = devnet.height();
    ensure!(
        height <= 30,
        "the session was over before all was served: give it slower blocks"
    );
    let transactions = devnet.read(|chain| chain.blocks().map(|block| block.txs.len()).sum::<usize>());
    ensure!(transactions == 0, "somebody sent a transaction in the session");
    let recording = Recording {
        about: format!(
            "Go relay miner {}: miner killed with {CALM} relays in its tree while more came in, relayer ended in good order",
            arguments.version
        ),
        redis_version: store.info("redis_version").await?.unwrap_or_default(),
        height,
        transactions: std::collections::BTreeMap::new(),
        answered,
        keys: Recording::keys_of(&redis.url()).await?,
    };
    recording.write(&arguments.out)?;
    for key in &recording.keys {
        println!("{:<7} {:>9} {}", key.kind, key.ttl.unwrap_or(-1), key.key);
    }
    println!("{answered} relays answered, block {height}");
    gateway.end.cancel();
    devnet.shutdown().await;
    Ok(())
}

/// Serves relays and ends both halves as a change of programs might at its worst; gives the relays that were answered.
async fn play(gateway: &Gateway, store: &Store, miner: &mut Half, relayer: &mut Half) -> anyhow::Result<u64> {
    let supplier: SupplierAddress = Actor::named("supplier1").address.parse()?;
    let mut answered = 0;
    // It answers once its miner has put the supplier into the registry.
    until("the first relay is answered", async || {
        let is_answered = gateway.relay().await.is_ok();
        answered += u64::from(is_answered);
        is_answered
    })
    .await?;
    while answered < CALM {
        gateway.relay().await?;
        answered += 1;
    }
    until("all relays are in the tree", async || {
        matches!(store.stream_length(&supplier).await, Ok(0))
            && record(store, &supplier)
                .await
                .is_some_and(|record| record.relays == answered)
    })
    .await?;
    let burst = async {
        let sent = futures::future::join_all((0..BURST).map(|_| gateway.relay())).await;
        sent.into_iter().filter(Result::is_ok).count() as u64
    };
    let stop = async {
        until("the miner has read relays of the burst", async || {
            matches!(store.stream_length(&supplier).await, Ok(1..))
        })
        .await?;
        miner.signal(Signal::STOP)
    };
    let (more, stopped) = tokio::join!(burst, stop);
    stopped?;
    answered += more;
    miner.kill()?;
    for _ in 0..UNREAD {
        gateway.relay().await?;
        answered += 1;
    }
    relayer.signal(Signal::TERM)?;
    relayer.wait()?;
    Ok(answered)
}

async fn record(store: &Store, supplier: &SupplierAddress) -> Option<SessionRecord> {
    let ids = store.session_ids(supplier, None).await.ok()?;
    let id: &SessionId = ids.first()?;
    store.session(supplier, id).await.ok().flatten()
}

async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !look().await {
        if Instant::now() > deadline {
            bail!("waited in vain: {what}");
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// Sends relays of `app1` to the peer's relayer.
struct Gateway {
    client: RelayClient,
    end: CancellationToken,
}

impl Gateway {
    fn new(devnet: &Devnet, peer: &Peer) -> anyhow::Result<Self> {
        let world = World::devnet(devnet, 1);
        let service = world.service_of(Mode::JsonRpc).context("it is served")?;
        let chain = ChainClient::new(NodeConfig::new(devnet.rpc_url(), devnet.grpc_url()))?;
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
        let url = format!("http://127.0.0.1:{}", peer.port).parse()?;
        let client = RelayClient::new(&ClientConfig::new(url, service.id.clone()), sessions)?;
        Ok(Self { client, end })
    }

    /// One relay; its answer has a good signature of the supplier.
    async fn relay(&self) -> anyhow::Result<()> {
        self.client.relay(&BackendCall::usual(Mode::JsonRpc).payload()).await?;
        Ok(())
    }
}

/// The Go relay miner.
struct Peer {
    program: PathBuf,
    folder: PathBuf,
    /// Where its relayer listens.
    port: u16,
}

impl Peer {
    fn new(
        folder: &Path,
        program: &Path,
        devnet: &Devnet,
        redis: &PrivateRedis,
        backend: &SampleBackend,
    ) -> anyhow::Result<Self> {
        let free = || anyhow::Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
        let (port, metrics) = (free()?, [free()?, free()?]);
        let keys = json!({ "keys": [hex::encode(Actor::named("supplier1").private_key)] });
        std::fs::write(folder.join("keys.yaml"), keys.to_string())?;
        let common = |metrics: u16| {
            json!({
                "redis": { "url": redis.url() },
                "pocket_node": {
                    "query_node_rpc_url": devnet.rpc_url(),
                    "query_node_grpc_url": devnet.grpc_url().trim_start_matches("http://"),
                    "grpc_insecure": true,
                },
                "keys": { "keys_file": folder.join("keys.yaml") },
                "metrics": { "enabled": true, "addr": format!("127.0.0.1:{metrics}") },
                "pprof": { "enabled": false },
                "logging": { "level": "info", "format": "json" },
            })
        };
        let mut miner = common(metrics[0]);
        miner["pocket_node"]["chain_id"] = "pocket".into();
        miner["transaction"] = json!({ "gas_limit": 0, "gas_price": "0.000001upokt", "gas_adjustment": 1.7 });
        miner["block_time_seconds"] = 2.into();
        let mut relayer = common(metrics[1]);
        relayer["listen_addr"] = format!("127.0.0.1:{port}").into();
        relayer["services"] = json!({ "svc-http": {
            "validation_mode": "eager",
            "timeout_profile": "fast",
            "default_backend": "jsonrpc",
            "backends": { "jsonrpc": { "url": backend.url() } },
        } });
        relayer["default_validation_mode"] = "eager".into();
        relayer["default_request_timeout_seconds"] = 30.into();
        relayer["default_max_body_size_bytes"] = 10_485_760.into();
        relayer["health_check"] = json!({ "enabled": false });
        relayer["relay_meter"] = json!({ "enabled": true, "fail_behavior": "open", "cache_ttl": "2h" });
        std::fs::write(folder.join("miner.yaml"), miner.to_string())?;
        std::fs::write(folder.join("relayer.yaml"), relayer.to_string())?;
        Ok(Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            port,
        })
    }

    fn start(&self, half: &'static str, more: &[&str]) -> anyhow::Result<Half> {
        let log = std::fs::File::create(std::env::temp_dir().join(format!("record-{half}.log")))?;
        let child = Command::new(&self.program)
            .arg(half)
            .arg("--config")
            .arg(self.folder.join(format!("{half}.yaml")))
            .args(more)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        Ok(Half(child.with_context(|| {
            format!("{} does not start", self.program.display())
        })?))
    }
}

/// One of its processes; killed when this is dropped.
struct Half(Child);

impl Half {
    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = Pid::from_raw(i32::try_from(self.0.id())?).context("a process id is never 0")?;
        Ok(kill_process(id, signal)?)
    }

    fn kill(&mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.wait()
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
