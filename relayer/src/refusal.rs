//! Every way in which a relay is not served: its status, its body and its metric label, in one table.
//!
//! Rule: spec `relay.md` §5.10. HTTP, and later gRPC and WebSocket, answer from here, so that they answer alike.

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

pub use crate::invalid::Invalid;
use crate::simulation::NotAdmitted;

/// A relay that is not answered with a signed response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body broke off or came too slowly.
    UnreadableBody,
    /// The body is over the limit of the whole server.
    BodyTooLarge,
    /// No relay request, no service in it, or no HTTP envelope in its payload.
    Undecodable,
    /// The process holds no key: nothing can be signed.
    NotConfigured,
    /// The service is not in the configuration.
    UnknownService(String),
    /// The request names no supplier.
    MissingSupplier,
    /// The registry of suppliers could not be read.
    SupplierStateUnknown,
    /// Neither the registry nor this process knows the supplier.
    SupplierUnregistered(String),
    /// The registry says that the supplier does not serve.
    SupplierInactive {
        /// Operator address.
        supplier: String,
        /// The registry's word for its state.
        status: String,
    },
    /// The registry has no service for the supplier.
    SupplierWithoutServices(String),
    /// The supplier serves others, not this one.
    SupplierNotStakedFor {
        /// Operator address.
        supplier: String,
        /// What was asked for.
        service: String,
    },
    /// The body is over the service's own limit.
    BodyTooLargeForService,
    /// Heights that no session can have now (spec `relay.md` §6.4).
    ImplausibleHeights,
    /// Nothing is configured for the service and type, or relays cannot be taken at the moment.
    Unavailable {
        /// What was asked for.
        service: String,
        /// Why.
        reason: Unavailable,
    },
    /// A WebSocket relay came as a plain request.
    UpgradeRequired,
    /// Validation failed.
    Invalid(Invalid),
    /// The backend could not be reached.
    BackendUnreachable,
    /// The backend did not answer in time.
    BackendTimeout,
    /// The backend's answer is over the limit.
    BackendAnswerTooLarge,
    /// The inner request is no request that can be forwarded.
    Unforwardable,
    /// The backend answered with a server error, which is passed on.
    BackendStatus(StatusCode),
    /// The answer could not be signed.
    Unsigned,
    /// The application's stake pays for no more relays in this session.
    StakeExhausted,
    /// The meter cannot count, and the operator wants no relay that is not counted.
    MeterUnavailable,
    /// As many relays are being worked on as may be.
    Overloaded,
    /// A simulated relay was not admitted (spec `relay.md` §6.7).
    Simulation(NotAdmitted),
}

/// What a relay cannot be taken for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// No backend for the service and RPC type.
    NoBackend,
    /// All endpoints of the backend are out.
    NoHealthyBackend,
    /// The queue to Redis is full: an answered relay could be lost.
    PublisherFull,
    /// As many relays of the service are being worked on as may be.
    Overloaded,
    /// Too many relays of late were for sessions that do not exist: the chain is not asked for one more.
    LookupsSpent,
    /// A WebSocket sends more messages than it may.
    TooFast,
}

