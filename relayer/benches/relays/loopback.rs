//! CPU time a relay and latencies over HTTP/1.1, beside a raw proxy in the same run.
//!
//! `cargo bench -p pocket-relayer --bench relays -- loopback [RELAYS] [CONNECTIONS] [RATE]`. RATE is in relays
//! a second; without it each connection sends as fast as it is answered. Relays are signed ahead.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::common::{BODY, Ground, PROXY, RELAYER, histogram, listen};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Relays that are not measured: tables, connections and caches come up.
const WARM_UP: usize = 500;

pub fn run(mut numbers: impl Iterator<Item = usize>) {
    let (relays, connections) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(8));
    // What a connection waits from one relay to the next.
    let pause = numbers.next().map_or(Duration::ZERO, |rate| {
        Duration::from_secs(1) * connections as u32 / rate as u32
    });
    let ground = Ground::new();
    let (listener, backend) = ground.backend.block_on(listen());
    ground.backend.spawn(serve_backend(listener));
    let (listener, proxy) = ground.proxy.block_on(listen());
    let url = format!("http://{backend}/").parse().expect("a URL");
    ground.proxy.spawn(crate::raw_proxy::serve(listener, url));
    let (relayer, gateway) = ground.relayer(&format!(r#"{{jsonrpc: {{url: "http://{backend}"}}}}"#));

    let signed = gateway.questions(relays + WARM_UP);
    for (name, target) in [(PROXY, proxy), (RELAYER, relayer)] {
        ground
            .load
            .block_on(drive(target, &signed[..WARM_UP], connections, Duration::ZERO));
        ground.measure(name, "relays", drive(target, &signed[WARM_UP..], connections, pause));
    }
    ground.end();
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
    crate::common::merged(lanes).await
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
