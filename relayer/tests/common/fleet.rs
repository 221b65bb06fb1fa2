//! Backends that fail in the ways that a test tells them to.

use std::convert::Infallible;
use std::io::Result;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What a node does with a relay.
#[derive(Clone)]
pub enum Way {
    /// It says its name.
    Answer,
    /// It says its name, later.
    AnswerAfter(Duration),
    /// It answers with this status.
    Status(u16),
    /// It never answers.
    Stall,
    /// It hangs up when it has read the request.
    HangUp,
    /// It sends these bytes under this `Content-Encoding`.
    Packed(&'static str, Bytes),
}

struct Shared {
    name: String,
    way: Mutex<Way>,
    /// What it answers to `/probe`, and to gRPC's health check.
    well: Mutex<(StatusCode, Bytes)>,
    asked: watch::Sender<usize>,
    connections: watch::Sender<usize>,
    http2: watch::Sender<usize>,
    given_up: Notify,
}

/// One server of a fleet.
pub struct Node {
    address: SocketAddr,
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
    serving: JoinSet<()>,
}

impl Node {
    pub async fn start(name: &str) -> Self {
        Self::start_with(name, None).await
    }

    pub async fn start_with(name: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            way: Mutex::new(Way::Answer),
            well: Mutex::new((StatusCode::OK, Bytes::new())),
            asked: watch::Sender::new(0),
            connections: watch::Sender::new(0),
            http2: watch::Sender::new(0),
            given_up: Notify::new(),
        });
        let mut node = Self {
            address: listener.local_addr().unwrap(),
            shared,
            tls,
            serving: JoinSet::new(),
        };
        node.serve(listener);
        node
    }

    fn serve(&mut self, listener: TcpListener) {
        self.serving
            .spawn(accept(listener, self.shared.clone(), self.tls.clone()));
    }

    /// Nothing listens any more, and nothing is open.
    pub async fn stop(&mut self) {
        self.serving.shutdown().await;
    }

    /// Listens again where it did.
    pub async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.address.port())
    }

    pub fn go(&self, way: Way) {
        *self.shared.way.lock().unwrap() = way;
    }

    /// What its health is from now on.
    pub fn is_well(&self, status: u16, body: &'static [u8]) {
        let status = StatusCode::from_u16(status).unwrap();
        *self.shared.well.lock().unwrap() = (status, Bytes::from_static(body));
    }

    /// Relays it was asked.
    pub fn asked(&self) -> usize {
        *self.shared.asked.borrow()
    }

    pub async fn wait_until_asked(&self, count: usize) {
        let mut asked = self.shared.asked.subscribe();
        asked.wait_for(|asked| *asked >= count).await.unwrap();
    }

    /// Connections it took.
    pub fn connections(&self) -> usize {
        *self.shared.connections.borrow()
    }

    pub async fn wait_until_connected(&self, count: usize) {
        let mut connections = self.shared.connections.subscribe();
        connections.wait_for(|connections| *connections >= count).await.unwrap();
    }

    /// Relays that came over HTTP/2.
    pub fn over_http2(&self) -> usize {
        *self.shared.http2.borrow()
    }

    /// Waits until a stalled request was given up by the one who asked.
    pub async fn wait_until_given_up(&self) {
        self.shared.given_up.notified().await;
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tls: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        shared.connections.send_modify(|count| *count += 1);
        let (shared, tls) = (shared.clone(), tls.clone());
        connections.spawn(async move {
            // Who breaks off a handshake or a request is told nothing.
            let _ = serve(socket, shared, tls).await;
        });
    }
}

async fn serve(socket: TcpStream, shared: Arc<Shared>, tls: Option<TlsAcceptor>) -> Result<()> {
    socket.set_nodelay(true)?;
    let service = service_fn(move |request| answer(request, shared.clone()));
    let builder = auto::Builder::new(TokioExecutor::new());
    let served = match tls {
        Some(tls) => {
            builder
                .serve_connection(TokioIo::new(tls.accept(socket).await?), service)
                .await
        }
        None => builder.serve_connection(TokioIo::new(socket), service).await,
    };
    served.map_err(std::io::Error::other)
}

/// Tells that a request was given up, when it is dropped before it was answered.
struct Stalled(Arc<Shared>);

impl Drop for Stalled {
    fn drop(&mut self) {
        self.0.given_up.notify_one();
    }
}

#[derive(Debug, thiserror::Error)]
#[error("as told")]
struct HungUp;

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> std::result::Result<Response<Full<Bytes>>, HungUp> {
    let (head, body) = request.into_parts();
    let _ = body.collect().await;
    if matches!(head.uri.path(), "/probe" | "/grpc.health.v1.Health/Check") {
        let (status, body) = shared.well.lock().unwrap().clone();
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        return Ok(response);
    }
    if head.version == Version::HTTP_2 {
        shared.http2.send_modify(|count| *count += 1);
    }
    shared.asked.send_modify(|count| *count += 1);
    let way = shared.way.lock().unwrap().clone();
    let mut response = Response::new(Full::new(Bytes::from(shared.name.clone())));
    match way {
        Way::Answer => {}
        Way::AnswerAfter(delay) => tokio::time::sleep(delay).await,
        Way::Status(status) => *response.status_mut() = StatusCode::from_u16(status).unwrap(),
        Way::Stall => {
            let _stalled = Stalled(shared.clone());
            std::future::pending::<Infallible>().await;
        }
        Way::HangUp => return Err(HungUp),
        Way::Packed(coding, bytes) => {
            *response.body_mut() = Full::new(bytes);
            response
                .headers_mut()
                .insert("content-encoding", coding.parse().unwrap());
        }
    }
    Ok(response)
}
