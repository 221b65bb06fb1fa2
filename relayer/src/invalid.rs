//! Every way in which a relay is not believed (spec `relay.md` §6.3).

use crate::refusal::{Refusal, Unavailable};

/// Why a relay that was served or asked for is not believed (spec `relay.md` §6.3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The header, signature or supplier is missing or malformed.
    #[error("basic validation failed: {0}")]
    Basic(String),
    /// The operator's key is not loaded here.
    #[error("supplier {0} is not allowed by this relayer")]
    ForeignSupplier(String),
    /// The grace period of the session is over, or the session is sealed.
    #[error("session expired")]
    Expired,
    /// The signature does not parse, does not verify, or has a member that the application did not allow.
    #[error("ring signature verification failed: {0}")]
    Ring(String),
    /// A member of the ring has no key on chain.
    #[error("ring member {0} has no public key on chain")]
    MemberWithoutKey(String),
    /// The chain knows no such session.
    #[error("failed to get session: {0}")]
    NoSession(String),
    /// A field of the header differs from the chain's session.
    #[error("session header does not match the chain's: {0}")]
    HeaderMismatch(&'static str),
    /// The supplier does not serve this session.
    #[error("supplier {0} not found in session")]
    SupplierNotInSession(String),
    /// The chain could not be asked; the relay may be good.
    #[error("chain unavailable: {0}")]
    ChainUnavailable(String),
    /// The chain is not asked for another unknown session of this service at the moment; the relay may be good.
    #[error("too many unknown sessions")]
    LookupsSpent(String),
}

impl Invalid {
    /// The label of `ha_relayer_validation_failures_total`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Basic(_) => "basic",
            Self::ForeignSupplier(_) => "foreign_supplier",
            Self::Expired => "session_expired",
            Self::Ring(_) => "signature",
            Self::MemberWithoutKey(_) => "ring_member_key",
            Self::NoSession(_) => "session",
            Self::HeaderMismatch(_) => "session_header",
            Self::SupplierNotInSession(_) => "supplier_not_in_session",
            Self::ChainUnavailable(_) => "chain_unavailable",
            Self::LookupsSpent(_) => "session_lookups_spent",
        }
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        match invalid {
            Invalid::LookupsSpent(service) => Self::Unavailable {
                service,
                reason: Unavailable::LookupsSpent,
            },
            invalid => Self::Invalid(invalid),
        }
    }
}
