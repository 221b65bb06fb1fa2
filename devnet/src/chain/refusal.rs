//! The chain's registered errors and what a client sees of them.

use std::fmt;

/// An error as the chain registers it: codespace, code and closing text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The module that registered it.
    pub codespace: &'static str,
    /// Unique in the codespace.
    pub code: u32,
    /// The text that closes every message of this error.
    pub text: &'static str,
}

impl Registered {
    /// The error with what went wrong in this case.
    pub fn wrap(self, detail: impl Into<String>) -> Refusal {
        Refusal {
            registered: self,
            detail: detail.into(),
        }
    }

    /// The error with nothing to add.
    pub fn bare(self) -> Refusal {
        self.wrap("")
    }
}

/// A registered error with its detail; shown as `<detail>: <registered text>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which error.
    pub registered: Registered,
    detail: String,
}

impl Refusal {
    /// The same error with more before its text, as Go's `Wrapf` of an error does.
    #[must_use]
    pub fn under(self, outer: Registered) -> Self {
        outer.wrap(self.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() {
            return f.write_str(self.registered.text);
        }
        write!(f, "{}: {}", self.detail, self.registered.text)
    }
}

impl std::error::Error for Refusal {}

/// A message handler's failure: a gRPC status, which a transaction result shows as text alone
/// (spec `claims-and-proofs.md` §8).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rpc error: code = {code:?} desc = {text}")]
pub struct HandlerError {
    /// The status.
    pub code: tonic::Code,
    /// `<detail>: <registered text>`.
    pub text: String,
}

impl HandlerError {
    /// A refusal with its status.
    pub fn new(code: tonic::Code, refusal: &Refusal) -> Self {
        Self {
            code,
            text: refusal.to_string(),
        }
    }
}

macro_rules! registered {
    ($(#[$docs:meta])* $module:ident, $codespace:literal: $($name:ident = $code:literal, $text:literal;)*) => {
        $(#[$docs])*
        pub mod $module {
            use super::Registered;
            $(
                #[doc = concat!("Code ", $code, ": ", $text, ".")]
                pub const $name: Registered = Registered { codespace: $codespace, code: $code, text: $text };
            )*
        }
    };
}

registered! {
    /// Errors of the transaction machinery.
    sdk, "sdk":
    TX_DECODE = 2, "tx parse error";
    UNAUTHORIZED = 4, "unauthorized";
    INSUFFICIENT_FUNDS = 5, "insufficient funds";
    INVALID_ADDRESS = 7, "invalid address";
    INVALID_PUBLIC_KEY = 8, "invalid pubkey";
    UNKNOWN_ADDRESS = 9, "unknown address";
    INVALID_COINS = 10, "invalid coins";
    OUT_OF_GAS = 11, "out of gas";
    MEMO_TOO_LARGE = 12, "memo too large";
    INSUFFICIENT_FEE = 13, "insufficient fee";
    NO_SIGNATURES = 15, "no signatures supplied";
    INVALID_REQUEST = 18, "invalid request";
    TX_TOO_LARGE = 21, "tx too large";
    TIMEOUT_HEIGHT = 30, "tx timeout height";
    WRONG_SEQUENCE = 32, "incorrect account sequence";
    TIMEOUT = 42, "tx timeout";
}

registered! {
    /// Errors of sessions (spec `sessions.md` §3.5).
    session, "session":
    HYDRATION = 1101, "error during session hydration";
    APP_NOT_FOUND = 1102, "application for session not found not found ";
    APP_NOT_STAKED = 1103, "application in session not staked for requested service";
    NO_SUPPLIERS = 1104, "no suppliers not found for session";
    INVALID_APP_ADDRESS = 1105, "invalid application address for session";
    INVALID_BLOCK_HEIGHT = 1107, "invalid block height for session";
    INVALID_SESSION_ID = 1108, "invalid sessionId";
    APP_NOT_ACTIVE = 1109, "application is not active";
}

registered! {
    /// Errors of claims and proofs (spec `claims-and-proofs.md` §8).
    proof, "proof":
    INVALID_ADDRESS = 1101, "invalid address";
    SUPPLIER_NOT_FOUND = 1102, "supplier not found";
    INVALID_SERVICE = 1103, "invalid service in supplier";
    INVALID_ROOT = 1104, "invalid root hash";
    CLAIM_NOT_FOUND = 1106, "claim not found";
    INVALID_PROOF = 1108, "invalid proof";
    INVALID_RELAY = 1109, "invalid relay";
    PUBLIC_KEY_NOT_FOUND = 1114, "public key not found";
    INVALID_SESSION_HEADER = 1115, "invalid session header";
    INVALID_SESSION_ID = 1116, "invalid session ID";
    INVALID_SESSION_END = 1117, "invalid session end height";
    INVALID_SESSION_START = 1118, "invalid session start height";
    CLAIM_WINDOW = 1121, "claim attempted outside of the session's claim window";
    PROOF_WINDOW = 1122, "proof attempted outside of the session's proof window";
    SUPPLIER_MISMATCH = 1123, "supplier operator address does not match the claim or proof";
    ACCOUNT_NOT_FOUND = 1124, "account not found";
    SERVICE_NOT_FOUND = 1125, "service not found";
    COMPUTE_UNITS_MISMATCH = 1126,
        "mismatch: claim compute units != number of relays * service compute units per relay";
    NOT_ENOUGH_FUNDS = 1127, "not enough funds to submit proof";
    FEE_DEDUCTION = 1128, "failed to deduct proof submission fee";
    NOT_REQUIRED = 1129, "proof not required";
    INVALID_DIFFICULTY = 1130, "invalid relay difficulty";
}

registered! {
    /// Errors of relays inside proofs.
    service, "service":
    INVALID_RELAY_RESPONSE = 1110, "invalid relay response";
    INVALID_RELAY_REQUEST = 1111, "invalid relay request";
}

registered! {
    /// Errors of names and addresses that several modules use.
    shared, "shared":
    INVALID_SERVICE_ID = 1108, "invalid service ID";
}

registered! {
    /// Errors of rings.
    ring, "rings":
    INVALID_RELAY_REQUEST_SIGNATURE = 3, "invalid relay request signature";
}
