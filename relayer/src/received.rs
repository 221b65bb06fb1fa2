//! A relay as it came: decoded and routed, nothing believed yet.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use http::HeaderMap;
use pocket_config::{RpcType, ValidationMode};
use pocket_keys::{LiveKeys, SigningKey};
use pocket_proto::pocket::service::RelayRequest;
use pocket_proto::pocket::session::SessionHeader;
use pocket_proto::sdk::types::PokthttpRequest;
use pocket_protocol::{Height, ServiceId, admission};
use prost::Message as _;

use crate::drain::{Drain, InFlight};
use crate::metrics::{Metrics, UNKNOWN};
use crate::refusal::{Invalid, Refusal, Unavailable};
use crate::rpc_type;
use crate::service::{Route, Service, Services};
use crate::supplier_gate::{Admission, SupplierGate};

/// A relay that passed what can be checked without the chain (spec `relay.md` §5.10, rows 1 to 16). Only
/// [`Reception::receive`] makes one. It holds a place in its session's drain.
pub(crate) struct ReceivedRelay {
    pub request: RelayRequest,
    pub service: Arc<Service>,
    pub kind: RpcType,
    /// The operator's key; `None` when it is not ours.
    pub signing_key: Option<Arc<SigningKey>>,
    /// The height when the relay came; 0 when not known.
    pub arrival: Height,
    pub in_flight: InFlight,
    /// Among the relays that are worked on, until it is mined or dropped.
    #[expect(dead_code, reason = "held, never read")]
    pub place: Option<crate::overload::Place>,
}

