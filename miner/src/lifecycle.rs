//! The way of a session from relays to upokt, as one function without effects (spec:
//! claims-and-proofs.md §10, with the deviations it recommends).

use pocket_protocol::{Height, Windows};
use pocket_store::SessionState;

/// Blocks before the claim window's end at which a miner stops waiting for relayers that do not
/// tell whether they are done.
const PATIENCE: i64 = 2;

/// What happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A block was committed.
    Block {
        /// Its height.
        height: Height,
        /// The session's windows.
        windows: Windows,
        /// Whether every relay that was answered is in the tree, and none can come any more.
        drained: bool,
    },
    /// The tree is sealed, with this many relays and compute units.
    Sealed {
        /// Leaves.
        relays: u64,
        /// Sum.
        compute_units: u64,
    },
    /// A claim with our root is in a block.
    ClaimIncluded,
    /// The chain will not take this claim, whatever we do.
    ClaimRefused(String),
    /// The claim is not worth its fees, or can never be proven.
    ClaimUnwanted(String),
    /// The chain asks for no proof.
    ProofNotRequired,
    /// The proof is in a block and the chain found it valid.
    ProofAccepted,
    /// The chain will not take this proof, whatever we do.
    ProofRefused(String),
    /// The chain holds no claim to prove.
    ClaimAbsent,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write the root down, and take no relay any more.
    Seal,
    /// Send the claim, or look whether it is on chain already.
    Claim,
    /// Find out whether a proof is due, and send it.
    Prove,
}

/// A state and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The new state; to be stored before `effect` is carried out.
    pub state: SessionState,
    /// Why the session ended here, if it did not end well.
    pub reason: Option<String>,
    /// What to do now.
    pub effect: Option<Effect>,
}

impl Step {
    fn stay(state: SessionState) -> Self {
        Self {
            state,
            reason: None,
            effect: None,
        }
    }

    fn act(state: SessionState, effect: Effect) -> Self {
        Self {
            state,
            reason: None,
            effect: Some(effect),
        }
    }

    fn end(state: SessionState, reason: impl Into<String>) -> Self {
        Self {
            state,
            reason: Some(reason.into()),
            effect: None,
        }
    }
}

/// The next step of a session in `state`. Ended sessions stay as they are, whatever comes late, but
/// for a proof or claim that turns out to be on chain after all.
///
/// An effect is named again at each block until its work is done: it is the caller who knows that it
/// is at it already. So a restart needs no special case: the first block after it names the effect.
pub fn step(state: SessionState, event: Event) -> Step {
    use SessionState as S;
    match (state, event) {
        (
            state,
            Event::Block {
                height,
                windows,
                drained,
            },
        ) => at_block(state, height, &windows, drained),
        (S::Active, Event::Sealed { relays: 0, .. }) => Step::end(S::ClaimSkipped, "no relay to claim"),
        (S::Active, Event::Sealed { compute_units: 0, .. }) => Step::end(S::ClaimSkipped, "the service pays nothing"),
        (S::Active, Event::Sealed { .. }) => Step::act(S::Claiming, Effect::Claim),
        (S::Claiming | S::ClaimWindowClosed | S::ClaimTxError, Event::ClaimIncluded) => Step::stay(S::Claimed),
        (S::Claiming, Event::ClaimRefused(reason)) => Step::end(S::ClaimTxError, reason),
        (S::Claiming, Event::ClaimUnwanted(reason)) => Step::end(S::ClaimSkipped, reason),
        (S::Claimed | S::Proving, Event::ProofNotRequired) => Step::stay(S::ProbabilisticProved),
        (S::Claimed | S::Proving | S::ProofWindowClosed | S::ProofTxError, Event::ProofAccepted) => {
            Step::stay(S::Proved)
        }
        (S::Claimed | S::Proving, Event::ProofRefused(reason)) => Step::end(S::ProofTxError, reason),
        (S::Claimed | S::Proving, Event::ClaimAbsent) => {
            Step::end(S::ClaimMissing, "the chain holds no claim of this session")
        }
        (state, _) => Step::stay(state),
    }
}

