//! Why a simulated relay is not served, in one table for all transports (spec `relay.md` §6.7).

use http::StatusCode;

/// Why a simulated relay was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// As many are being worked on as may be.
    #[error("too many at a time")]
    NoSlot,
    /// The identity's relays came too fast.
    #[error("rate limit of the identity reached")]
    RateLimited,
    /// No such identity.
    #[error("unknown key_id")]
    UnknownKeyId,
    /// The identity is switched off.
    #[error("identity disabled")]
    Disabled,
    /// The identity's time is over.
    #[error("identity expired")]
    Expired,
    /// The request names no supplier.
    #[error("supplier operator address required")]
    SupplierMissing,
    /// The supplier's key is not loaded here.
    #[error("supplier signing key not loaded")]
    SupplierNotLoaded,
    /// The request is malformed.
    #[error("malformed request")]
    Malformed,
    /// The application is not the identity's.
    #[error("application address does not match the identity")]
    IdentityMismatch,
    /// The service is not one of the identity's.
    #[error("service not allowed for the identity")]
    ServiceNotAllowed,
    /// The session id has no time in it.
    #[error("malformed session id")]
    SessionId,
    /// The request's time is too far from ours.
    #[error("timestamp outside the freshness window")]
    Stale,
    /// The same request came before.
    #[error("request already seen")]
    Replay,
    /// Whether it came before cannot be told.
    #[error("replay store unavailable")]
    ReplayStoreUnavailable,
    /// The signature is not one of the pinned keys'.
    #[error("ring signature verification failed")]
    Signature,
}

impl NotAdmitted {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NoSlot | Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Replay => StatusCode::CONFLICT,
            Self::SupplierMissing | Self::SessionId => StatusCode::BAD_REQUEST,
            Self::ReplayStoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::UnknownKeyId
            | Self::Disabled
            | Self::Expired
            | Self::SupplierNotLoaded
            | Self::Malformed
            | Self::IdentityMismatch
            | Self::ServiceNotAllowed
            | Self::Stale
            | Self::Signature => StatusCode::FORBIDDEN,
        }
    }

    /// The label `result` of `ha_relayer_simulated_relays_total`, the peer's.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoSlot | Self::RateLimited => "rate_limited",
            Self::Replay => "replay_rejected",
            Self::IdentityMismatch => "identity_mismatch",
            Self::ServiceNotAllowed => "service_not_allowed",
            Self::SupplierMissing | Self::SupplierNotLoaded => "supplier_not_loaded",
            Self::ReplayStoreUnavailable => "dedup_unavailable",
            Self::UnknownKeyId
            | Self::Disabled
            | Self::Expired
            | Self::Malformed
            | Self::SessionId
            | Self::Stale
            | Self::Signature => "verify_failed",
        }
    }

    /// Whether the same relay may be admitted in a moment: a socket is told so as it is closed.
    pub fn passes_soon(self) -> bool {
        matches!(self, Self::NoSlot | Self::RateLimited)
    }
}
