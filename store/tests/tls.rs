//! Redis over TLS.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pocket_protocol::Height;
use pocket_store::{Store, StoreConfig, Watermark};
use tempfile::TempDir;

/// Tells this program to be the client; certificates that are trusted come from the environment of a process.
const CHILD: &str = "TLS_TEST_URL";

struct Server(Child);

impl Server {
    /// Starts a server that speaks TLS alone, with the folder's certificate.
    fn start(folder: &Path, port: u16, more: &[&str]) -> Self {
        let arguments = ["--bind", "127.0.0.1", "--port", "0", "--save", "", "--appendonly", "no"];
        let port = port.to_string();
        Self::run(folder, &[&arguments[..], &TLS, &["--tls-port", &port], more].concat())
    }

    /// Starts a sentinel that knows the primary on `primary`.
    fn start_sentinel(folder: &Path, port: u16, primary: u16) -> Self {
        let monitor = format!("sentinel monitor mymaster 127.0.0.1 {primary} 1\n");
        std::fs::write(folder.join("sentinel.conf"), monitor).unwrap();
        let (name, port) = (["sentinel.conf", "--sentinel", "--port", "0"], port.to_string());
        let tls = ["--tls-replication", "yes", "--tls-port", &port];
        Self::run(folder, &[&name[..], &TLS, &tls].concat())
    }

    fn run(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new("redis-server");
        command.args(arguments).current_dir(folder).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

/// Servers believe each other by the same certificate.
const TLS: [&str; 8] = [
    "--tls-cert-file",
    "certificate.pem",
    "--tls-key-file",
    "key.pem",
    "--tls-ca-cert-file",
    "certificate.pem",
    "--tls-auth-clients",
    "no",
];

/// A folder with a certificate for the loopback interface, and ports on it.
fn prepare<const PORTS: usize>() -> (TempDir, [u16; PORTS]) {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.path().join("certificate.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let listeners = [(); PORTS].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = listeners.map(|listener| listener.local_addr().unwrap().port());
    (folder, ports)
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn server_is_believed_by_its_certificate_alone() {
    let (folder, [port]) = prepare();
    let _server = Server::start(folder.path(), port, &[]);
    is_believed_by_its_certificate_alone(folder.path(), &format!("rediss://localhost:{port}"));
}

#[test]
fn sentinels_and_their_primary_are_believed_by_their_certificate_alone() {
    let (folder, [port, sentinel]) = prepare();
    let _server = Server::start(folder.path(), port, &[]);
    let _sentinel = Server::start_sentinel(folder.path(), sentinel, port);
    let url = format!("rediss-sentinel://127.0.0.1:{sentinel}/mymaster");
    is_believed_by_its_certificate_alone(folder.path(), &url);
}

#[test]
fn nodes_of_a_cluster_are_believed_by_their_certificate_alone() {
    let (folder, [port, bus]) = prepare();
    let bus = bus.to_string();
    let more = [
        "--cluster-enabled",
        "yes",
        "--tls-cluster",
        "yes",
        "--cluster-port",
        &bus,
    ];
    let more = [&more[..], &["--cluster-announce-ip", "127.0.0.1"]].concat();
    let _server = Server::start(folder.path(), port, &more);
    is_believed_by_its_certificate_alone(folder.path(), &format!("rediss-cluster://127.0.0.1:{port}"));
}

fn is_believed_by_its_certificate_alone(folder: &Path, url: &str) {
    assert!(client(url, &folder.join("certificate.pem")), "it is trusted");
    let stranger = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.join("other.pem"), stranger.cert.pem()).unwrap();
    assert!(
        !client(url, &folder.join("other.pem")),
        "another certificate is trusted"
    );
}

/// Whether a client that trusts these certificates can work.
fn client(url: &str, trusted: &Path) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "client_for_others", "--ignored"])
        .env(CHILD, url)
        .env("SSL_CERT_FILE", trusted)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.unwrap().success()
}

#[tokio::test]
#[ignore = "started by another test, as a process with certificates of its own"]
async fn client_for_others() {
    let Ok(url) = std::env::var(CHILD) else { return };
    if let Some(node) = url.strip_prefix("rediss-cluster://") {
        // All slots go to the only node.
        patiently(async || give_slots(&format!("rediss://{node}")).await).await;
    }
    let store = Store::new(StoreConfig::at(url)).unwrap();
    let mark = Watermark {
        height: Height(2),
        open_from: Height(1),
    };
    patiently(async || store.write_watermark("one", mark, Duration::from_mins(1)).await).await;
    assert_eq!(store.watermarks().await.unwrap(), [("one".to_owned(), mark)]);
}

async fn give_slots(node: &str) -> redis::RedisResult<()> {
    let mut connection = redis::Client::open(node)?.get_multiplexed_async_connection().await?;
    let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut connection).await?;
    if info.contains("cluster_slots_assigned:16384") {
        return Ok(());
    }
    let mut give = redis::cmd("CLUSTER");
    give.arg("ADDSLOTSRANGE").arg(0).arg(16383);
    give.query_async(&mut connection).await
}

/// Calls until the servers are up and know each other. A certificate that is not trusted stays so.
async fn patiently<E: std::fmt::Display>(mut call: impl AsyncFnMut() -> Result<(), E>) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = call().await {
        let is_refused = error.to_string().to_lowercase().contains("certificate");
        assert!(!is_refused && Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