impl Refusal {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnreadableBody
            | Self::Undecodable
            | Self::MissingSupplier
            | Self::ImplausibleHeights
            | Self::UpgradeRequired => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge | Self::BodyTooLargeForService => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotConfigured | Self::Unsigned => StatusCode::INTERNAL_SERVER_ERROR,
            Self::UnknownService(_) => StatusCode::NOT_FOUND,
            Self::SupplierStateUnknown
            | Self::SupplierUnregistered(_)
            | Self::SupplierInactive { .. }
            | Self::SupplierWithoutServices(_)
            | Self::SupplierNotStakedFor { .. }
            | Self::Unavailable { .. }
            | Self::MeterUnavailable
            | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Invalid(_) => StatusCode::FORBIDDEN,
            Self::BackendUnreachable | Self::BackendTimeout | Self::BackendAnswerTooLarge | Self::Unforwardable => {
                StatusCode::BAD_GATEWAY
            }
            Self::BackendStatus(status) => *status,
            Self::StakeExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::Simulation(why) => why.status(),
        }
    }

    /// The label `reason` of `ha_relayer_relays_rejected_total`, the Go peer's where it has one.
    pub fn label(&self) -> &'static str {
        match self {
            Self::UnreadableBody => "read_body_error",
            Self::BodyTooLarge | Self::BodyTooLargeForService => "body_too_large",
            Self::Undecodable => "invalid_relay_request",
            Self::NotConfigured => "response_signer_not_configured",
            Self::UnknownService(_) => "unknown_service",
            Self::MissingSupplier => "missing_supplier_address",
            Self::SupplierStateUnknown => "supplier_cache_error",
            Self::SupplierUnregistered(_) => "supplier_not_found",
            Self::SupplierInactive { .. } => "supplier_inactive",
            Self::SupplierWithoutServices(_) => "no_services",
            Self::SupplierNotStakedFor { .. } => "wrong_service",
            Self::ImplausibleHeights => "implausible_session_heights",
            Self::Unavailable {
                reason: Unavailable::NoBackend,
                ..
            } => "backend_missing",
            Self::Unavailable {
                reason: Unavailable::NoHealthyBackend,
                ..
            } => "no_healthy_backend",
            Self::Unavailable {
                reason: Unavailable::PublisherFull,
                ..
            } => "publisher_full",
            Self::Unavailable {
                reason: Unavailable::Overloaded,
                ..
            }
            | Self::Overloaded => "overloaded",
            Self::Unavailable {
                reason: Unavailable::LookupsSpent,
                ..
            } => "session_lookups_spent",
            Self::Unavailable {
                reason: Unavailable::TooFast,
                ..
            } => "rate_limited",
            Self::UpgradeRequired => "upgrade_required",
            Self::Invalid(_) => "validation_failed",
            Self::BackendTimeout => "backend_timeout",
            Self::BackendUnreachable => "backend_network_error",
            Self::BackendAnswerTooLarge => "backend_answer_too_large",
            Self::Unforwardable => "unforwardable_request",
            Self::BackendStatus(_) => "backend_5xx",
            Self::Unsigned => "signing_error",
            Self::StakeExhausted => "stake_exhausted",
            Self::MeterUnavailable => "meter_error",
            Self::Simulation(why) => why.label(),
        }
    }

    /// The JSON body. Texts from outside are escaped.
    pub fn body(&self) -> Bytes {
        let mut body = serde_json::Map::new();
        body.insert("error".to_owned(), self.to_string().into());
        if let Self::Unavailable { service, .. } = self {
            body.insert("service".to_owned(), service.as_str().into());
        }
        serde_json::Value::Object(body).to_string().into()
    }

    /// Whether the same relay may be served in a second.
    fn passes_soon(&self) -> bool {
        match self {
            Self::Unavailable { reason, .. } => {
                !matches!(reason, Unavailable::NoBackend | Unavailable::NoHealthyBackend)
            }
            Self::MeterUnavailable | Self::Overloaded => true,
            _ => false,
        }
    }

    /// The whole HTTP answer.
    pub fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.passes_soon() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The sentence that clients are told.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnreadableBody => "failed to read request body",
            Self::BodyTooLarge => "request body too large",
            Self::Undecodable => "invalid relay request: body must be a valid RelayRequest protobuf",
            Self::NotConfigured => "relayer not properly configured",
            Self::UnknownService(service) => return write!(f, "unknown service: {service}"),
            Self::MissingSupplier => "missing supplier operator address in relay request",
            Self::SupplierStateUnknown => "failed to verify supplier state",
            Self::SupplierUnregistered(supplier) => {
                return write!(f, "supplier {supplier} not registered with any miner");
            }
            Self::SupplierInactive { supplier, status } => return write!(f, "supplier {supplier} is {status}"),
            Self::SupplierWithoutServices(supplier) => {
                return write!(f, "supplier {supplier} has no services registered");
            }
            Self::SupplierNotStakedFor { supplier, service } => {
                return write!(f, "supplier {supplier} not staked for service {service}");
            }
            Self::BodyTooLargeForService => "request body too large for service",
            Self::ImplausibleHeights => "implausible session heights",
            Self::Unavailable { .. } => "service temporarily unavailable",
            Self::UpgradeRequired => "websocket relays need a WebSocket connection",
            Self::Invalid(invalid) => return write!(f, "relay validation failed: {invalid}"),
            Self::BackendUnreachable | Self::BackendTimeout | Self::BackendAnswerTooLarge | Self::Unforwardable => {
                "backend error"
            }
            Self::BackendStatus(_) => "backend service error",
            Self::Unsigned => "failed to sign response",
            Self::StakeExhausted => "session relay limit reached: claimable portion fully consumed",
            Self::MeterUnavailable => "relay metering unavailable",
            Self::Overloaded => "relayer overloaded",
            Self::Simulation(why) => return write!(f, "simulation rejected: {why}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(refusal: &Refusal) -> String {
        String::from_utf8(refusal.body().to_vec()).unwrap()
    }

    #[test]
    fn texts_and_statuses_are_the_specs() {
        let supplier = || "pokt1x".to_owned();
        let table = [
            (
                Refusal::UnreadableBody,
                400,
                r#"{"error":"failed to read request body"}"#,
            ),
            (Refusal::BodyTooLarge, 413, r#"{"error":"request body too large"}"#),
            (
                Refusal::Undecodable,
                400,
                r#"{"error":"invalid relay request: body must be a valid RelayRequest protobuf"}"#,
            ),
            (
                Refusal::NotConfigured,
                500,
                r#"{"error":"relayer not properly configured"}"#,
            ),
            (
                Refusal::UnknownService("x".into()),
                404,
                r#"{"error":"unknown service: x"}"#,
            ),
            (
                Refusal::SupplierStateUnknown,
                503,
                r#"{"error":"failed to verify supplier state"}"#,
            ),
            (
                Refusal::SupplierUnregistered(supplier()),
                503,
                r#"{"error":"supplier pokt1x not registered with any miner"}"#,
            ),
            (
                Refusal::SupplierInactive {
                    supplier: supplier(),
                    status: "not_staked".into(),
                },
                503,
                r#"{"error":"supplier pokt1x is not_staked"}"#,
            ),
            (
                Refusal::SupplierNotStakedFor {
                    supplier: supplier(),
                    service: "eth".into(),
                },
                503,
                r#"{"error":"supplier pokt1x not staked for service eth"}"#,
            ),
            (
                Refusal::Unavailable {
                    service: "eth".into(),
                    reason: Unavailable::NoBackend,
                },
                503,
                r#"{"error":"service temporarily unavailable","service":"eth"}"#,
            ),
            (
                Refusal::Invalid(Invalid::Expired),
                403,
                r#"{"error":"relay validation failed: session expired"}"#,
            ),
            (Refusal::BackendTimeout, 502, r#"{"error":"backend error"}"#),
            (
                Refusal::BackendStatus(StatusCode::GATEWAY_TIMEOUT),
                504,
                r#"{"error":"backend service error"}"#,
            ),
            (Refusal::Unsigned, 500, r#"{"error":"failed to sign response"}"#),
            (
                Refusal::StakeExhausted,
                429,
                r#"{"error":"session relay limit reached: claimable portion fully consumed"}"#,
            ),
            (
                Refusal::MeterUnavailable,
                503,
                r#"{"error":"relay metering unavailable"}"#,
            ),
            (
                Refusal::Simulation(NotAdmitted::Replay),
                409,
                r#"{"error":"simulation rejected: request already seen"}"#,
            ),
        ];
        for (refusal, status, body) in table {
            assert_eq!(
                (refusal.status().as_u16(), text(&refusal).as_str()),
                (status, body),
                "{refusal:?}"
            );
        }
    }

    #[test]
    fn text_from_outside_cannot_break_the_json() {
        let refusal = Refusal::UnknownService("a\"b\\c\n".into());
        let parsed: serde_json::Value = serde_json::from_slice(&refusal.body()).unwrap();
        assert_eq!(parsed["error"], "unknown service: a\"b\\c\n");
    }
}
