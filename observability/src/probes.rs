use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use pocket_metrics::Registry;
use pocket_status::{Status, page};
use prometheus::{Encoder, TextEncoder};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::grpc_health;

/// What a client is sent; only calls have more than whole bytes.
pub(crate) type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// Longest wait for a request's headers: a probe that says nothing is closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Tells whether the process can do its work now, or in words why not.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Tells what the process does now.
pub type StatusSource = Arc<dyn Fn() -> Status + Send + Sync>;

/// Answers `/ready/<service>`, given the service.
pub type ServiceReadiness = Arc<dyn Fn(&str) -> Option<Response<Full<Bytes>>> + Send + Sync>;

/// What is shown of a process.
#[derive(Clone)]
pub struct Shown {
    /// At `/metrics`.
    pub registry: Registry,
    /// At `/ready`.
    pub ready: Readiness,
    /// At `/status` as JSON, and at `/` as a page that reads it.
    pub status: Option<StatusSource>,
    /// At `/ready/<service>`.
    pub services: Option<ServiceReadiness>,
}

/// Serves `/metrics` (Prometheus text), `/health` (the process lives), `/ready` (it can work), `/status` (what it does)
/// and `/` (the same for a browser). gRPC's health service says what `/ready` says.
#[derive(Debug)]
pub struct ProbeServer {
    local_addr: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

/// A port that is taken, and on which nobody answers yet.
#[derive(Debug)]
pub struct ProbePort(TcpListener);

impl ProbePort {
    /// Takes `address`.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self)
    }

    /// Answers until `cancel`.
    pub fn serve(self, shown: Shown, cancel: CancellationToken) -> io::Result<ProbeServer> {
        let local_addr = self.0.local_addr()?;
        let task = tokio::spawn(serve(self.0, Arc::new(shown), cancel));
        Ok(ProbeServer { local_addr, task })
    }
}

impl ProbeServer {
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

async fn serve(listener: TcpListener, shown: Arc<Shown>, cancel: CancellationToken) {
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
        let shown = shown.clone();
        connections.spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let shown = shown.clone();
                async move { Ok::<_, Infallible>(respond(request, &shown).await) }
            });
            let mut server = auto::Builder::new(TokioExecutor::new());
            server
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT);
            server
                .http2()
                .timer(TokioTimer::new())
                .keep_alive_interval(HEADER_TIMEOUT);
            // A probe that breaks off is nobody's loss.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(request: Request<Incoming>, shown: &Shown) -> Response<Answer> {
    if grpc_health::is_call(request.headers()) {
        let (head, body) = request.into_parts();
        return grpc_health::answer(head.uri.path(), body, shown).await;
    }
    answer(request.uri().path(), shown).map(BodyExt::boxed_unsync)
}

fn answer(path: &str, shown: &Shown) -> Response<Full<Bytes>> {
    match path {
        "/metrics" => {
            let (encoder, mut text) = (TextEncoder::new(), Vec::new());
            match encoder.encode(&shown.registry.gather(), &mut text) {
                Ok(()) => text_answer(StatusCode::OK, encoder.format_type(), text),
                Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            }
        }
        "/health" | "/healthz" => plain(StatusCode::OK, "OK"),
        "/ready" => match (shown.ready)() {
            Ok(()) => plain(StatusCode::OK, "READY"),
            Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, reason),
        },
        "/status" => shown.status.as_ref().map_or_else(unknown, |status| told(&status())),
        "/" if shown.status.is_some() => page(),
        _ => {
            let service = path.strip_prefix("/ready/").zip(shown.services.as_ref());
            let ready = service.and_then(|(service, services)| services(service));
            ready.unwrap_or_else(unknown)
        }
    }
}

fn unknown() -> Response<Full<Bytes>> {
    plain(StatusCode::NOT_FOUND, "try /, /status, /metrics, /health or /ready")
}

