//! CPU time a relay and latencies over loopback sockets, beside a raw proxy in the same run.
//!
//! `cargo bench -p pocket-relayer --bench loopback -- [RELAYS] [CONNECTIONS] [RATE]`. RATE is in relays
//! a second; without it each connection sends as fast as it is answered. Relays are signed ahead; relayer, proxy,
//! backend and load each have a runtime of their own, whose threads' CPU time is read from /proc. Redis is a process
//! of its own, so what is counted for the relayer is all that its process would use.

#[path = "../examples/raw_proxy.rs"]
#[allow(dead_code)] // Its `main`.
mod raw_proxy;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pocket_config::RelayerConfig;
use pocket_devnet::{Actor, Devnet, DevnetConfig};
use pocket_keys::{KeySet, SigningKey};
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
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Bytes of a question and of its answer.
const BODY: usize = 1024;
/// Relays that are not measured: tables, connections and caches come up.
const WARM_UP: usize = 500;

fn runtime(name: &str) -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(name)
        .enable_all()
        .build()
        .expect("threads can be made")
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse::<usize>().ok());
    let (relays, connections) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(8));
    // What a connection waits from one relay to the next.
    let pause = numbers.next().map_or(Duration::ZERO, |rate| {
        Duration::from_secs(1) * connections as u32 / rate as u32
    });
    let [backend, relayer, proxy, load, chain] = ["backend", "relayer", "proxy", "load", "chain"].map(runtime);

    let backend_address = backend.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(serve_backend(listener));
        address
    });
    let proxy_address = proxy.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(raw_proxy::serve(
            listener,
            format!("http://{backend_address}/").parse().expect("a URL"),
        ));
        address
    });
    let devnet = chain
        .block_on(Devnet::start(DevnetConfig::default()))
        .expect("the devnet starts");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let redis = chain
        .block_on(PrivateRedis::start(folder.path(), false))
        .expect("redis-server starts");
    let stop = CancellationToken::new();
    let node = NodeConfig::new(devnet.rpc_url(), devnet.grpc_url());
    let (address, header) = relayer.block_on(start_relayer(node, &redis, backend_address, stop.clone()));

    let signed = sign_ahead(&header, relays + WARM_UP);
    for (name, target) in [("proxy", proxy_address), ("relayer", address)] {
        load.block_on(drive(target, &signed[..WARM_UP], connections, Duration::ZERO));
        let before = cpu_time(name);
        let began = Instant::now();
        let latencies = load.block_on(drive(target, &signed[WARM_UP..], connections, pause));
        report(
            name,
            relays,
            began.elapsed(),
            cpu_time(name).saturating_sub(before),
            &latencies,
        );
    }
    stop.cancel();
    chain.block_on(devnet.shutdown());
}

async fn start_relayer(
    node: NodeConfig,
    redis: &PrivateRedis,
    backend: SocketAddr,
    stop: CancellationToken,
) -> (SocketAddr, SessionHeader) {
    let chain = ChainClient::new(node).expect("the addresses are good");
    let yaml = format!(
        "listen_addr: 127.0.0.1:0
redis:
  url: {}
pocket_node:
  query_node_rpc_url: http://127.0.0.1:1
  query_node_grpc_url: 127.0.0.1:1
keys:
  keys_file: unused.yaml
services:
  svc-http:
    validation_mode: eager
    backends:
      jsonrpc:
        url: http://{backend}
",
        redis.url()
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
        store: Store::new(StoreConfig::at(redis.url())).expect("the address is good"),
        keys: KeySet::from_iter([key]),
        registry: prometheus::Registry::new(),
        publisher: PublisherConfig::default(),
    };
    let running = Relayer::start(&config, deps, stop).await.expect("the relayer starts");
    (
        running.local_addr(),
        session.header.clone().expect("a session has a header"),
    )
}