fn at_block(state: SessionState, height: Height, windows: &Windows, drained: bool) -> Step {
    use SessionState as S;
    // A transaction sent now is in the next block at the earliest.
    let next = height + 1;
    match state {
        S::Active | S::Claiming if next > windows.claim_close => Step::end(
            S::ClaimWindowClosed,
            "the claim window closed before a claim was in a block",
        ),
        S::Active if height >= windows.claim_open && (drained || next + PATIENCE > windows.claim_close) => {
            Step::act(S::Active, Effect::Seal)
        }
        S::Claiming if height >= windows.claim_open => Step::act(S::Claiming, Effect::Claim),
        S::Claimed | S::Proving if next > windows.proof_close => Step::end(
            S::ProofWindowClosed,
            "the proof window closed before a proof was in a block",
        ),
        S::Claimed | S::Proving if height >= windows.proof_open => Step::act(S::Proving, Effect::Prove),
        state => Step::stay(state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows {
        grace_end: Height(11),
        claim_open: Height(12),
        claim_close: Height(16),
        proof_open: Height(16),
        proof_close: Height(20),
        seed: Height(15),
    };

    fn block(height: i64, drained: bool) -> Event {
        Event::Block {
            height: Height(height),
            windows: WINDOWS,
            drained,
        }
    }

    #[test]
    fn session_is_sealed_once_the_window_is_open_and_its_relays_are_in() {
        assert_eq!(
            step(SessionState::Active, block(11, true)),
            Step::stay(SessionState::Active)
        );
        assert_eq!(
            step(SessionState::Active, block(12, false)),
            Step::stay(SessionState::Active)
        );
        assert_eq!(
            step(SessionState::Active, block(12, true)),
            Step::act(SessionState::Active, Effect::Seal)
        );
    }

    #[test]
    fn silent_relayer_cannot_make_us_miss_the_window() {
        assert_eq!(step(SessionState::Active, block(13, false)).effect, None);
        assert_eq!(step(SessionState::Active, block(14, false)).effect, Some(Effect::Seal));
    }

    #[test]
    fn claim_is_tried_until_no_block_of_the_window_is_left() {
        assert_eq!(
            step(SessionState::Claiming, block(15, true)).effect,
            Some(Effect::Claim)
        );
        assert_eq!(
            step(SessionState::Claiming, block(16, true)).state,
            SessionState::ClaimWindowClosed
        );
    }

    #[test]
    fn proof_is_tried_until_no_block_of_the_window_is_left() {
        assert_eq!(step(SessionState::Claimed, block(15, true)).effect, None);
        for height in 16..20 {
            let next = step(SessionState::Proving, block(height, true));
            assert_eq!(next, Step::act(SessionState::Proving, Effect::Prove), "{height}");
        }
        assert_eq!(
            step(SessionState::Proving, block(20, true)).state,
            SessionState::ProofWindowClosed
        );
    }

    #[test]
    fn nothing_to_claim_is_no_failure() {
        let sealed = |relays, compute_units| step(SessionState::Active, Event::Sealed { relays, compute_units }).state;
        assert_eq!(sealed(0, 0), SessionState::ClaimSkipped);
        assert_eq!(sealed(3, 0), SessionState::ClaimSkipped);
        assert_eq!(sealed(3, 9), SessionState::Claiming);
    }

    #[test]
    fn late_news_moves_an_ended_session_only_towards_success() {
        let late = [
            Event::ClaimRefused("late".into()),
            Event::ProofRefused("late".into()),
            Event::ClaimAbsent,
            Event::ProofNotRequired,
            block(99, true),
        ];
        for state in SessionState::ALL.into_iter().filter(|state| state.is_terminal()) {
            for event in &late {
                assert_eq!(step(state, event.clone()), Step::stay(state));
            }
        }
        assert_eq!(
            step(SessionState::ClaimWindowClosed, Event::ClaimIncluded).state,
            SessionState::Claimed
        );
        assert_eq!(
            step(SessionState::ProofTxError, Event::ProofAccepted).state,
            SessionState::Proved
        );
        assert_eq!(
            step(SessionState::Proved, Event::ClaimIncluded).state,
            SessionState::Proved
        );
    }
}