fn told(status: &Status) -> Response<Full<Bytes>> {
    match serde_json::to_vec(status) {
        Ok(json) => never_kept(text_answer(StatusCode::OK, "application/json", json)),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn page() -> Response<Full<Bytes>> {
    let mut response = never_kept(text_answer(StatusCode::OK, "text/html; charset=utf-8", page::HTML));
    let headers = response.headers_mut();
    let policy = HeaderValue::from_str(page::policy()).expect("a policy is letters, digits and punctuation");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

/// Of the moment, and only what it says it is.
fn never_kept(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    text_answer(status, "text/plain; charset=utf-8", text)
}

fn text_answer(status: StatusCode, kind: &str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tonic::Code;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn shown(shown: Shown) -> (ProbeServer, CancellationToken) {
        let cancel = CancellationToken::new();
        let port = ProbePort::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        (port.serve(shown, cancel.clone()).unwrap(), cancel)
    }

    #[tokio::test]
    async fn metrics_and_probes_are_shown() {
        let registry = Registry::new();
        registry.counter("ha_test_total", "a test").unwrap().inc_by(7);
        let (server, cancel) = shown(Shown {
            registry,
            ready: Arc::new(|| Err("Redis is away".into())),
            status: None,
            services: None,
        })
        .await;

        let address = server.local_addr();
        assert!(get(address, "/metrics").await.contains("ha_test_total 7"));
        assert!(get(address, "/health").await.starts_with("HTTP/1.1 200"));
        let answer = get(address, "/ready").await;
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.ends_with("Redis is away"),
            "{answer}"
        );
        for path in ["/other", "/status", "/", "/ready/svc"] {
            assert!(get(address, path).await.starts_with("HTTP/1.1 404"), "{path}");
        }
        cancel.cancel();
        server.stopped().await;
    }

    #[tokio::test]
    async fn status_is_json_and_its_page_runs_nothing_but_its_own_script() {
        let (server, cancel) = shown(Shown {
            registry: Registry::new(),
            ready: Arc::new(|| Ok(())),
            status: Some(Arc::new(|| {
                Status::Miner(pocket_status::MinerStatus {
                    instance: "one".into(),
                    ..Default::default()
                })
            })),
            services: Some(Arc::new(|service| {
                (service == "svc").then(|| plain(StatusCode::OK, "ready"))
            })),
        })
        .await;
        let address = server.local_addr();
        let answer = get(address, "/status").await;
        assert!(answer.contains("\r\ncontent-type: application/json\r\n"), "{answer}");
        let (_, json) = answer.split_once("\r\n\r\n").unwrap();
        let Status::Miner(told) = serde_json::from_str(json).unwrap() else {
            panic!("{json}")
        };
        assert_eq!(told.instance, "one");
        let page = get(address, "/").await;
        let policy = page.lines().find(|line| line.starts_with("content-security-policy: "));
        let policy = policy.unwrap();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(get(address, "/ready/svc").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/ready/other").await.starts_with("HTTP/1.1 404"));
        cancel.cancel();
        server.stopped().await;
    }

    #[tokio::test]
    async fn grpc_health_says_what_ready_says() {
        let (server, cancel) = shown(Shown {
            registry: Registry::new(),
            ready: Arc::new(|| Err("shutting down".into())),
            status: None,
            services: Some(Arc::new(|service| match service {
                "good" => Some(plain(StatusCode::OK, "")),
                "bad" => Some(plain(StatusCode::SERVICE_UNAVAILABLE, "")),
                _ => Some(plain(StatusCode::NOT_FOUND, "")),
            })),
        })
        .await;
        let channel = tonic::transport::Endpoint::new(format!("http://{}", server.local_addr())).unwrap();
        let mut health = HealthClient::new(channel.connect().await.unwrap());
        let mut check = async |service: &str| {
            let service = service.to_owned();
            let answer = health.check(HealthCheckRequest { service }).await;
            answer
                .map(|answer| answer.into_inner().status())
                .map_err(|status| status.code())
        };
        assert_eq!(check("").await, Ok(ServingStatus::NotServing));
        assert_eq!(check("good").await, Ok(ServingStatus::Serving));
        assert_eq!(check("bad").await, Ok(ServingStatus::NotServing));
        assert_eq!(check("other").await, Err(Code::NotFound));
        let watched = health.watch(HealthCheckRequest::default()).await;
        assert_eq!(watched.unwrap_err().code(), Code::Unimplemented);
        // The client would hold its connection open.
        drop(health);
        cancel.cancel();
        server.stopped().await;
    }
}
