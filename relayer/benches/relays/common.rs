//! What every bench over loopback sockets stands on: a chain, Redis, a relayer, and a gateway that signs.
//!
//! Relayer, raw proxy, backend and load each have a runtime of their own, whose threads' CPU time is read from /proc.
//! Redis is a process of its own, so what is counted for the relayer is all that its process would use.
#![allow(dead_code)] // Every bench uses a part of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use pocket_config::RelayerConfig;
use pocket_devnet::{Actor, Devnet, DevnetConfig};
use pocket_keys::{LiveKeys, SigningKey};
use pocket_proto::pocket::service::{RelayRequest, RelayRequestMetadata};
use pocket_proto::pocket::session::SessionHeader;
use pocket_proto::sdk::types::{Header, PokthttpRequest};
use pocket_protocol::Height;
use pocket_protocol::relay::request_signable_hash;
use pocket_query::{BlockFeed, ChainClient, NodeConfig};
use pocket_relayer::{Deps, Relayer};
use pocket_ring::{PrivateKey, PublicKey, Signer};
use pocket_store::{PrivateRedis, PublisherConfig, Store, StoreConfig};
use prost::Message as _;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Bytes of a question and of its answer.
pub const BODY: usize = 1024;

/// The name of the relayer's threads.
pub const RELAYER: &str = "relayer";
/// The name of the raw proxy's threads.
pub const PROXY: &str = "proxy";

/// The runtimes of all sides, and what a relayer needs beside them.
pub struct Ground {
    pub backend: Runtime,
    pub proxy: Runtime,
    pub load: Runtime,
    relayer: Runtime,
    chain: Runtime,
    devnet: Devnet,
    redis: PrivateRedis,
    _folder: TempDir,
    stop: CancellationToken,
}

impl Ground {
    /// A devnet at its first block, and an empty Redis.
    pub fn new() -> Self {
        let chain = runtime("chain");
        let devnet = chain
            .block_on(Devnet::start(DevnetConfig::default()))
            .expect("the devnet starts");
        let folder = tempfile::tempdir().expect("a folder can be made");
        let redis = chain
            .block_on(PrivateRedis::start(folder.path(), false))
            .expect("redis-server starts");
        Self {
            backend: runtime("backend"),
            proxy: runtime(PROXY),
            load: runtime("load"),
            relayer: runtime(RELAYER),
            chain,
            devnet,
            redis,
            _folder: folder,
            stop: CancellationToken::new(),
        }
    }

    /// Starts a relayer whose service `svc-http` has these backends, a YAML mapping in one line such as
    /// `{jsonrpc: {url: "http://127.0.0.1:1"}}`. Gives its address and a gateway of the current session.
    pub fn relayer(&self, backends: &str) -> (SocketAddr, Gateway) {
        let node = NodeConfig::new(self.devnet.rpc_url(), self.devnet.grpc_url());
        let starting = start_relayer(node, self.redis.url(), backends, self.stop.clone());
        let (address, header) = self.relayer.block_on(starting);
        (address, Gateway::new(header))
    }

    /// Runs `work`, which gives latencies in microseconds, and prints what it cost the threads of `side`.
    pub fn measure(&self, side: &str, unit: &str, work: impl Future<Output = Histogram<u64>>) {
        let before = cpu_time(side);
        let began = Instant::now();
        let latencies = self.load.block_on(work);
        let (took, cpu) = (began.elapsed(), cpu_time(side).saturating_sub(before));
        let count = latencies.len() as f64;
        let at = |percentile| latencies.value_at_percentile(percentile);
        println!(
            "{side:8} {count} {unit}, {:.0} a second, {:.1} µs CPU each; latency µs p50 {} p90 {} p99 {} max {}",
            count / took.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / count,
            at(50.0),
            at(90.0),
            at(99.0),
            latencies.max(),
        );
    }

    /// Stops what was started.
    pub fn end(self) {
        self.stop.cancel();
        self.chain.block_on(self.devnet.shutdown());
    }
}

/// A listener on a free loopback port.
pub async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// Microseconds up to a minute.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000, 3).expect("three digits are allowed")
}

/// What all lanes measured.
pub async fn merged(mut lanes: JoinSet<Histogram<u64>>) -> Histogram<u64> {
    let mut all = histogram();
    while let Some(latencies) = lanes.join_next().await {
        all.add(latencies.expect("no lane panics"))
            .expect("all have the same bounds");
    }
    all
}

