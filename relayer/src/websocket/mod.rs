//! Relays over `WebSocket`s (spec `relay.md` §5.12): the handshake, and who owns the sockets.

mod bridge;
mod close;
mod handshake;
mod leg;
mod pace;
mod relays;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use pocket_config::{RpcType, WebSocketConfig};
use pocket_websocket::Role;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::headers::{SERVICE, SUPPLIER};
use crate::pipeline::Pipeline;
use crate::service::Service;
use crate::simulation::Simulation;
use bridge::{Bridge, Opened};
use close::Close;
use handshake::SUPPLIER_HEADER;
use leg::Leg;

/// The open sockets of one port.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    open: TaskTracker,
    cancel: CancellationToken,
}

impl Sockets {
    /// How many are open.
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// Closes all sockets. Each step of that has a deadline of its own.
    pub async fn close(&self) {
        self.cancel.cancel();
        self.open.close();
        self.open.wait().await;
    }

    /// Answers a handshake. What can be told before the upgrade is told as HTTP.
    pub async fn upgrade(&self, pipeline: &Arc<Pipeline>, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
        let upgrade = hyper::upgrade::on(&mut request);
        let (service, response) = match handshake::answer(pipeline, &request) {
            Ok(accepted) => accepted,
            Err(refused) => return refused,
        };
        let limits = pipeline.limits.load().sockets.clone();
        let headers = request.headers();
        let simulated = pipeline.simulation.as_ref().and_then(|_| Simulation::asked(headers));
        let session = if simulated.is_some() {
            // Its session is not on chain; each of its frames is verified.
            None
        } else {
            let signature = handshake::verify(pipeline, &service, headers, limits.handshake_signature);
            match signature.await {
                Ok(session) => session,
                Err(refusal) => {
                    pipeline.count_refusal(service.id.as_str(), RpcType::WebSocket.as_str(), &refusal);
                    return refusal.response();
                }
            }
        };
        let opening = Opening {
            pipeline: pipeline.clone(),
            service,
            opened: Opened { session, simulated },
            supplier: headers.get(SUPPLIER_HEADER).cloned(),
            limits,
        };
        self.open.spawn(opening.serve(upgrade, self.cancel.clone()));
        response
    }
}

/// Whether a request asks for a WebSocket. HTTP/2 has another way, which gateways do not use.
pub(crate) fn is_upgrade<B>(request: &Request<B>) -> bool {
    let has = |name, token| has_token(request.headers(), name, token);
    request.version() == Version::HTTP_11 && has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket")
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
}

/// A socket whose handshake was accepted.
struct Opening {
    pipeline: Arc<Pipeline>,
    service: Arc<Service>,
    opened: Opened,
    supplier: Option<HeaderValue>,
    limits: Arc<WebSocketConfig>,
}

impl Opening {
    /// Opens the backend's leg and passes messages until the socket ends.
    async fn serve(self, upgrade: OnUpgrade, cancel: CancellationToken) {
        let Ok(socket) = upgrade.await else { return };
        let Self { pipeline, service, .. } = self;
        let connections = pipeline.metrics.connections.clone();
        connections.inc();
        let gateway = Leg::new(socket, Role::Server, &self.limits);
        let mut headers = HeaderMap::new();
        headers.insert(SERVICE, service.id_header.clone());
        headers.insert(SUPPLIER, self.supplier.unwrap_or(HeaderValue::from_static("")));
        let route = service.route(RpcType::WebSocket);
        let route = route.expect("a socket is opened only for a route that is there");
        match route.backends.open_socket(headers).await {
            Ok(socket) => {
                let backend = Leg::new(socket, Role::Client, &self.limits);
                let bridge = Bridge::new(pipeline, service.id.clone(), self.opened, &self.limits);
                bridge.run(gateway, backend, &cancel).await;
            }
            Err(refusal) => {
                pipeline.count_refusal(service.id.as_str(), RpcType::WebSocket.as_str(), &refusal);
                gateway.close(None, &Close::refusing(&refusal)).await;
            }
        }
        connections.dec();
    }
}
