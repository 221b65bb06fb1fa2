//! Why a socket ends, as both of its ends are told (spec `relay.md` §5.12, close codes).

use bytes::Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::refusal::{Invalid, Refusal};

/// No code at all: a close frame without a body. Never written as a number.
const NO_CODE: u16 = 1005;

/// A close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    pub code: u16,
    pub reason: String,
}

impl Close {
    pub const GONE: u16 = 1001;
    pub const PROTOCOL_ERROR: u16 = 1002;
    pub const TOO_BIG: u16 = 1009;
    pub const OTHER_LEG_FAILED: u16 = 1011;
    pub const TRY_LATER: u16 = 1013;
    pub const SESSION_EXPIRED: u16 = 4000;
    pub const NOT_BELIEVED: u16 = 4001;
    pub const STAKE_LIMIT: u16 = 4002;
    pub const BACKEND_FAILED: u16 = 4003;

    pub fn new(code: u16, reason: &str) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
        }
    }

    /// Reads a close frame's body; `None` for one that the protocol does not allow.
    pub fn parse(body: &[u8]) -> Option<Self> {
        match body {
            [] => Some(Self::new(NO_CODE, "")),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                let reason = std::str::from_utf8(reason).ok()?;
                CloseCode::from(code).is_allowed().then(|| Self::new(code, reason))
            }
            [_] => None,
        }
    }

    /// The frame's body. Codes that may not stand on the wire give an empty one.
    pub fn body(&self) -> Bytes {
        if !CloseCode::from(self.code).is_allowed() {
            return Bytes::new();
        }
        let mut body = self.code.to_be_bytes().to_vec();
        body.extend(self.reason.as_bytes());
        body.into()
    }

    /// What the gateway is told of a close that came from the backend.
    pub fn for_gateway(&self) -> Self {
        if CloseCode::from(self.code).is_allowed() {
            self.clone()
        } else {
            Self::new(Self::GONE, "peer disconnected")
        }
    }

    /// What the backend is told of a close that came from the gateway or from here: our private codes mean nothing
    /// to it.
    pub fn for_backend(&self) -> Self {
        match self.code {
            Self::SESSION_EXPIRED => Self::new(Self::GONE, "session ended"),
            Self::NOT_BELIEVED => Self::new(1008, "request rejected"),
            Self::STAKE_LIMIT => Self::new(Self::TRY_LATER, "rate limited"),
            Self::BACKEND_FAILED => Self::new(Self::OTHER_LEG_FAILED, "connection failed"),
            4004..=4999 => Self::new(Self::GONE, "connection closing"),
            _ => self.for_gateway(),
        }
    }

    /// What the gateway is told of a frame that is not served.
    pub fn refusing(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Invalid(Invalid::Expired) => Self::new(Self::SESSION_EXPIRED, "session expired"),
            Refusal::StakeExhausted => Self::new(Self::STAKE_LIMIT, "stake limit exceeded"),
            Refusal::Simulation(why) if why.passes_soon() => Self::new(Self::TRY_LATER, "simulation rejected"),
            Refusal::Simulation(_) => Self::new(Self::NOT_BELIEVED, "simulation rejected"),
            Refusal::Unavailable { .. }
            | Refusal::Overloaded
            | Refusal::MeterUnavailable
            | Refusal::SupplierStateUnknown
            | Refusal::Invalid(Invalid::ChainUnavailable(_)) => Self::new(Self::TRY_LATER, "try again later"),
            Refusal::BodyTooLarge | Refusal::BodyTooLargeForService | Refusal::BackendAnswerTooLarge => {
                Self::new(Self::TOO_BIG, "message too big")
            }
            Refusal::BackendUnreachable | Refusal::BackendTimeout | Refusal::BackendStatus(_) => {
                Self::new(Self::BACKEND_FAILED, "backend connection failed")
            }
            Refusal::Unsigned | Refusal::NotConfigured => Self::new(Self::OTHER_LEG_FAILED, "failed to sign response"),
            _ => Self::new(Self::NOT_BELIEVED, "relay validation failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_are_none_never_reach_the_wire() {
        for code in [1005, 1006, 1015] {
            let close = Close::new(code, "");
            assert_eq!(close.for_gateway().code, Close::GONE);
            assert_eq!(close.for_backend().code, Close::GONE);
            assert!(close.body().is_empty());
            assert_eq!(Close::parse(&u16::to_be_bytes(code)), None);
        }
    }

    #[test]
    fn private_codes_are_translated_for_the_backend() {
        let told = |code| Close::new(code, "x").for_backend().code;
        assert_eq!([4000, 4001, 4002, 4003, 4444].map(told), [1001, 1008, 1013, 1011, 1001]);
        assert_eq!([1000, 1001, 1009, 1011, 3000].map(told), [1000, 1001, 1009, 1011, 3000]);
    }

    #[test]
    fn body_is_read_back() {
        let close = Close::new(4001, "relay validation failed");
        assert_eq!(Close::parse(&close.body()), Some(close));
        assert_eq!(Close::parse(&[]), Some(Close::new(NO_CODE, "")));
        assert_eq!(Close::parse(&[3]), None);
        assert_eq!(Close::parse(&[3, 232, 0xff]), None);
    }
}
