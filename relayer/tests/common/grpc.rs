//! A gRPC server that does what the method says, and remembers what it was asked; and the relays that ask it.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pocket_proto::sdk::types::Header;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::transport::{Channel, Endpoint};

use super::backend::Asked;
use super::client::Relay;
use super::{World, WorldConfig};

type Body = UnsyncBoxBody<Bytes, io::Error>;

pub struct GrpcBackend {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: JoinSet<()>,
}

impl GrpcBackend {
    /// Speaks HTTP/2 with prior knowledge.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Speaks TLS, as `localhost`.
    pub async fn start_tls(acceptor: TlsAcceptor) -> Self {
        Self::start_with(Some(acceptor)).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = match tls {
            None => format!("grpc://127.0.0.1:{port}"),
            Some(_) => format!("grpcs://localhost:{port}"),
        };
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut serving = JoinSet::new();
        let remembered = asked.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (tls, remembered) = (tls.clone(), remembered.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(socket, remembered).await,
                        Some(tls) => serve(tls.accept(socket).await.unwrap(), remembered).await,
                    }
                });
            }
        });
        Self { url, asked, serving }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits until it has been asked `count` times.
    pub async fn wait_until_asked(&self, count: usize) {
        while self.asked.lock().unwrap().len() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Ends it; its port refuses connections then.
    pub async fn stop(&mut self) {
        self.serving.shutdown().await;
    }
}

/// A world whose `svc-http` has a gRPC backend.
pub async fn world() -> (World, GrpcBackend) {
    let backend = GrpcBackend::start().await;
    let world = world_with(&backend.url, "validation_mode: eager").await;
    (world, backend)
}

pub async fn world_with(backend: &str, service: &str) -> World {
    World::with(WorldConfig {
        grpc: Some(backend.to_owned()),
        service: service.to_owned(),
        ..WorldConfig::default()
    })
    .await
}

/// A client's connection to the relay port.
pub async fn channel(world: &World) -> Channel {
    Endpoint::new(world.url()).unwrap().connect().await.unwrap()
}

/// Serves gRPC on one connection.
async fn serve(socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, asked: Arc<Mutex<Vec<Asked>>>) {
    let service = service_fn(move |request| answer(request, asked.clone()));
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

async fn answer(request: Request<Incoming>, asked: Arc<Mutex<Vec<Asked>>>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes);
    let body = body.unwrap_or_default();
    let method = head.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    asked.lock().unwrap().push(Asked {
        method: head.method,
        target: head.uri.path().to_owned(),
        headers: head.headers,
        body: body.clone(),
    });
    let ok = trailers(&[("grpc-status", "0"), ("x-after", "trailing")]);
    let frames: Vec<Result<Frame<Bytes>, io::Error>> = match method.as_str() {
        "Say" => vec![Ok(Frame::data(body)), Ok(Frame::trailers(ok))],
        "Repeat" => {
            let again = (0..3).map(|_| Ok(Frame::data(body.clone())));
            again.chain([Ok(Frame::trailers(ok))]).collect()
        }
        "FailLate" => {
            let failed = trailers(&[("grpc-status", "13"), ("grpc-message", "broke%20down")]);
            vec![Ok(Frame::data(body)), Ok(Frame::trailers(failed))]
        }
        "Break" => vec![Ok(Frame::data(body)), Err(io::Error::other("broken"))],
        "Large" => vec![Ok(Frame::data(framed(&vec![b'x'; 1 << 20]))), Ok(Frame::trailers(ok))],
        "Never" => std::future::pending().await,
        _ => Vec::new(),
    };
    let mut response = Response::new(UnsyncBoxBody::new(StreamBody::new(stream::iter(frames))));
    response
        .headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    response.headers_mut().append("x-before", "leading".parse().unwrap());
    match method.as_str() {
        "Fail" => response
            .headers_mut()
            .extend(trailers(&[("grpc-status", "5"), ("grpc-message", "no such thing")])),
        "Down" => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
        _ => {}
    }
    Ok(response)
}

fn trailers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
        .collect()
}

/// A message as it stands on the wire.
pub fn framed(message: &[u8]) -> Bytes {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message]
        .concat()
        .into()
}

/// A relay that calls `method` of the backend with `message`, as gateways write it.
pub fn call(relay: &Relay, method: &str, message: &[u8]) -> Relay {
    let mut relay = relay.clone().to("POST", &format!("/demo.Echo/{method}"));
    let header = |key: &str, value: &str| {
        let header = Header {
            key: key.to_owned(),
            values: vec![value.to_owned()],
        };
        (key.to_owned(), header)
    };
    relay.envelope.header = [
        header("Content-Type", "application/grpc"),
        header("Te", "trailers"),
        header("X-Said", "so"),
    ]
    .into();
    relay.envelope.body_bz = framed(message);
    relay
}
