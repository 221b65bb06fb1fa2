//! TLS on both sides, and answers that come packed.

mod common;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use common::fleet::{Node, Way};
use common::grpc::{GrpcBackend, call, framed};
use common::{World, WorldConfig};
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

/// A certificate for `localhost` that signs itself.
struct Identity {
    folder: TempDir,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Identity {
    fn new() -> Self {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cert.pem"), certified.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), certified.signing_key.serialize_pem()).unwrap();
        Self {
            folder,
            certificate: certified.cert.der().clone(),
            key: certified.signing_key.serialize_der(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn acceptor(&self, protocols: &[&[u8]]) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.key.clone()).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A client that trusts it alone.
    fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[tokio::test]
async fn relay_port_speaks_tls_with_either_version_of_http() {
    let identity = Identity::new();
    let tls = format!(
        "tls:\n  cert_file: {}\n  key_file: {}",
        identity.file("cert.pem").display(),
        identity.file("key.pem").display()
    );
    let mut world = World::with(WorldConfig {
        top_level: tls,
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await;
    let url = format!("https://localhost:{}/", world.address().port());
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let builder = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(identity.client())
            .https_only();
        let connector = if version == Version::HTTP_2 {
            builder.enable_all_versions().build()
        } else {
            builder.enable_http1().build()
        };
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let request = Request::post(&url).body(Full::new(relay.bytes())).unwrap();
        let response = client.request(request).await.unwrap();
        assert_eq!(response.version(), version);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(common::client::verified(&body, "supplier1").status_code, 200);
    }
    // Plain text gets nowhere on this port, and costs it nothing.
    let plain = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let request = Request::post(world.url()).body(Full::default()).unwrap();
    assert!(plain.request(request).await.is_err());
    assert_eq!(world.published("supplier1").await.len(), 2);
    world.end().await;
}

/// A world whose backend is this node, whose certificate is trusted if `is_trusted`.
async fn world(node: &Node, identity: &Identity, is_trusted: bool) -> World {
    let trusted = if is_trusted {
        identity.file("cert.pem")
    } else {
        Identity::new().folder.keep().join("cert.pem")
    };
    World::with(WorldConfig {
        backends: Some(format!("jsonrpc:\n  url: {}", node.url())),
        top_level: format!("http_transport:\n  ca_file: {}", trusted.display()),
        ..WorldConfig::default()
    })
    .await
}

#[tokio::test]
async fn backend_is_asked_over_tls_with_the_version_that_it_prefers() {
    let identity = Identity::new();
    for (protocols, over_http2) in [(&[b"h2".as_slice(), b"http/1.1"][..], 2), (&[b"http/1.1"], 0), (&[], 0)] {
        let node = Node::start_with("a", Some(identity.acceptor(protocols))).await;
        let world = world(&node, &identity, true).await;
        let relay = world.relay().await;
        for _ in 0..2 {
            let answer = relay.send(&world.url()).await.answer("supplier1");
            assert_eq!(answer.body_bz, "a");
        }
        assert_eq!(
            (node.asked(), node.over_http2(), node.connections()),
            (2, over_http2, 1)
        );
        world.end().await;
    }
}

#[tokio::test]
async fn backend_that_nobody_vouches_for_is_not_asked() {
    let identity = Identity::new();
    let node = Node::start_with("a", Some(identity.acceptor(&[]))).await;
    let world = world(&node, &identity, false).await;
    let reply = world.relay().await.send(&world.url()).await;
    assert_eq!(reply.refusal(), (502, r#"{"error":"backend error"}"#));
    assert_eq!(node.asked(), 0);
    world.end().await;
}

#[tokio::test]
async fn connections_are_open_before_relays_ask_for_them() {
    let identity = Identity::new();
    for tls in [None, Some(identity.acceptor(&[]))] {
        let mut node = Node::start_with("a", tls).await;
        let trusted = identity.file("cert.pem");
        let world = World::with(WorldConfig {
            backends: Some(format!("jsonrpc:\n  url: {}", node.url())),
            top_level: format!(
                "http_transport:\n  warm_conns_per_host: 3\n  ca_file: {}",
                trusted.display()
            ),
            ..WorldConfig::default()
        })
        .await;
        node.wait_until_connected(3).await;
        let opened = |world: &World| world.observed("ha_relayer_backend_dial_seconds", &[("service_id", "svc-http")]);
        world.wait_until(|world| opened(world) == 3).await;
        let relay = world.relay().await;
        relay.send(&world.url()).await.answer("supplier1");
        // The one that was taken is replaced.
        node.wait_until_connected(4).await;
        relay.send(&world.url()).await.answer("supplier1");
        assert_eq!(node.connections(), 4);

        // Those that the backend closed are not used.
        node.stop().await;
        node.start_again().await;
        let relay = world.relay().await;
        relay.send(&world.url()).await.answer("supplier1");
        world.end().await;
    }
}

/// `{"result":"0x1"}`, and a mebibyte of zeros, as brotli's reference implementation packs them.
const BROTLI: &[u8] = b"\x8b\x07\x80{\"result\":\"0x1\"}\x03";
const BROTLI_BOMB: &[u8] = b"\x5b\xff\xff\x8f\x7f\x02\x20\x1e\x0b\x04\x72\xef\x1f\x00";

fn zstd(plain: &[u8]) -> Bytes {
    ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest).into()
}

#[tokio::test]
async fn packed_answer_is_signed_and_mined_as_it_reads() {
    let plain = br#"{"result":"0x1"}"#;
    let node = Node::start("a").await;
    let mut world = World::with(WorldConfig {
        backend: Some(node.url()),
        ..WorldConfig::default()
    })
    .await;
    for (coding, packed) in [("zstd", zstd(plain)), ("br", Bytes::from_static(BROTLI))] {
        node.go(Way::Packed(coding, packed));
        let answer = world.relay().await.send(&world.url()).await.answer("supplier1");
        assert_eq!(&answer.body_bz[..], plain, "{coding}");
        assert!(!answer.header.contains_key("Content-Encoding"), "{coding}");
    }
    assert_eq!(world.published("supplier1").await.len(), 2);
    world.end().await;
}

#[tokio::test]
async fn decompression_bomb_is_refused_and_opens_no_breaker() {
    let (first, second) = (Node::start("a").await, Node::start("b").await);
    let urls = format!("urls: ['{}', '{}']", first.url(), second.url());
    let breaker = "health_check: {unhealthy_threshold: 1}";
    let mut world = World::with(WorldConfig {
        backends: Some(format!(
            "jsonrpc:\n  {urls}\n  load_balancing: first_healthy\n  {breaker}"
        )),
        top_level: "default_max_body_size_bytes: 100000".to_owned(),
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await.to("GET", "/");
    for (coding, packed) in [
        ("zstd", zstd(&vec![0; 1 << 20])),
        ("br", Bytes::from_static(BROTLI_BOMB)),
    ] {
        node_answers(&first, coding, packed);
        let reply = relay.send(&world.url()).await;
        assert_eq!(reply.refusal(), (502, r#"{"error":"backend error"}"#), "{coding}");
    }
    assert_eq!((first.asked(), second.asked()), (2, 0));
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

fn node_answers(node: &Node, coding: &'static str, packed: Bytes) {
    node.go(Way::Packed(coding, packed));
}

#[tokio::test]
async fn grpc_backend_is_asked_over_tls() {
    let identity = Identity::new();
    let backend = GrpcBackend::start_tls(identity.acceptor(&[b"h2"])).await;
    let mut world = World::with(WorldConfig {
        grpc: Some(backend.url.clone()),
        top_level: format!("http_transport:\n  ca_file: {}", identity.file("cert.pem").display()),
        ..WorldConfig::default()
    })
    .await;
    let relay = call(&world.relay().await, "Say", b"secret").with_outer("rpc-type", "1");
    let answer = relay.send(&world.url()).await.answer("supplier1");
    assert_eq!(answer.body_bz, framed(b"secret"));
    assert_eq!(answer.header["Grpc-Status"].values, ["0"]);
    assert_eq!(backend.asked().len(), 1);
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}