/// What carries a relay.
#[derive(Clone, Copy)]
pub(crate) enum Carrier<'a> {
    /// An HTTP request with these headers.
    Request(&'a HeaderMap),
    /// A gRPC call with this metadata.
    Call(&'a HeaderMap),
    /// A frame of a WebSocket that was opened for this service.
    Frame(&'a ServiceId),
}

impl Carrier<'_> {
    /// When a relay is verified: calls and frames always first (spec `relay.md` §6.1).
    pub fn mode(&self, service: &Service) -> ValidationMode {
        match self {
            Self::Request(_) => service.mode,
            Self::Call(_) | Self::Frame(_) => ValidationMode::Eager,
        }
    }

    /// The type of a relay, by what it says or by what its inner request shows; `None` for an unknown word.
    pub fn kind(&self, service: &Service, inner: Option<RpcType>) -> Option<RpcType> {
        match self {
            Self::Request(headers) => requested_type(headers, service.default_type),
            Self::Call(metadata) => requested_type(metadata, inner.unwrap_or(service.default_type)),
            Self::Frame(_) => Some(RpcType::WebSocket),
        }
    }

    /// What is said beside the relay.
    pub fn said(&self) -> Option<&HeaderMap> {
        match self {
            Self::Request(headers) | Self::Call(headers) => Some(headers),
            Self::Frame(_) => None,
        }
    }

    /// The headers from which the backend's may be filled up: a call's metadata is for the relayer alone.
    pub fn outer_headers(&self) -> Option<&HeaderMap> {
        match self {
            Self::Request(headers) => Some(headers),
            Self::Call(_) | Self::Frame(_) => None,
        }
    }
}

impl ReceivedRelay {
    /// The backend and metrics of its type.
    pub fn route(&self) -> &Route {
        self.service
            .route(self.kind)
            .expect("a relay is received only for a route that is there")
    }

    /// The request's session header; reception has seen that it is there.
    pub fn header(&self) -> &SessionHeader {
        let meta = self.request.meta.as_ref();
        meta.and_then(|meta| meta.session_header.as_ref())
            .expect("a relay is received only with a session header")
    }

    /// The operator address that the request names.
    pub fn supplier(&self) -> &str {
        self.request
            .meta
            .as_ref()
            .map_or("", |meta| &meta.supplier_operator_address)
    }

    /// The ring signature's bytes.
    pub fn signature(&self) -> Bytes {
        self.request
            .meta
            .as_ref()
            .map(|meta| meta.signature.clone())
            .unwrap_or_default()
    }
}

/// A relay that was not received, and what it is counted under.
pub(crate) struct Unreceived {
    pub refusal: Refusal,
    pub service: Option<Arc<Service>>,
    /// The label of its type.
    pub kind: &'static str,
}

/// What stands at the door.
pub(crate) struct Reception {
    /// Replaced when the configuration is read again. A relay keeps the service that it was received for.
    pub current: ArcSwap<Services>,
    pub keys: LiveKeys,
    pub gate: SupplierGate,
    pub drain: Arc<Drain>,
    pub metrics: Metrics,
}

impl Reception {
    /// The services that are served now. Not to be held over an await.
    pub fn services(&self) -> Guard<Arc<Services>> {
        self.current.load()
    }

    /// Decodes and routes one relay with an HTTP envelope.
    pub async fn receive(
        &self,
        carrier: Carrier<'_>,
        body: Bytes,
        arrival: Height,
    ) -> Result<(ReceivedRelay, PokthttpRequest), Unreceived> {
        let mut place = Place {
            service: None,
            kind: UNKNOWN,
        };
        let size = body.len();
        let admitted = match decode(body) {
            Ok((request, envelope)) => self
                .admit(carrier, request, envelope_type(&envelope), size, arrival, &mut place)
                .await
                .map(|relay| (relay, envelope)),
            Err(refusal) => Err(refusal),
        };
        match admitted {
            Ok(received) => Ok(received),
            Err(refusal) => Err(Unreceived {
                refusal,
                service: place.service,
                kind: place.kind,
            }),
        }
    }

    /// Takes a relay in from a WebSocket that was opened for `service`. Its payload is the application's message as it
    /// is (spec `relay.md` §5.12); an empty one asks nothing.
    pub async fn receive_frame(
        &self,
        service: &ServiceId,
        frame: Bytes,
        arrival: Height,
    ) -> Result<ReceivedRelay, Refusal> {
        let size = frame.len();
        let request = decode_request(frame)?;
        if request.payload.is_empty() {
            return Err(Refusal::Undecodable);
        }
        let mut place = Place {
            service: None,
            kind: UNKNOWN,
        };
        self.admit(Carrier::Frame(service), request, None, size, arrival, &mut place)
            .await
    }

    async fn admit(
        &self,
        carrier: Carrier<'_>,
        request: RelayRequest,
        inner: Option<RpcType>,
        size: usize,
        arrival: Height,
        place: &mut Place,
    ) -> Result<ReceivedRelay, Refusal> {
        let meta = request.meta.as_ref().ok_or(Refusal::Undecodable)?;
        let header = meta.session_header.as_ref().ok_or(Refusal::Undecodable)?;
        if self.keys.is_empty() {
            return Err(Refusal::NotConfigured);
        }
        let service = self.services().get(&header.service_id).cloned();
        let service = service.ok_or_else(|| Refusal::UnknownService(header.service_id.clone()))?;
        place.service = Some(service.clone());
        let kind = carrier.kind(&service, inner);
        place.kind = kind.map_or(UNKNOWN, RpcType::as_str);
        let kind = kind.map(|kind| self.served_as(&service, kind));
        let route = kind.and_then(|kind| service.route(kind));
        match (route, kind) {
            (Some(route), _) => {
                route.metrics.received.inc();
                route.metrics.request_size.observe(size as f64);
            }
            (None, kind) => {
                let label = kind.map_or(UNKNOWN, RpcType::as_str);
                self.metrics
                    .received
                    .with_label_values(&[service.id.as_str(), label])
                    .inc();
            }
        }
        if let Carrier::Frame(opened_for) = carrier
            && *opened_for != service.id
        {
            return Err(Invalid::HeaderMismatch("service id").into());
        }
        // First of all that costs something.
        let worked_on = service.enter()?;
        let supplier = meta.supplier_operator_address.as_str();
        if supplier.is_empty() {
            return Err(Refusal::MissingSupplier);
        }
        let signing_key = self.keys.get(supplier);
        let admission = self
            .gate
            .admit(supplier, signing_key.is_some(), &service.id, kind)
            .await?;
        let is_request = !matches!(carrier, Carrier::Frame(_));
        // Frames have a limit of their own.
        if is_request && size > service.body_limit {
            return Err(Refusal::BodyTooLargeForService);
        }
        if !admission::plausible_heights(header, arrival) {
            return Err(Refusal::ImplausibleHeights);
        }
        if is_request && kind == Some(RpcType::WebSocket) {
            return Err(Refusal::UpgradeRequired);
        }
        let Some(kind) = kind.filter(|_| route.is_some()) else {
            self.metrics
                .backend_missing
                .with_label_values(&[service.id.as_str(), place.kind])
                .inc();
            return Err(Refusal::Unavailable {
                service: service.id.as_str().to_owned(),
                reason: Unavailable::NoBackend,
            });
        };
        if let (true, Some(route)) = (is_request, route) {
            route.backends.check_available()?;
        }
        if signing_key.is_none() && carrier.mode(&service) == ValidationMode::Optimistic {
            return Err(Refusal::Unsigned);
        }
        // The end height is the client's word here; a false one is found out when the relay is verified.
        let in_flight = self
            .drain
            .enter(Height(header.session_end_block_height))
            .ok_or(Invalid::Expired)?;
        let labels = &[service.id.as_str(), kind.as_str()];
        match admission {
            Admission::Registered => {}
            Admission::OwnKeyOnly => self.metrics.served_before_registry.with_label_values(labels).inc(),
            Admission::Undeclared => self.metrics.undeclared.with_label_values(labels).inc(),
        }
        Ok(ReceivedRelay {
            request,
            service,
            kind,
            signing_key,
            arrival,
            in_flight,
            place: Some(worked_on),
        })
    }
}

impl Reception {
    /// The type whose backend serves a relay of a type.
    fn served_as(&self, service: &Service, kind: RpcType) -> RpcType {
        let served_by = service.served_as(kind);
        if served_by != kind {
            let pools = &self.metrics.pools;
            pools.fell_back(service.id.as_str(), kind.as_str(), served_by.as_str());
        }
        served_by
    }
}

/// How far a relay's service and type are known.
struct Place {
    service: Option<Arc<Service>>,
    kind: &'static str,
}

/// Row 3: a relay request, with a service, whose payload is an HTTP envelope.
pub(crate) fn decode(body: Bytes) -> Result<(RelayRequest, PokthttpRequest), Refusal> {
    let request = decode_request(body)?;
    let envelope = PokthttpRequest::decode(request.payload.clone()).map_err(|_| Refusal::Undecodable)?;
    Ok((request, envelope))
}

/// A relay request with a service. Payload and signature are slices of the body; the texts of the header are copied
/// out, four a relay.
pub(crate) fn decode_request(body: Bytes) -> Result<RelayRequest, Refusal> {
    if body.is_empty() {
        return Err(Refusal::Undecodable);
    }
    let request = RelayRequest::decode(body).map_err(|_| Refusal::Undecodable)?;
    let header = request.meta.as_ref().and_then(|meta| meta.session_header.as_ref());
    if header.is_none_or(|header| header.service_id.is_empty()) {
        return Err(Refusal::Undecodable);
    }
    Ok(request)
}

/// What `Rpc-Type` says, or the default when it is not there; `None` for an unknown word.
fn requested_type(headers: &HeaderMap, default: RpcType) -> Option<RpcType> {
    match headers.get("rpc-type") {
        Some(value) if !value.is_empty() => rpc_type::from_header(value.as_bytes()),
        _ => Some(default),
    }
}

/// The type that an inner request shows of itself: one that carries gRPC is for a gRPC backend.
pub(crate) fn envelope_type(envelope: &PokthttpRequest) -> Option<RpcType> {
    let (_, header) = envelope
        .header
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))?;
    let is_grpc = header.values.first()?.starts_with("application/grpc");
    is_grpc.then_some(RpcType::Grpc)
}
