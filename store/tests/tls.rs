//! Redis over TLS.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pocket_store::{Store, StoreConfig};

/// Tells this program to be the client; certificates that are trusted come from the environment of a process.
const CHILD: &str = "TLS_TEST_URL";

struct Server(Child);

impl Server {
    fn start(folder: &Path, port: u16) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        std::fs::write(folder.join("certificate.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let arguments = "--bind 127.0.0.1 --port 0 --save --appendonly no --tls-cert-file certificate.pem \
                         --tls-key-file key.pem --tls-auth-clients no --tls-port";
        let child = Command::new("redis-server")
            .args(
                arguments
                    .split(' ')
                    .flat_map(|word| if word == "--save" { vec![word, ""] } else { vec![word] }),
            )
            .arg(port.to_string())
            .current_dir(folder)
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn server_is_believed_by_its_certificate_alone() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let _server = Server::start(folder.path(), port);
    assert!(client(port, &folder.path().join("certificate.pem")), "it is trusted");
    let other = tempfile::tempdir().unwrap();
    let stranger = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(other.path().join("other.pem"), stranger.cert.pem()).unwrap();
    assert!(
        !client(port, &other.path().join("other.pem")),
        "another certificate is trusted"
    );
}

/// Whether a client that trusts these certificates gets an answer.
fn client(port: u16, trusted: &Path) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "client_for_others", "--ignored"])
        .env(CHILD, format!("rediss://localhost:{port}"))
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
    let store = Store::new(StoreConfig::at(url)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match store.ping().await {
            Ok(()) => return,
            // The server may still be starting; a certificate that is not trusted stays so.
            Err(error) if error.to_string().contains("certificate") => panic!("{error}"),
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