/// Signs for `app1` and `svc-http`, to `supplier1`.
pub struct Gateway {
    header: SessionHeader,
    supplier: String,
    signer: Signer,
}

impl Gateway {
    fn new(header: SessionHeader) -> Self {
        let [app, gateway] = ["app1", "gateway1"].map(Actor::named);
        let ring = [&app, &gateway].map(|actor| PublicKey::parse(&actor.public_key).expect("the key is good"));
        let key = PrivateKey::parse(&gateway.private_key).expect("the key is good");
        Self {
            header,
            supplier: Actor::named("supplier1").address,
            signer: Signer::new(key, &ring).expect("the gateway is in the ring"),
        }
    }

    /// A signed relay request with this payload, encoded.
    pub fn sign(&self, payload: Bytes) -> Bytes {
        let mut meta = RelayRequestMetadata {
            session_header: Some(self.header.clone()),
            signature: Bytes::new(),
            supplier_operator_address: self.supplier.clone(),
        };
        let mut request = RelayRequest {
            meta: Some(meta.clone()),
            payload,
        };
        let message = request_signable_hash(&request);
        meta.signature = self.signer.sign(&message, &mut rand::rng()).to_bytes().into();
        request.meta = Some(meta);
        request.encode_to_vec().into()
    }

    /// Relays with an inner HTTP request of [`BODY`] bytes, no two alike.
    pub fn questions(&self, count: usize) -> Vec<Bytes> {
        (0..count)
            .map(|number| self.sign(envelope(question(number)).encode_to_vec().into()))
            .collect()
    }
}

/// A JSON-RPC request of [`BODY`] bytes.
pub fn question(number: usize) -> Bytes {
    let question = format!(
        r#"{{"jsonrpc":"2.0","id":{number},"method":"eth_call","params":["{}"]}}"#,
        "x".repeat(BODY)
    );
    question[..BODY].to_owned().into()
}

/// The inner HTTP request that carries `body`.
pub fn envelope(body: Bytes) -> PokthttpRequest {
    let json = Header {
        key: "Content-Type".to_owned(),
        values: vec!["application/json".to_owned()],
    };
    PokthttpRequest {
        method: "POST".to_owned(),
        header: [("Content-Type".to_owned(), json)].into(),
        url: "/".to_owned(),
        body_bz: body,
    }
}

fn runtime(name: &str) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(name)
        .enable_all()
        .build()
        .expect("threads can be made")
}

async fn start_relayer(
    node: NodeConfig,
    redis: String,
    backends: &str,
    stop: CancellationToken,
) -> (SocketAddr, SessionHeader) {
    let chain = ChainClient::new(node).expect("the addresses are good");
    let yaml = format!(
        "listen_addr: 127.0.0.1:0
redis:
  url: {redis}
pocket_node:
  query_node_rpc_url: http://127.0.0.1:1
  query_node_grpc_url: 127.0.0.1:1
keys:
  keys_file: unused.yaml
services:
  svc-http:
    validation_mode: eager
    backends: {backends}
"
    );
    let config = RelayerConfig::from_str("relayer.yaml", &yaml).expect("the configuration is good");
    let (feed, _following) = BlockFeed::start(chain.clone(), stop.clone());
    feed.subscribe()
        .wait_for(|block| block.height.0 > 0)
        .await
        .expect("the feed runs");
    let app = Actor::named("app1").address;
    let session = chain
        .session(&app, "svc-http", Height(1))
        .await
        .expect("the session is there");
    let key = SigningKey::from_bytes(&Actor::named("supplier1").private_key).expect("the key is good");
    let deps = Deps {
        chain,
        feed,
        store: Store::new(StoreConfig::at(redis)).expect("the address is good"),
        keys: LiveKeys::from_iter([key]),
        registry: pocket_metrics::Registry::new(),
        publisher: PublisherConfig::default(),
    };
    let running = Relayer::start(&config, deps, stop).await.expect("the relayer starts");
    (
        running.local_addr(),
        session.header.clone().expect("a session has a header"),
    )
}

/// CPU time of all threads with this name.
fn cpu_time(name: &str) -> Duration {
    let mut nanos = 0;
    for task in std::fs::read_dir("/proc/self/task").expect("Linux").flatten() {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim() == name {
            // First field: nanoseconds on a processor.
            nanos += read("schedstat")
                .split(' ')
                .next()
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(0);
        }
    }
    Duration::from_nanos(nanos)
}
