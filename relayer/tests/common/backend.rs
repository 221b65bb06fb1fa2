//! A backend that does what the path says, and remembers what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

pub struct Backend {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    gate: Arc<Semaphore>,
    _serving: JoinSet<()>,
}

impl Backend {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, asked.clone(), gate.clone()));
        Self {
            address,
            asked,
            gate,
            _serving: serving,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Lets one request to `/held` go on.
    pub fn release(&self) {
        self.gate.add_permits(1);
    }

    /// What [`Backend::release`] opens, to be opened from elsewhere.
    pub fn gate(&self) -> Arc<Semaphore> {
        self.gate.clone()
    }

    /// Waits until it has been asked `count` times.
    pub async fn wait_until_asked(&self, count: usize) {
        while self.asked.lock().unwrap().len() < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn accept(listener: TcpListener, asked: Arc<Mutex<Vec<Asked>>>, gate: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (asked, gate) = (asked.clone(), gate.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, asked.clone(), gate.clone()));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    asked: Arc<Mutex<Vec<Asked>>>,
    gate: Arc<Semaphore>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let target = head.uri.to_string();
    asked.lock().unwrap().push(Asked {
        method: head.method,
        target: target.clone(),
        headers: head.headers,
        body: body.clone(),
    });
    let mut response = Response::new(Full::new(body));
    let path = target.split('?').next().unwrap_or_default();
    if let Some(status) = path.strip_prefix("/status/") {
        *response.status_mut() = status.parse::<StatusCode>().unwrap();
    }
    match path {
        "/held" => gate.acquire().await.unwrap().forget(),
        "/never" => std::future::pending().await,
        "/large" => *response.body_mut() = Full::new(vec![b'x'; 1 << 20].into()),
        "/nothing" => *response.body_mut() = Full::default(),
        _ => {}
    }
    response.headers_mut().append("x-two", "a".parse().unwrap());
    response.headers_mut().append("x-two", "b".parse().unwrap());
    response
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    Ok(response)
}
