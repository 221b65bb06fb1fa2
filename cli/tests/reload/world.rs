//! A chain, a Redis, backends, and a half of ours as a child process with files that can be rewritten.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pocket_client::{
    BackendCall, ClientConfig, Mode, RelayClient, RelayError, SampleBackend, SampleBackendConfig, Sessions, Signatory,
    SigningStyle, SupplierChoice,
};
use pocket_demo::World as Cast;
use pocket_devnet::{Actor, Devnet, DevnetConfig};
use pocket_protocol::SupplierAddress;
use pocket_query::{BlockFeed, ChainClient, NodeConfig};
use pocket_store::PrivateRedis;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest wait for a fact.
const PATIENCE: Duration = Duration::from_mins(2);

pub struct World {
    pub devnet: Devnet,
    pub redis: PrivateRedis,
    pub backend: SampleBackend,
    folder: TempDir,
    chain: ChainClient,
    feed: BlockFeed,
    stop: CancellationToken,
    following: JoinHandle<()>,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let devnet = Devnet::start(DevnetConfig::default()).await.unwrap();
        devnet.advance_to(3);
        let chain = ChainClient::new(NodeConfig::new(devnet.rpc_url(), devnet.grpc_url())).unwrap();
        let stop = CancellationToken::new();
        let (feed, following) = BlockFeed::start(chain.clone(), stop.clone());
        Self {
            redis: PrivateRedis::start(folder.path(), false).await.unwrap(),
            backend: backend().await,
            devnet,
            folder,
            chain,
            feed,
            stop,
            following,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        // As careful operators and Kubernetes do: nobody sees half a file.
        let new = self.path(&format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    pub fn write_keys(&self, suppliers: &[&str]) {
        let mut text = "keys:\n".to_owned();
        for supplier in suppliers {
            writeln!(text, "  - \"{}\"", secret(supplier)).unwrap();
        }
        self.write("keys.yaml", &text);
    }

    /// What both halves' files begin with: ten lines.
    pub fn common(&self, metrics: u16) -> String {
        format!(
            "redis: {{ url: {} }}
pocket_node:
  query_node_rpc_url: {}
  query_node_grpc_url: {}
  grpc_insecure: true
  chain_id: pocket
keys: {{ keys_file: {} }}
metrics: {{ addr: '127.0.0.1:{metrics}' }}
pprof: {{ enabled: false }}
logging: {{ level: info }}
",
            self.redis.url(),
            self.devnet.rpc_url(),
            self.devnet.grpc_url().trim_start_matches("http://"),
            self.path("keys.yaml").display(),
        )
    }

    /// Starts a half with the file of its name.
    pub fn start(&self, half: &str, metrics: u16, environment: &[(&str, &str)]) -> Half {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relay-miner"));
        for name in ["REDIS_URL", "POCKET_NODE_RPC_URL", "POCKET_NODE_GRPC_URL", "RUST_LOG"] {
            command.env_remove(name);
        }
        command
            .arg(half)
            .arg("--config")
            .arg(self.path(&format!("{half}.yaml")));
        command.envs(environment.iter().copied());
        Half::start(command, metrics)
    }

    /// A relay of `app1` through `gateway1` to a supplier, and its answer, if the supplier signed one.
    pub async fn relay(&self, relayer: SocketAddr, supplier: &str) -> Result<(), RelayError> {
        let cast = Cast::localnet(self.devnet.rpc_url(), self.devnet.grpc_url(), 2);
        let service = cast.service_of(Mode::JsonRpc).unwrap();
        let supplier: SupplierAddress = Actor::named(supplier).address.parse().unwrap();
        let sessions = Sessions::on_chain(
            self.chain.clone(),
            self.feed.clone(),
            Signatory::gateway(&cast.gateway, service.application.clone()),
            service.id.clone(),
            SupplierChoice::One(supplier),
            SigningStyle::Fast,
        );
        let url = format!("http://{relayer}").parse().unwrap();
        let client = RelayClient::new(&ClientConfig::new(url, service.id.clone()), sessions).unwrap();
        client
            .relay(&BackendCall::usual(Mode::JsonRpc).payload())
            .await
            .map(drop)
    }

    pub async fn end(self) {
        self.stop.cancel();
        self.following.await.unwrap();
        self.devnet.shutdown().await;
    }
}

pub async fn backend() -> SampleBackend {
    SampleBackend::start(SampleBackendConfig::default()).await.unwrap()
}

/// The private key of a supplier in hexadecimal digits.
pub fn secret(supplier: &str) -> String {
    Actor::named(supplier)
        .private_key
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits for a fact.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, waiting).await.is_ok(),
        "waited in vain: {what}"
    );
}

/// A relayer or miner; ended when dropped.
pub struct Half {
    child: Child,
    said: Arc<Mutex<String>>,
    metrics: u16,
}

impl Half {
    pub fn start(mut command: Command, metrics: u16) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let outputs: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for output in outputs {
            let said = said.clone();
            // Ends with the child.
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let mut said = said.lock().unwrap();
                    said.push_str(&line);
                    said.push('\n');
                }
            });
        }
        Self { child, said, metrics }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it wrote so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until its log has all of these words in one line.
    pub async fn says(&self, words: &[&str]) {
        let what = format!("{words:?}");
        until(&what, async || {
            self.said()
                .lines()
                .any(|line| words.iter().all(|word| line.contains(word)))
        })
        .await;
    }

    /// `/metrics`, or nothing while it does not answer.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        if let Ok(mut socket) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.metrics)) {
            let _ = socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
            let _ = socket.read_to_string(&mut text);
        }
        text
    }

    /// Waits until a series has a value.
    pub async fn shows(&self, series: &str, value: u64) {
        let line = format!("{series} {value}");
        until(&line, async || self.metrics().lines().any(|found| found == line)).await;
    }

    pub fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
