//! Why a query has no answer, by what the caller can do.

use std::error::Error as _;

use pocket_protocol::Height;
use tonic::Code;

/// Why a query has no answer. Only [`NotFound`](Self::NotFound) means that the thing is absent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The chain, at a height that counts, has no such record.
    #[error("the chain has no such record: {0}")]
    NotFound(String),
    /// The node understood the question and will not answer it; the same question gets the same answer.
    /// `GetSession` says so, with code `Internal`, for every reason it has (spec `sessions.md` §11.6).
    #[error("the node refused the query ({code:?}): {message}")]
    Refused {
        /// The gRPC code; `Internal` for a refusal of the `CometBFT` RPC.
        code: Code,
        /// The node's words.
        message: String,
    },
    /// Nothing is known: the node is down, slow, overloaded or behind. Ask again later.
    #[error("the node does not answer: {0}")]
    Unavailable(String),
    /// The node is older than the method.
    #[error("the node does not know the method {0}")]
    Unimplemented(&'static str),
    /// The node's answer makes no sense; another node may do better.
    #[error("the node's answer is malformed: {0}")]
    Malformed(String),
    /// The node belongs to another network than the configuration says.
    #[error("the node is on chain {found:?}, the configuration says {configured:?}")]
    WrongChain {
        /// From the configuration.
        configured: String,
        /// From the node's status.
        found: String,
    },
}

impl QueryError {
    /// Whether the same question may be answered later, with nothing else changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// An answer that lacks a field which is always set.
    pub(crate) fn missing(field: &str) -> Self {
        Self::Malformed(format!("{field} is missing"))
    }

    /// The node's state is older than what the question needs.
    pub(crate) fn behind(node: Height, needed: Height) -> Self {
        Self::Unavailable(format!("the node is at height {node}, the answer needs {needed}"))
    }

    /// Sorts a gRPC status (spec `chain.md` §2, status semantics).
    pub(crate) fn from_status(method: &'static str, status: &tonic::Status) -> Self {
        // A status with a source was made on this side of the wire: the transport failed.
        if let Some(source) = status.source() {
            return Self::Unavailable(format!("{method}: {}", chain_of(source)));
        }
        let message = status.message().to_owned();
        match status.code() {
            Code::NotFound => Self::NotFound(message),
            Code::Unimplemented => Self::Unimplemented(method),
            Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Aborted | Code::Cancelled => {
                Self::Unavailable(format!("{method}: {message}"))
            }
            // Made on this side too: what came is no message of the type.
            Code::Internal if message.starts_with(UNDECODABLE) => Self::Malformed(format!("{method}: {message}")),
            code => Self::Refused { code, message },
        }
    }
}

/// What `tonic` says of bytes that are not the message they should be.
const UNDECODABLE: &str = "failed to decode Protobuf message";

/// An error and everything under it: `tonic` says "transport error", the cause says which.
pub(crate) fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_not_found_means_absent() {
        let sorted = |code| QueryError::from_status("Claim", &tonic::Status::new(code, "x"));
        assert_eq!(sorted(Code::NotFound), QueryError::NotFound("x".into()));
        assert_eq!(sorted(Code::Unimplemented), QueryError::Unimplemented("Claim"));
        assert!(sorted(Code::DeadlineExceeded).is_transient());
        for code in [Code::Internal, Code::Unknown, Code::InvalidArgument] {
            let message = "x".to_owned();
            assert_eq!(sorted(code), QueryError::Refused { code, message });
        }
    }

    #[test]
    fn transport_failure_is_transient_and_names_its_cause() {
        let status = tonic::Status::from_error(Box::new(std::io::Error::other("connection refused")));
        let error = QueryError::from_status("Claim", &status);
        assert!(
            matches!(&error, QueryError::Unavailable(text) if text.contains("connection refused")),
            "{error}"
        );
    }
}
