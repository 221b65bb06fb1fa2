//! A proxy that only proxies: the floor under the relayer's cost for forwarding, with the same libraries.
//!
//! `cargo run --release -p pocket-relayer --example raw_proxy -- 127.0.0.1:8080 http://127.0.0.1:8545`

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

type Connections = Client<HttpConnector, Full<Bytes>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(backend)) = (arguments.next(), arguments.next()) else {
        return Err("usage: raw_proxy LISTEN_ADDRESS BACKEND_URL".into());
    };
    serve(TcpListener::bind(listen).await?, backend.parse()?).await;
    Ok(())
}

/// Forwards every request to `backend` until dropped.
pub async fn serve(listener: TcpListener, backend: Uri) {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    let client: Connections = Client::builder(TokioExecutor::new()).build(tcp);
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (client, backend) = (client.clone(), backend.clone());
        connections.spawn(async move {
            let _ = socket.set_nodelay(true);
            let service = service_fn(move |request| forward(request, client.clone(), backend.clone()));
            // A gateway that leaves is no matter.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn forward(
    request: Request<Incoming>,
    client: Connections,
    backend: Uri,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let answered = async {
        let body = request.into_body().collect().await.ok()?.to_bytes();
        let forwarded = Request::post(backend).body(Full::new(body)).ok()?;
        let response = client.request(forwarded).await.ok()?;
        let body = response.into_body().collect().await.ok()?.to_bytes();
        Some(Response::new(Full::new(body)))
    };
    Ok(answered.await.unwrap_or_else(|| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    }))
}
