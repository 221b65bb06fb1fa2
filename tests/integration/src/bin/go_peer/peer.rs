//! The Go relay miner's processes, and who asks them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use pocket_client::{
    BackendCall, ClientConfig, Mode, RelayClient, SampleBackend, Sessions, Signatory, SigningStyle, SupplierChoice,
};
use pocket_demo::World;
use pocket_devnet::{Actor, Devnet};
use pocket_query::{BlockFeed, ChainClient, NodeConfig};
use pocket_store::PrivateRedis;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Sends relays of `app1`.
pub struct Gateway {
    client: RelayClient,
    pub end: CancellationToken,
}

impl Gateway {
    /// For a relayer at this address.
    pub fn new(devnet: &Devnet, relayer: Url) -> anyhow::Result<Self> {
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
        let client = RelayClient::new(&ClientConfig::new(relayer, service.id.clone()), sessions)?;
        Ok(Self { client, end })
    }

    /// One relay; its answer has a good signature of the supplier.
    pub async fn relay(&self) -> anyhow::Result<()> {
        self.client.relay(&BackendCall::usual(Mode::JsonRpc).payload()).await?;
        Ok(())
    }
}

/// The Go relay miner.
pub struct Peer {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Peer {
    /// With its files in `folder`.
    pub fn new(
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

    /// Where its relayer listens.
    pub fn relayer(&self) -> anyhow::Result<Url> {
        Ok(format!("http://127.0.0.1:{}", self.port).parse()?)
    }

    /// Starts `miner` or `relayer`; their logs are in the system's folder for temporary files.
    pub fn start(&self, half: &'static str, more: &[&str]) -> anyhow::Result<Half> {
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
pub struct Half(Child);

impl Half {
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = Pid::from_raw(i32::try_from(self.0.id())?).context("a process id is never 0")?;
        Ok(kill_process(id, signal)?)
    }

    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.0.kill()?;
        self.wait()
    }

    pub fn wait(&mut self) -> anyhow::Result<()> {
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
