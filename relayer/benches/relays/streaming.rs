//! Batches of server-sent events a second, beside a raw proxy that passes the stream on, in the same run.
//!
//! `cargo bench -p pocket-relayer --bench relays -- streaming [STREAMS] [CONNECTIONS] [BATCHES]`. A batch is a hundred lines,
//! which is where the relayer cuts. Each of the relayer's is signed. The latency is a stream's time, shared out over
//! its batches.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Instant;

use crate::common::{Ground, PROXY, RELAYER, histogram, listen};
use bytes::Bytes;
use futures::stream;
use hdrhistogram::Histogram;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Streams that are not measured.
const WARM_UP: usize = 20;
/// Lines of a batch, and bytes of a line.
const LINES: usize = 100;
const LINE: usize = 50;

pub fn run(mut numbers: impl Iterator<Item = usize>) {
    let (streams, connections) = (numbers.next().unwrap_or(200), numbers.next().unwrap_or(8));
    let batches = numbers.next().unwrap_or(50);
    let ground = Ground::new();
    let (listener, backend) = ground.backend.block_on(listen());
    ground.backend.spawn(serve_backend(listener, batches));
    let (listener, proxy) = ground.proxy.block_on(listen());
    ground.proxy.spawn(serve_proxy(listener, backend));
    let (relayer, gateway) = ground.relayer(&format!(r#"{{jsonrpc: {{url: "http://{backend}"}}}}"#));

    let signed = gateway.questions(streams + WARM_UP);
    for (name, target) in [(PROXY, proxy), (RELAYER, relayer)] {
        ground
            .load
            .block_on(drive(target, &signed[..WARM_UP], connections, batches));
        ground.measure(name, "batches", drive(target, &signed[WARM_UP..], connections, batches));
    }
    ground.end();
}

/// Answers every request with so many batches, as fast as they are taken.
async fn serve_backend(listener: TcpListener, batches: usize) {
    let line = [b"data: ", &[b'x'; LINE - 7][..], b"\n"].concat();
    let batch = Bytes::from(line.repeat(LINES));
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let batch = batch.clone();
        connections.spawn(async move {
            let _ = socket.set_nodelay(true);
            let service = service_fn(move |request: Request<Incoming>| {
                let batch = batch.clone();
                async move {
                    let _ = request.into_body().collect().await;
                    let frames = (0..batches).map(move |_| Ok::<_, Infallible>(Frame::data(batch.clone())));
                    let mut response = Response::new(StreamBody::new(stream::iter(frames)));
                    let events = "text/event-stream".parse().expect("a header's value");
                    response.headers_mut().insert(header::CONTENT_TYPE, events);
                    Ok::<_, Infallible>(response)
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

/// Passes every request and every piece of its answer on.
async fn serve_proxy(listener: TcpListener, backend: SocketAddr) {
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build_http();
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let client = client.clone();
        connections.spawn(async move {
            let _ = socket.set_nodelay(true);
            let service = service_fn(move |mut request: Request<Incoming>| {
                *request.uri_mut() = format!("http://{backend}/").parse().expect("a URL");
                client.request(request)
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

/// Reads all streams, each lane one after the other. The relayer ends a connection with its stream, so each stream has
/// one of its own.
async fn drive(target: SocketAddr, relays: &[Bytes], lanes: usize, batches: usize) -> Histogram<u64> {
    let mut running = JoinSet::new();
    for lane in 0..lanes {
        let own: Vec<Bytes> = relays.iter().skip(lane).step_by(lanes).cloned().collect();
        running.spawn(async move {
            let mut latencies = histogram();
            for relay in own {
                let began = Instant::now();
                let length = read_stream(target, relay).await;
                assert!(length >= batches * LINES * LINE, "{length} bytes");
                let each = began.elapsed().as_micros() as u64 / batches as u64;
                latencies.saturating_record_n(each, batches as u64);
            }
            latencies
        });
    }
    crate::common::merged(running).await
}

/// The length of one stream.
async fn read_stream(target: SocketAddr, relay: Bytes) -> usize {
    let socket = TcpStream::connect(target).await.expect("it listens");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .expect("a handshake needs no peer");
    tokio::spawn(connection);
    let request = Request::post("/")
        .header("host", "relayer")
        .header("rpc-type", "3")
        .body(Full::new(relay));
    let request = request.expect("the request is good");
    let mut body = sender.send_request(request).await.expect("it answers").into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame.expect("the stream is whole").data_ref().map_or(0, Bytes::len);
    }
    length
}
