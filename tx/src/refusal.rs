//! What the chain's modules say no with, read from the log (spec `claims-and-proofs.md` §8).
//!
//! The handlers return statuses that the SDK does not know as registered errors, so every refusal has
//! codespace `undefined` and code 1; the registered text at the log's end tells them apart.

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChainRefusal {
    /// The claim or proof window has not opened.
    TooEarly,
    /// The claim or proof window has closed.
    TooLate,
    /// The chain requires no proof of this claim.
    ProofNotRequired,
    /// The claim never landed, or is settled.
    ClaimNotFound,
    /// Session, header or supplier are not what the chain computes.
    WrongSession,
    /// The claim's sum is not its count times the service's price.
    WrongComputeUnits,
    /// The root is malformed or empty.
    WrongRoot,
    /// The proof, or the relay in it, does not hold.
    WrongProof,
    /// The account cannot pay the proof's fee.
    NoFundsForProof,
    /// The account, or its public key, is not on chain.
    UnknownAccount,
    /// Anything else.
    Other,
}

/// What can be done about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Send it again at the next block.
    Wait,
    /// Nothing: leave this message out.
    Leave,
    /// Build the proof again from the stored tree, once.
    Rebuild,
    /// Put coins into the operator's account, and send it again until the window closes.
    Fund,
}

impl ChainRefusal {
    /// Reads a log; the registered text that stands last decides, since details come before it.
    pub fn of_log(log: &str) -> Self {
        let place = |(text, _): &&(&str, Self)| log.rfind(text);
        let known = REGISTERED.iter().filter(|entry| place(entry).is_some());
        match known.max_by_key(place) {
            Some((_, Self::TooLate)) if log.contains("less than") => Self::TooEarly,
            Some((_, refusal)) => *refusal,
            None => Self::Other,
        }
    }

    /// What can be done about it.
    pub fn remedy(self) -> Remedy {
        match self {
            Self::TooEarly | Self::Other => Remedy::Wait,
            Self::WrongProof => Remedy::Rebuild,
            Self::NoFundsForProof | Self::UnknownAccount => Remedy::Fund,
            Self::TooLate
            | Self::ProofNotRequired
            | Self::ClaimNotFound
            | Self::WrongSession
            | Self::WrongComputeUnits
            | Self::WrongRoot => Remedy::Leave,
        }
    }
}

/// Registered texts of the modules; stable, unlike the details around them.
const REGISTERED: [(&str, ChainRefusal); 23] = [
    (
        "claim attempted outside of the session's claim window",
        ChainRefusal::TooLate,
    ),
    (
        "proof attempted outside of the session's proof window",
        ChainRefusal::TooLate,
    ),
    ("proof not required", ChainRefusal::ProofNotRequired),
    ("claim not found", ChainRefusal::ClaimNotFound),
    ("invalid session ID", ChainRefusal::WrongSession),
    ("invalid session header", ChainRefusal::WrongSession),
    ("invalid session start height", ChainRefusal::WrongSession),
    ("invalid session end height", ChainRefusal::WrongSession),
    ("supplier not found", ChainRefusal::WrongSession),
    ("invalid service in supplier", ChainRefusal::WrongSession),
    ("application for session not found", ChainRefusal::WrongSession),
    (
        "supplier operator address does not match the claim or proof",
        ChainRefusal::WrongSession,
    ),
    ("mismatch: claim compute units", ChainRefusal::WrongComputeUnits),
    ("invalid root hash", ChainRefusal::WrongRoot),
    ("invalid proof", ChainRefusal::WrongProof),
    ("invalid relay", ChainRefusal::WrongProof),
    ("invalid relay difficulty", ChainRefusal::WrongProof),
    ("invalid relay request", ChainRefusal::WrongProof),
    ("invalid relay response", ChainRefusal::WrongProof),
    ("not enough funds to submit proof", ChainRefusal::NoFundsForProof),
    ("failed to deduct proof submission fee", ChainRefusal::NoFundsForProof),
    ("account not found", ChainRefusal::UnknownAccount),
    ("public key not found", ChainRefusal::UnknownAccount),
];

/// The failing message's place in the transaction, from 0, as the log has it.
pub fn message_index(log: &str) -> Option<usize> {
    let (_, rest) = log.split_once("message index: ")?;
    let digits = rest
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLY: &str = "failed to execute message; message index: 12: rpc error: code = FailedPrecondition desc = \
        current block height (5) is less than session's earliest claim commit height (12): \
        claim attempted outside of the session's claim window with gas used: '61234'";

    #[test]
    fn claim_before_the_window_is_too_early_and_its_index_is_known() {
        assert_eq!(ChainRefusal::of_log(EARLY), ChainRefusal::TooEarly);
        assert_eq!(message_index(EARLY), Some(12));
        assert_eq!(ChainRefusal::TooEarly.remedy(), Remedy::Wait);
    }

    #[test]
    fn claim_after_the_window_is_left_out() {
        let log = EARLY.replace("less", "greater");
        assert_eq!(ChainRefusal::of_log(&log), ChainRefusal::TooLate);
        assert_eq!(ChainRefusal::TooLate.remedy(), Remedy::Leave);
    }

    #[test]
    fn registered_text_beats_the_detail_before_it() {
        let log = "desc = supplier not found in session: invalid proof";
        assert_eq!(ChainRefusal::of_log(log), ChainRefusal::WrongProof);
    }

    #[test]
    fn unknown_text_is_worth_another_try() {
        assert_eq!(ChainRefusal::of_log("the sky fell"), ChainRefusal::Other);
        assert_eq!(ChainRefusal::Other.remedy(), Remedy::Wait);
        assert_eq!(message_index("the sky fell"), None);
    }
}
