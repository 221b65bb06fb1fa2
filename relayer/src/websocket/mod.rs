//! Relays over `WebSocket`s (spec `relay.md` §5.12): the handshake, and who owns the sockets.

mod bridge;
mod close;
mod codec;
mod relays;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use pocket_config::RpcType;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::headers::{SERVICE, SUPPLIER};
use crate::metrics::UNKNOWN;
use crate::pipeline::Pipeline;
use crate::refusal::{Refusal, Unavailable};
use crate::service::Service;
use crate::simulation::Simulation;
use bridge::{Bridge, Leg};
use close::Close;
use codec::Role;

/// Where a gateway says which service a socket is for, first choice first.
const SERVICE_HEADERS: [&str; 3] = ["target-service-id", "pocket-service-id", "x-forwarded-host"];
const SUPPLIER_HEADER: HeaderName = HeaderName::from_static("pocket-supplier-address");

/// The open sockets of one port.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    open: TaskTracker,
    cancel: CancellationToken,
}

impl Sockets {
    /// Closes all sockets. Each step of that has a deadline of its own.
    pub async fn close(&self) {
        self.cancel.cancel();
        self.open.close();
        self.open.wait().await;
    }

    /// Answers a handshake. What can be told before the upgrade is told as HTTP.
    pub fn upgrade(&self, pipeline: &Arc<Pipeline>, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
        let upgrade = hyper::upgrade::on(&mut request);
        match handshake(pipeline, &request) {
            Ok((service, response)) => {
                let supplier = request.headers().get(SUPPLIER_HEADER).cloned();
                let simulated = pipeline.simulation.as_ref();
                let simulated = simulated.and_then(|_| Simulation::asked(request.headers()));
                let cancel = self.cancel.clone();
                self.open
                    .spawn(serve(pipeline.clone(), service, supplier, simulated, upgrade, cancel));
                response
            }
            Err(refused) => refused,
        }
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

/// An answer whose body is there at once.
type Plain = Response<Full<Bytes>>;

/// The service of a socket and the answer that opens it, or the one that does not.
// A response is what both sides are.
#[allow(clippy::result_large_err)]
fn handshake<B>(pipeline: &Pipeline, request: &Request<B>) -> Result<(Arc<Service>, Plain), Plain> {
    let headers = request.headers();
    let named = SERVICE_HEADERS
        .iter()
        .filter_map(|name| headers.get(*name)?.to_str().ok());
    let mut named = named.chain(request.uri().path().split('/').nth(1));
    let Some(id) = named.find(|id| !id.is_empty()) else {
        return Err(plain(StatusCode::BAD_REQUEST, "missing service ID"));
    };
    let refused = |service: &str, refusal: &Refusal| {
        pipeline.count_refusal(service, RpcType::WebSocket.as_str(), refusal);
        refusal.response()
    };
    let Some(service) = pipeline.reception.services.get(id) else {
        pipeline.count_refusal(
            UNKNOWN,
            RpcType::WebSocket.as_str(),
            &Refusal::UnknownService(id.to_owned()),
        );
        return Err(plain(StatusCode::NOT_FOUND, "unknown service"));
    };
    if pipeline.reception.keys.is_empty() {
        return Err(refused(id, &Refusal::NotConfigured));
    }
    if service.route(RpcType::WebSocket).is_none() {
        let refusal = Refusal::Unavailable {
            service: id.to_owned(),
            reason: Unavailable::NoBackend,
        };
        return Err(refused(id, &refusal));
    }
    if headers
        .get(header::SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        let mut response = plain(StatusCode::UPGRADE_REQUIRED, "unsupported WebSocket version");
        let version = HeaderValue::from_static("13");
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, version);
        return Err(response);
    }
    let accept = headers.get(header::SEC_WEBSOCKET_KEY);
    let accept = accept.and_then(|key| HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok());
    let Some(accept) = accept else {
        return Err(plain(StatusCode::BAD_REQUEST, "missing Sec-WebSocket-Key"));
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok((service.clone(), response))
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Opens the backend's leg and passes messages until the socket ends.
async fn serve(
    pipeline: Arc<Pipeline>,
    service: Arc<Service>,
    supplier: Option<HeaderValue>,
    simulated: Option<Bytes>,
    upgrade: OnUpgrade,
    cancel: CancellationToken,
) {
    let Ok(socket) = upgrade.await else { return };
    let connections = pipeline.metrics.connections.clone();
    connections.inc();
    let gateway = Leg::new(socket, Role::Server);
    let mut headers = HeaderMap::new();
    headers.insert(SERVICE, service.id_header.clone());
    headers.insert(SUPPLIER, supplier.unwrap_or(HeaderValue::from_static("")));
    let route = service.route(RpcType::WebSocket);
    let route = route.expect("a socket is opened only for a route that is there");
    match route.backend.open_socket(headers).await {
        Ok(socket) => {
            let bridge = Bridge::new(pipeline, service.id.clone(), simulated);
            bridge.run(gateway, Leg::new(socket, Role::Client), &cancel).await;
        }
        Err(refusal) => {
            pipeline.count_refusal(service.id.as_str(), RpcType::WebSocket.as_str(), &refusal);
            gateway.close(None, &Close::refusing(&refusal)).await;
        }
    }
    connections.dec();
}
