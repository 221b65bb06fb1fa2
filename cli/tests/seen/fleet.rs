//! A relayer and a miner as operators run them, on a chain whose blocks the test makes.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use pocket_client::{SampleBackend, SampleBackendConfig};
use pocket_devnet::{Actor, Devnet, DevnetConfig, Localnet};
use pocket_status::{MinerStatus, RelayerStatus};
use pocket_store::PrivateRedis;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// Longest wait for something that is to happen: far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_mins(1);

/// A backend's name that would be a script if it were taken for markup.
pub const HOSTILE: &str = "<img src=x onerror='document.title=1'><script>document.title=2</script>";

/// Ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Fleet {
    _relayer: Process,
    _miner: Process,
    pub devnet: Devnet,
    redis: PrivateRedis,
    relays: u16,
    /// The relayer's health port.
    pub relayer_port: u16,
    /// The miner's metrics port.
    pub miner_port: u16,
    _backend: SampleBackend,
    folder: TempDir,
}

impl Fleet {
    /// Both are ready when it returns.
    pub async fn start() -> Self {
        let localnet = Localnet {
            session_blocks: 4,
            ..Localnet::default()
        };
        let genesis = localnet.genesis();
        let config = DevnetConfig {
            genesis,
            ..DevnetConfig::default()
        };
        let devnet = Devnet::start(config).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let redis = PrivateRedis::start(folder.path(), false).await.unwrap();
        let backend = SampleBackend::start(SampleBackendConfig::default()).await.unwrap();
        let [relays, relayer_port, miner_port] = [free_port(), free_port(), free_port()];

        let path = |name: &str| folder.path().join(name);
        let key = hex::encode(Actor::named("supplier1").private_key);
        std::fs::write(path("keys.yaml"), format!("keys: [\"{key}\"]\n")).unwrap();
        let common = format!(
            "redis: {{ url: {} }}
pocket_node:
  query_node_rpc_url: {}
  query_node_grpc_url: {}
  grpc_insecure: true
keys: {{ keys_file: {} }}
pprof: {{ enabled: false }}
",
            redis.url(),
            devnet.rpc_url(),
            devnet.grpc_url().trim_start_matches("http://"),
            path("keys.yaml").display(),
        );
        let relayer = format!(
            "{common}
listen_addr: 127.0.0.1:{relays}
metrics: {{ enabled: false }}
health_check: {{ addr: '127.0.0.1:{relayer_port}' }}
services: {{ svc-http: {{ backends: {{ jsonrpc: {{ urls: [{{ name: \"{HOSTILE}\", url: {} }}] }} }} }} }}
",
            backend.url()
        );
        let miner = format!("{common}\nmetrics: {{ addr: '127.0.0.1:{miner_port}' }}\n");
        std::fs::write(path("relayer.yaml"), relayer).unwrap();
        std::fs::write(path("miner.yaml"), miner).unwrap();
        let fleet = Self {
            _relayer: start("relayer", folder.path()),
            _miner: start("miner", folder.path()),
            devnet,
            redis,
            relays,
            relayer_port,
            miner_port,
            _backend: backend,
            folder,
        };
        fleet.until(|relayer, miner| relayer.ready && miner.ready).await;
        fleet
    }

    /// Sends so many relays of the present session, and waits until the miner has them and knows what they earn.
    pub async fn serve(&self, count: u64) {
        let before = self.miner_status().await.unwrap().totals.relays;
        let mut command = command();
        command
            .args(["relay", "jsonrpc", "--localnet", "--service", "svc-http", "--load-test"])
            .args([
                "-n",
                &count.to_string(),
                "--supplier",
                &Actor::named("supplier1").address,
            ])
            .args(["--node", self.devnet.grpc_url().trim_start_matches("http://")])
            .args(["--node-rpc", &self.devnet.rpc_url()])
            .args(["--relayer-url", &format!("http://127.0.0.1:{}", self.relays)]);
        let output = run(command).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.until(|_, miner| {
            miner.totals.relays == before + count
                && miner.sessions.iter().any(|session| session.expected_upokt.is_some())
        })
        .await;
    }

    /// Waits until both processes tell what is wanted.
    pub async fn until(&self, is_wanted: impl Fn(&RelayerStatus, &MinerStatus) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = (self.relayer_status().await, self.miner_status().await);
            if let (Some(relayer), Some(miner)) = &told
                && is_wanted(relayer, miner)
            {
                return;
            }
            assert!(Instant::now() < deadline, "waited in vain: {told:?}\n{}", self.logs());
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn relayer_status(&self) -> Option<RelayerStatus> {
        serde_json::from_str(&get(self.relayer_port, "/status").await?).ok()
    }

    async fn miner_status(&self) -> Option<MinerStatus> {
        serde_json::from_str(&get(self.miner_port, "/status").await?).ok()
    }

    /// A configuration file.
    pub fn config(&self, half: &str) -> String {
        self.folder.path().join(format!("{half}.yaml")).display().to_string()
    }

    pub fn redis_url(&self) -> String {
        self.redis.url()
    }

    fn logs(&self) -> String {
        let log = |half: &str| std::fs::read_to_string(self.folder.path().join(format!("{half}.log")));
        ["relayer", "miner"].map(|half| log(half).unwrap_or_default()).concat()
    }
}

/// Our program, without what the environment may say.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-miner"));
    for name in ["REDIS_URL", "POCKET_NODE_RPC_URL", "POCKET_NODE_GRPC_URL", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end, apart from the test's own tasks.
pub async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn start(half: &str, folder: &Path) -> Process {
    let log = std::fs::File::create(folder.join(format!("{half}.log"))).unwrap();
    let config = folder.join(format!("{half}.yaml"));
    let mut command = command();
    command.arg(half).arg("--config").arg(config);
    let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn();
    Process(child.unwrap())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// The body of an answer with success.
pub async fn get(port: u16, path: &str) -> Option<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut socket = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}
