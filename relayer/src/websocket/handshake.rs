//! Whether a socket is opened (spec `relay.md` §5.12, handshake).
//!
//! No extension is taken up: an offer of permessage-deflate is answered without a word of it, so both sides send plain
//! messages (RFC 7692 §5).

use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use pocket_config::{HandshakeSignature, RpcType};
use pocket_proto::pocket::service::{RelayRequest, RelayRequestMetadata};
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::{Height, admission};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::metrics::UNKNOWN;
use crate::pipeline::Pipeline;
use crate::received::ReceivedRelay;
use crate::refusal::{Invalid, Refusal, Unavailable};
use crate::service::Service;

/// Where a gateway says which service a socket is for, first choice first.
const SERVICE_HEADERS: [&str; 3] = ["target-service-id", "pocket-service-id", "x-forwarded-host"];
pub(crate) const SUPPLIER_HEADER: HeaderName = HeaderName::from_static("pocket-supplier-address");
const SIGNATURE_HEADER: &str = "pocket-signature";

/// An answer whose body is there at once.
type Plain = Response<Full<Bytes>>;

/// The service of a socket and the answer that opens it, or the one that does not.
// A response is what both sides are.
#[allow(clippy::result_large_err)]
pub(crate) fn answer<B>(pipeline: &Pipeline, request: &Request<B>) -> Result<(Arc<Service>, Plain), Plain> {
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
    let Some(service) = pipeline.reception.services().get(id).cloned() else {
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
    let Some(route) = service.route(RpcType::WebSocket) else {
        let refusal = Refusal::Unavailable {
            service: id.to_owned(),
            reason: Unavailable::NoBackend,
        };
        return Err(refused(id, &refusal));
    };
    if let Err(refusal) = route.backends.check_available() {
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
    Ok((service, response))
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Checks what `Pocket-Signature` signs: a request of the session that the other headers name, without a payload. Gives
/// that session when it was checked.
pub(crate) async fn verify(
    pipeline: &Pipeline,
    service: &Arc<Service>,
    headers: &HeaderMap,
    mode: HandshakeSignature,
) -> Result<Option<SessionHeader>, Refusal> {
    if mode == HandshakeSignature::Ignore || (mode == HandshakeSignature::Verify && !is_signed(headers)) {
        return Ok(None);
    }
    let request = signed_request(headers, service)?;
    let relay = receive(pipeline, service, request).await?;
    let verified = pipeline.verify(relay).await.map_err(|failed| failed.1)?;
    Ok(Some(verified.relay.header().clone()))
}

/// Whether the three headers are there that mark a signed handshake.
fn is_signed(headers: &HeaderMap) -> bool {
    ["pocket-session-id", "pocket-supplier-address", SIGNATURE_HEADER]
        .iter()
        .all(|name| headers.get(*name).is_some_and(|value| !value.is_empty()))
}

/// The request that the headers describe.
fn signed_request(headers: &HeaderMap, service: &Service) -> Result<RelayRequest, Refusal> {
    let malformed = |name: &str| Refusal::Invalid(Invalid::Basic(format!("handshake header {name}")));
    let text = |name: &str| headers.get(name)?.to_str().ok().filter(|text| !text.is_empty());
    let text = |name: &str| text(name).map(str::to_owned).ok_or_else(|| malformed(name));
    let height = |name: &str| text(name)?.parse::<i64>().map_err(|_| malformed(name));
    let signature = base64::engine::general_purpose::STANDARD
        .decode(text(SIGNATURE_HEADER)?)
        .map_err(|_| malformed(SIGNATURE_HEADER))?;
    Ok(RelayRequest {
        meta: Some(RelayRequestMetadata {
            session_header: Some(SessionHeader {
                application_address: text("app-address")?,
                service_id: service.id.as_str().to_owned(),
                session_id: text("pocket-session-id")?,
                session_start_block_height: height("pocket-session-start-height")?,
                session_end_block_height: height("pocket-session-end-height")?,
            }),
            signature: signature.into(),
            supplier_operator_address: text(SUPPLIER_HEADER.as_str())?,
        }),
        payload: Bytes::new(),
    })
}

/// The checks before the chain is asked, as for a message of the socket, but not counted as a relay.
async fn receive(pipeline: &Pipeline, service: &Arc<Service>, request: RelayRequest) -> Result<ReceivedRelay, Refusal> {
    let (arrival, kind) = (pipeline.height(), RpcType::WebSocket);
    let meta = request.meta.as_ref().ok_or(Refusal::Undecodable)?;
    let header = meta.session_header.as_ref().ok_or(Refusal::Undecodable)?;
    let supplier = meta.supplier_operator_address.as_str();
    let reception = &pipeline.reception;
    let place = service.enter()?;
    let signing_key = reception.keys.get(supplier);
    let gate = reception
        .gate
        .admit(supplier, signing_key.is_some(), &service.id, Some(kind));
    gate.await?;
    if !admission::plausible_heights(header, arrival) {
        return Err(Refusal::ImplausibleHeights);
    }
    let end = Height(header.session_end_block_height);
    let in_flight = reception.drain.enter(end).ok_or(Invalid::Expired)?;
    Ok(ReceivedRelay {
        request,
        service: service.clone(),
        kind,
        signing_key,
        arrival,
        in_flight,
        place: Some(place),
    })
}