/// Relays by the gateway, no two alike.
fn sign_ahead(header: &SessionHeader, count: usize) -> Vec<Bytes> {
    let [app, gateway] = ["app1", "gateway1"].map(Actor::named);
    let ring = [&app, &gateway].map(|actor| PublicKey::parse(&actor.public_key).expect("the key is good"));
    let signer = Signer::new(PrivateKey::parse(&gateway.private_key).expect("the key is good"), &ring)
        .expect("the gateway is in the ring");
    let json = Header {
        key: "Content-Type".to_owned(),
        values: vec!["application/json".to_owned()],
    };
    let signed = (0..count).map(|number| {
        let question = format!(
            r#"{{"jsonrpc":"2.0","id":{number},"method":"eth_call","params":["{}"]}}"#,
            "x".repeat(BODY)
        );
        let envelope = PokthttpRequest {
            method: "POST".to_owned(),
            header: [("Content-Type".to_owned(), json.clone())].into(),
            url: "/".to_owned(),
            body_bz: question[..question.len().min(BODY)].to_owned().into(),
        };
        let mut meta = RelayRequestMetadata {
            session_header: Some(header.clone()),
            signature: Bytes::new(),
            supplier_operator_address: Actor::named("supplier1").address,
        };
        let mut request = RelayRequest {
            meta: Some(meta.clone()),
            payload: envelope.encode_to_vec().into(),
        };
        meta.signature = signer
            .sign(&request_signable_hash(&request), &mut rand::rng())
            .to_bytes()
            .into();
        request.meta = Some(meta);
        request.encode_to_vec().into()
    });
    signed.collect()
}

async fn serve_backend(listener: TcpListener) {
    let answer = Bytes::from(vec![b'y'; BODY]);
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let answer = answer.clone();
        connections.spawn(async move {
            let _ = socket.set_nodelay(true);
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer.clone();
                async move {
                    let _ = request.into_body().collect().await;
                    Ok::<_, Infallible>(Response::new(Full::new(answer)))
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

/// Sends all, each connection one after the other and at most one every `pause`; gives latencies in microseconds, from
/// the moment that a relay was due.
async fn drive(target: SocketAddr, relays: &[Bytes], connections: usize, pause: Duration) -> Histogram<u64> {
    let mut lanes = JoinSet::new();
    let start = Instant::now();
    for lane in 0..connections {
        let own: Vec<Bytes> = relays.iter().skip(lane).step_by(connections).cloned().collect();
        // The connections take turns.
        let first = start + pause * lane as u32 / connections as u32;
        lanes.spawn(async move {
            let mut latencies = histogram();
            let mut sender = connect(target).await;
            for (number, relay) in own.into_iter().enumerate() {
                let mut due = Instant::now();
                if !pause.is_zero() {
                    due = first + pause * number as u32;
                    tokio::time::sleep_until(due.into()).await;
                }
                let request = Request::post("/")
                    .header("host", "relayer")
                    .header("rpc-type", "3")
                    .body(Full::new(relay));
                let response = sender
                    .send_request(request.expect("the request is good"))
                    .await
                    .expect("it answers");
                let status = response.status();
                let body = response
                    .into_body()
                    .collect()
                    .await
                    .expect("the answer is whole")
                    .to_bytes();
                assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
                latencies.saturating_record(due.elapsed().as_micros() as u64);
            }
            latencies
        });
    }
    let mut all = histogram();
    while let Some(latencies) = lanes.join_next().await {
        all.add(latencies.expect("no lane panics"))
            .expect("all have the same bounds");
    }
    all
}

/// Microseconds up to a minute.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(60_000_000, 3).expect("three digits are allowed")
}

async fn connect(target: SocketAddr) -> SendRequest<Full<Bytes>> {
    let socket = TcpStream::connect(target).await.expect("it listens");
    socket.set_nodelay(true).expect("it is a TCP socket");
    let (sender, connection) = http1::handshake(TokioIo::new(socket))
        .await
        .expect("a handshake needs no peer");
    tokio::spawn(connection);
    sender
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

fn report(name: &str, relays: usize, took: Duration, cpu: Duration, latencies: &Histogram<u64>) {
    let at = |percentile| latencies.value_at_percentile(percentile);
    println!(
        "{name:8} {relays} relays, {:.0} a second, {:.1} µs CPU each; latency µs p50 {} p90 {} p99 {} max {}",
        relays as f64 / took.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / relays as f64,
        at(50.0),
        at(90.0),
        at(99.0),
        latencies.max(),
    );
}
