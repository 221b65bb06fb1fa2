use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use pocket_metrics::Registry;
use prometheus::{Encoder, TextEncoder};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// Longest wait for a request's headers: a probe that says nothing is closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Tells whether the process can do its work now, or in words why not.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Serves `/metrics` (Prometheus text), `/health` (the process lives) and `/ready` (it can work).
#[derive(Debug)]
pub struct ProbeServer {
    local_addr: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl ProbeServer {
    /// Listens on `address` until `cancel`.
    pub async fn start(
        address: SocketAddr,
        registry: Registry,
        ready: Readiness,
        cancel: CancellationToken,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let local_addr = listener.local_addr()?;
        let task = tokio::spawn(serve(listener, registry, ready, cancel));
        Ok(Self { local_addr, task })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits for its end after the cancellation.
    pub async fn stopped(self) {
        // A panic in here was logged where it happened; there is nothing left to stop.
        let _ = self.task.await;
    }
}

async fn serve(listener: TcpListener, registry: Registry, ready: Readiness, cancel: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection of a probe");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        let (registry, ready) = (registry.clone(), ready.clone());
        connections.spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let answer = answer(request.uri().path(), &registry, &ready);
                async { Ok::<_, Infallible>(answer) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
            // A probe that breaks off is nobody's loss.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(path: &str, registry: &Registry, ready: &Readiness) -> Response<Full<Bytes>> {
    match path {
        "/metrics" => {
            let (encoder, mut text) = (TextEncoder::new(), Vec::new());
            match encoder.encode(&registry.gather(), &mut text) {
                Ok(()) => text_answer(StatusCode::OK, encoder.format_type(), text),
                Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            }
        }
        "/health" | "/healthz" => plain(StatusCode::OK, "OK"),
        "/ready" => match ready() {
            Ok(()) => plain(StatusCode::OK, "READY"),
            Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, reason),
        },
        _ => plain(StatusCode::NOT_FOUND, "try /metrics, /health or /ready"),
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    text_answer(status, "text/plain; charset=utf-8", text)
}

fn text_answer(status: StatusCode, kind: &str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_and_probes_are_shown() {
        let registry = Registry::new();
        registry.counter("ha_test_total", "a test").unwrap().inc_by(7);
        let cancel = CancellationToken::new();
        let ready: Readiness = Arc::new(|| Err("Redis is away".into()));
        let server = ProbeServer::start("127.0.0.1:0".parse().unwrap(), registry, ready, cancel.clone())
            .await
            .unwrap();

        let address = server.local_addr();
        assert!(get(address, "/metrics").await.contains("ha_test_total 7"));
        assert!(get(address, "/health").await.starts_with("HTTP/1.1 200"));
        let answer = get(address, "/ready").await;
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.ends_with("Redis is away"),
            "{answer}"
        );
        assert!(get(address, "/other").await.starts_with("HTTP/1.1 404"));
        cancel.cancel();
        server.stopped().await;
    }
}
