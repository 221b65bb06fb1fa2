//! A refusal as a gRPC status (spec `relay.md` §5.13).

use http::StatusCode;
use tonic::{Code, Status};

use crate::refusal::{Invalid, Refusal, Unavailable};

/// The status of a relay that is not answered. What the table does not name follows from the status of HTTP.
pub(crate) fn of(refusal: &Refusal) -> Status {
    match refusal {
        Refusal::Invalid(Invalid::ForeignSupplier(supplier)) | Refusal::SupplierUnregistered(supplier) => {
            Status::failed_precondition(format!("no signer for supplier {supplier}"))
        }
        Refusal::Unavailable {
            service,
            reason: Unavailable::NoBackend | Unavailable::NoHealthyBackend,
        } => Status::unavailable(format!("all backends unhealthy for service {service}")),
        Refusal::BackendStatus(status) => {
            Status::unavailable(format!("backend service error: HTTP {}", status.as_u16()))
        }
        Refusal::StakeExhausted => Status::resource_exhausted("relay rejected - stake limit exceeded"),
        other => Status::new(code(other.status()), other.to_string()),
    }
}

fn code(status: StatusCode) -> Code {
    match status {
        StatusCode::BAD_REQUEST => Code::InvalidArgument,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::CONFLICT => Code::AlreadyExists,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        StatusCode::GATEWAY_TIMEOUT => Code::DeadlineExceeded,
        _ => Code::Internal,
    }
}

/// What the client of a believed relay is told in a signed response, because the backend gave no answer to sign.
pub(crate) fn backend_failure(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::BackendUnreachable => Some("backend error: unreachable"),
        Refusal::BackendTimeout => Some("backend error: timeout"),
        Refusal::BackendAnswerTooLarge => Some("backend error: answer too large"),
        Refusal::Unforwardable => Some("backend error: request cannot be forwarded"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::NotAdmitted;

    #[test]
    fn statuses_are_the_specs() {
        let supplier = || "pokt1x".to_owned();
        let table = [
            (
                Refusal::MissingSupplier,
                Code::InvalidArgument,
                "missing supplier operator address in relay request",
            ),
            (
                Refusal::ImplausibleHeights,
                Code::InvalidArgument,
                "implausible session heights",
            ),
            (Refusal::BodyTooLarge, Code::ResourceExhausted, "request body too large"),
            (
                Refusal::SupplierUnregistered(supplier()),
                Code::FailedPrecondition,
                "no signer for supplier pokt1x",
            ),
            (
                Invalid::ForeignSupplier(supplier()).into(),
                Code::FailedPrecondition,
                "no signer for supplier pokt1x",
            ),
            (
                Refusal::UnknownService("x".into()),
                Code::NotFound,
                "unknown service: x",
            ),
            (
                Invalid::Expired.into(),
                Code::PermissionDenied,
                "relay validation failed: session expired",
            ),
            (
                Refusal::Unavailable {
                    service: "eth".into(),
                    reason: Unavailable::NoBackend,
                },
                Code::Unavailable,
                "all backends unhealthy for service eth",
            ),
            (
                Refusal::Unavailable {
                    service: "eth".into(),
                    reason: Unavailable::PublisherFull,
                },
                Code::Unavailable,
                "service temporarily unavailable",
            ),
            (
                Refusal::BackendStatus(StatusCode::GATEWAY_TIMEOUT),
                Code::Unavailable,
                "backend service error: HTTP 504",
            ),
            (Refusal::Unsigned, Code::Internal, "failed to sign response"),
            (
                Refusal::StakeExhausted,
                Code::ResourceExhausted,
                "relay rejected - stake limit exceeded",
            ),
            (
                Refusal::Simulation(NotAdmitted::Replay),
                Code::AlreadyExists,
                "simulation rejected: request already seen",
            ),
        ];
        for (refusal, code, message) in table {
            let status = of(&refusal);
            assert_eq!((status.code(), status.message()), (code, message), "{refusal:?}");
        }
    }
}
