//! Why a relay has no answer that can be believed.

use std::fmt;

use pocket_protocol::admission::BasicError;
use pocket_protocol::envelope::EnvelopeError;
use pocket_query::QueryError;
use pocket_ring::SignError;

/// Why a relay has no answer that can be believed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RelayError {
    /// The chain gives no session, application or key.
    #[error("the chain: {0}")]
    Chain(#[from] QueryError),
    /// The session has no supplier.
    #[error("session {0} has no supplier")]
    NoSupplier(String),
    /// The chain's record of an account holds no point of the curve.
    #[error("the chain's key of {0} is no public key")]
    PublicKey(String),
    /// The signer's key is not in the application's ring: it is no gateway of the application, or not yet.
    #[error("the relay cannot be signed: {0}")]
    Sign(#[from] SignError),
    /// No connection, or it broke before the whole answer was there.
    #[error("no answer from the relayer: {0}")]
    Connection(String),
    /// No whole answer in time.
    #[error("no answer from the relayer in time")]
    Timeout,
    /// The answer is longer than this client reads.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// The relayer's own word instead of a relay's answer: any status but 200.
    #[error("the relayer refused with status {status}: {body}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The body, its first bytes.
        body: String,
    },
    /// The relayer's own word over gRPC: any status but 0.
    #[error("the relayer refused with gRPC status {code}: {message}")]
    Status {
        /// The gRPC status.
        code: u16,
        /// The relayer's words.
        message: String,
    },
    /// The relayer closed the WebSocket before the answer was whole.
    #[error("the relayer closed the socket with code {code}: {reason}")]
    Closed {
        /// The close code; 1005 when there was none.
        code: u16,
        /// The relayer's words.
        reason: String,
    },
    /// A `RelayResponse` that says what went wrong at the relayer.
    #[error("the relayer failed with code {code}: {description}")]
    Failed {
        /// The error's code, of the relayer's own choice.
        code: u32,
        /// The relayer's words.
        description: String,
    },
    /// The answer is no `RelayResponse`.
    #[error("the answer is no relay response: {0}")]
    Malformed(String),
    /// The response lacks its session header or signature.
    #[error("the relay response is incomplete: {0}")]
    Incomplete(#[from] BasicError),
    /// The response belongs to another session than the request.
    #[error("the relay response is of another session: its {0} differs")]
    OtherSession(&'static str),
    /// The supplier did not sign this response.
    #[error("the supplier's signature does not fit the response")]
    WrongSignature,
    /// The payload is not the one that the supplier signed.
    #[error("the payload's hash is not the signed one")]
    WrongPayloadHash,
    /// The signed payload is no `POKTHTTPResponse`.
    #[error("the payload is no HTTP response: {0}")]
    Envelope(#[from] EnvelopeError),
}

/// Errors by what they are counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorKind {
    /// No session, application or key from the chain, or no way to sign.
    Session,
    /// No connection, or a broken one.
    Connection,
    /// No answer in time.
    Timeout,
    /// Refused with this HTTP status.
    Refused(u16),
    /// Refused with this gRPC status.
    Status(u16),
    /// The socket was closed with this code.
    Closed(u16),
    /// Failed with this code.
    Failed(u32),
    /// Not what a relayer answers.
    Malformed,
    /// Of another session.
    OtherSession,
    /// Not signed by the supplier.
    WrongSignature,
    /// Another payload than the signed one.
    WrongPayloadHash,
}

impl RelayError {
    /// What the error is counted under.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Chain(_) | Self::NoSupplier(_) | Self::PublicKey(_) | Self::Sign(_) => ErrorKind::Session,
            Self::Connection(_) => ErrorKind::Connection,
            Self::Timeout => ErrorKind::Timeout,
            Self::Refused { status, .. } => ErrorKind::Refused(*status),
            Self::Status { code, .. } => ErrorKind::Status(*code),
            Self::Closed { code, .. } => ErrorKind::Closed(*code),
            Self::Failed { code, .. } => ErrorKind::Failed(*code),
            Self::TooLong(_) | Self::Malformed(_) | Self::Incomplete(_) | Self::Envelope(_) => ErrorKind::Malformed,
            Self::OtherSession(_) => ErrorKind::OtherSession,
            Self::WrongSignature => ErrorKind::WrongSignature,
            Self::WrongPayloadHash => ErrorKind::WrongPayloadHash,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session => f.write_str("no session"),
            Self::Connection => f.write_str("connection"),
            Self::Timeout => f.write_str("timeout"),
            Self::Refused(status) => write!(f, "refused {status}"),
            Self::Status(code) => write!(f, "gRPC status {code}"),
            Self::Closed(code) => write!(f, "closed {code}"),
            Self::Failed(code) => write!(f, "relayer error {code}"),
            Self::Malformed => f.write_str("malformed answer"),
            Self::OtherSession => f.write_str("other session"),
            Self::WrongSignature => f.write_str("wrong signature"),
            Self::WrongPayloadHash => f.write_str("wrong payload hash"),
        }
    }
}
