//! gRPC relays a second and their CPU time, beside a raw gRPC proxy in the same run.
//!
//! `cargo bench -p pocket-relayer --bench relays -- grpc [RELAYS] [CONNECTIONS]`. Each connection sends as fast as it is
//! answered. Relays are signed ahead; each asks for a unary method of a gRPC backend.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Instant;

use crate::common::{BODY, Gateway, Ground, PROXY, RELAYER, histogram, listen};
use bytes::Bytes;
use futures::stream;
use hdrhistogram::Histogram;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pocket_proto::sdk::types::{Header, PokthttpRequest};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Relays that are not measured: tables, connections and caches come up.
const WARM_UP: usize = 500;
const SEND_RELAY: &str = "/pocket.service.RelayService/SendRelay";

pub fn run(mut numbers: impl Iterator<Item = usize>) {
    let (relays, connections) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(8));
    let ground = Ground::new();
    let (listener, backend) = ground.backend.block_on(listen());
    ground.backend.spawn(serve_backend(listener));
    let (listener, proxy) = ground.proxy.block_on(listen());
    ground.proxy.spawn(serve_proxy(listener, backend));
    let (relayer, gateway) = ground.relayer(&format!(r#"{{grpc: {{url: "grpc://{backend}"}}}}"#));

    let signed = calls(&gateway, relays + WARM_UP);
    for (name, target) in [(PROXY, proxy), (RELAYER, relayer)] {
        ground.load.block_on(drive(target, &signed[..WARM_UP], connections));
        ground.measure(name, "gRPC relays", drive(target, &signed[WARM_UP..], connections));
    }
    ground.end();
}

/// Relays to a unary method, no two alike, as they stand in a call's body.
fn calls(gateway: &Gateway, count: usize) -> Vec<Bytes> {
    let header = |key: &str, value: &str| {
        let header = Header {
            key: key.to_owned(),
            values: vec![value.to_owned()],
        };
        (key.to_owned(), header)
    };
    let relay = |number| {
        let envelope = PokthttpRequest {
            method: "POST".to_owned(),
            header: [header("Content-Type", "application/grpc"), header("Te", "trailers")].into(),
            url: "/bench.Echo/Say".to_owned(),
            body_bz: framed(&crate::common::question(number)),
        };
        framed(&gateway.sign(envelope.encode_to_vec().into()))
    };
    (0..count).map(relay).collect()
}

/// A message as it stands on the wire.
fn framed(message: &[u8]) -> Bytes {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message]
        .concat()
        .into()
}

async fn serve_backend(listener: TcpListener) {
    let answer = framed(&[b'y'; BODY]);
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let answer = answer.clone();
        connections.spawn(serve(socket, move |request| {
            let answer = answer.clone();
            async move {
                let _ = request.into_body().collect().await;
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                answered(answer, trailers)
            }
        }));
    }
}

/// A proxy that only proxies, with the same libraries.
async fn serve_proxy(listener: TcpListener, backend: SocketAddr) {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build(tcp);
    let backend: Uri = format!("http://{backend}/bench.Echo/Say").parse().expect("a URL");
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (client, backend): (Client<_, Full<Bytes>>, _) = (client.clone(), backend.clone());
        connections.spawn(serve(socket, move |request| {
            let (client, backend) = (client.clone(), backend.clone());
            async move {
                let asked = request.into_body().collect().await.expect("the call is whole");
                let request = call(backend, asked.to_bytes());
                let response = client.request(request).await.expect("the backend answers");
                let said = response.into_body().collect().await.expect("the answer is whole");
                let trailers = said.trailers().cloned().unwrap_or_default();
                answered(said.to_bytes(), trailers)
            }
        }));
    }
}

async fn serve<A, F, B>(socket: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let _ = socket.set_nodelay(true);
    let service = service_fn(|request| {
        let answering = answer(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

fn answered(message: Bytes, trailers: HeaderMap) -> Response<impl Body<Data = Bytes, Error = Infallible>> {
    let frames = [Ok(Frame::data(message)), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(StreamBody::new(stream::iter(frames)));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}

fn call(uri: Uri, message: Bytes) -> Request<Full<Bytes>> {
    Request::post(uri)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header("rpc-type", "1")
        .body(Full::new(message))
        .expect("the request is good")
}

/// Sends all, each connection one after the other; gives latencies in microseconds.
async fn drive(target: SocketAddr, relays: &[Bytes], connections: usize) -> Histogram<u64> {
    let uri: Uri = format!("http://{target}{SEND_RELAY}").parse().expect("a URL");
    let mut lanes = JoinSet::new();
    for lane in 0..connections {
        let own: Vec<Bytes> = relays.iter().skip(lane).step_by(connections).cloned().collect();
        let uri = uri.clone();
        lanes.spawn(async move {
            let mut latencies = histogram();
            let mut sender = connect(target).await;
            for relay in own {
                let began = Instant::now();
                let response = sender.send_request(call(uri.clone(), relay)).await.expect("it answers");
                let body = response.into_body().collect().await.expect("the answer is whole");
                let status = body.trailers().and_then(|trailers| trailers.get("grpc-status"));
                assert!(status.is_some_and(|status| status == "0"), "{status:?}");
                // Word of a failed backend would be shorter.
                assert!(body.to_bytes().len() > BODY);
                latencies.saturating_record(began.elapsed().as_micros() as u64);
            }
            latencies
        });
    }
    crate::common::merged(lanes).await
}

async fn connect(target: SocketAddr) -> SendRequest<Full<Bytes>> {
    let socket = TcpStream::connect(target).await.expect("it listens");
    socket.set_nodelay(true).expect("it is a TCP socket");
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
        .await
        .expect("a handshake with HTTP/2");
    tokio::spawn(connection);
    sender
}
