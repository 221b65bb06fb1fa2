//! Which rule is broken, with what was expected and what was found.

use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::admission::{BasicError, differing_field};
use pocket_protocol::claim::MessageError;
use pocket_protocol::{ComputeUnits, Height};
use pocket_ring::{ParseError, VerifyError};
use pocket_smst::{DecodeError, Digest, ProofError};

/// A rule of the chain that a claim or proof breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenRule {
    /// The message is malformed, whatever the chain's state.
    #[error("the message is malformed: {0}")]
    Message(#[from] MessageError),
    /// The session's id is not the chain's.
    #[error("the session's id is {got}, on chain it is {expected}")]
    SessionId {
        /// The chain's.
        expected: String,
        /// The message's.
        got: String,
    },
    /// The supplier does not serve the session.
    #[error("{supplier} is none of the suppliers of session {session}")]
    Supplier {
        /// The message's signer.
        supplier: String,
        /// The session.
        session: String,
    },
    /// The claim comes too early or too late.
    #[error("block {height} is outside of the claim window, {open} to {close}")]
    ClaimWindow {
        /// The block that would hold the claim.
        height: Height,
        /// The window's first block.
        open: Height,
        /// The window's last block.
        close: Height,
    },
    /// The proof comes too early or too late.
    #[error("block {height} is outside of the proof window, {open} to {close}")]
    ProofWindow {
        /// The block that would hold the proof.
        height: Height,
        /// The window's first block.
        open: Height,
        /// The window's last block.
        close: Height,
    },
    /// Not every relay weighs what the service says.
    #[error("the tree's sum {sum} is not its count {count} times the service's {per_relay} compute units")]
    ComputeUnits {
        /// Of the root.
        sum: ComputeUnits,
        /// Of the root.
        count: u64,
        /// The service's, at the session's start.
        per_relay: ComputeUnits,
    },
    /// The proof's bytes are no gob stream of a proof.
    #[error("the proof's bytes cannot be read: {0}")]
    ProofBytes(DecodeError),
    /// The proof's parts do not fit each other.
    #[error("the proof's form is wrong: {0}")]
    ProofForm(ProofError),
    /// The leaf's value is no relay.
    #[error("the leaf is no relay: {0}")]
    RelayBytes(String),
    /// The relay's request is malformed.
    #[error("the relay's request: {0}")]
    Request(BasicError),
    /// The relay's response is malformed.
    #[error("the relay's response: {0}")]
    Response(BasicError),
    /// The relay was asked of another supplier.
    #[error("the relay is {got}'s, not {expected}'s")]
    RelaySupplier {
        /// Who claims.
        expected: String,
        /// Who was asked.
        got: String,
    },
    /// The relay is one of another session.
    #[error("the relay's session header differs in {}", field(.expected, .got))]
    RelayHeader {
        /// The chain's.
        expected: Box<SessionHeader>,
        /// The relay's.
        got: Box<SessionHeader>,
    },
    /// The relay's hash misses the target.
    #[error("the relay's hash {} is not below the target {}", hex::encode(.hash), hex::encode(.target))]
    Difficulty {
        /// SHA-256 of the relay.
        hash: [u8; 32],
        /// The service's, at the session's start.
        target: Vec<u8>,
    },
    /// The claim on chain is one of another session.
    #[error("the claim's session header differs in {}", field(.expected, .got))]
    ClaimHeader {
        /// The session's.
        expected: Box<SessionHeader>,
        /// The claim's.
        got: Box<SessionHeader>,
    },
    /// The request's signature is not one of the application's ring.
    #[error("the ring signature of the relay's request: {0}")]
    RingSignature(RingFault),
    /// The response's signature is not the supplier's.
    #[error("the supplier's signature does not fit the relay's response")]
    ResponseSignature,
    /// The proof opens another path than the chain asks for.
    #[error("the proof opens path {}, the chain asks for {}", hex::encode(.got), hex::encode(.expected))]
    Path {
        /// From the seed block.
        expected: [u8; 32],
        /// The proof's.
        got: [u8; 32],
    },
    /// The proof does not lead to the claimed root.
    #[error("the proof does not lead to the root {root}{}", contradiction(.reason.as_ref()))]
    Root {
        /// The claimed root.
        root: Digest,
        /// Why, if the proof contradicts itself.
        reason: Option<ProofError>,
    },
}

/// What is wrong with a request's ring signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RingFault {
    /// It cannot be read.
    #[error(transparent)]
    Bytes(#[from] ParseError),
    /// It does not hold.
    #[error(transparent)]
    Signature(#[from] VerifyError),
}

impl BrokenRule {
    /// The rule's name in logs, metrics and reports; one of a few.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::SessionId { .. } => "session_id",
            Self::Supplier { .. } => "supplier",
            Self::ClaimWindow { .. } => "claim_window",
            Self::ProofWindow { .. } => "proof_window",
            Self::ComputeUnits { .. } => "compute_units",
            Self::ProofBytes(_) => "proof_bytes",
            Self::ProofForm(_) => "proof_form",
            Self::RelayBytes(_) => "relay_bytes",
            Self::Request(_) => "relay_request",
            Self::Response(_) => "relay_response",
            Self::RelaySupplier { .. } => "relay_supplier",
            Self::RelayHeader { .. } => "relay_header",
            Self::Difficulty { .. } => "difficulty",
            Self::ClaimHeader { .. } => "claim_header",
            Self::RingSignature(_) => "ring_signature",
            Self::ResponseSignature => "response_signature",
            Self::Path { .. } => "path",
            Self::Root { .. } => "root",
        }
    }
}

fn field(expected: &SessionHeader, got: &SessionHeader) -> &'static str {
    differing_field(expected, got).unwrap_or("nothing")
}

fn contradiction(reason: Option<&ProofError>) -> String {
    reason.map_or_else(String::new, |reason| format!(": {reason}"))
}
