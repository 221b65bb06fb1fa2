//! The way of a session from relays to upokt, as one function without effects (spec:
//! claims-and-proofs.md §10, with the deviations it recommends).

use pocket_protocol::{Height, Windows};
use pocket_store::SessionState;

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
    /// The claim window closed, and the chain has no claim with our root.
    ClaimWindowClosed,
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
    /// The chain settled the claim.
    Settled {
        /// By a valid proof, not because none was asked for.
        proven: bool,
    },
    /// The chain let the claim expire, or discarded it.
    Unpaid(String),
    /// The settlement block has nothing about the session, or nobody has that block any more.
    Unsettled(&'static str),
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
    /// Find out how the chain settled the session, and forget it.
    Settle,
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
        (S::Claiming, Event::ClaimWindowClosed) => Step::end(S::ClaimWindowClosed, LATE_CLAIM),
        (S::Claiming, Event::ClaimRefused(reason)) => Step::end(S::ClaimTxError, reason),
        (S::Claiming, Event::ClaimUnwanted(reason)) => Step::end(S::ClaimSkipped, reason),
        (S::Claimed | S::Proving, Event::ProofNotRequired) => Step::stay(S::ProbabilisticProved),
        (S::Claimed | S::Proving | S::ProofTxError, Event::ProofAccepted) => Step::stay(S::Proved),
        (S::Claimed | S::Proving, Event::ProofRefused(reason)) => Step::end(S::ProofTxError, reason),
        (S::Claimed | S::Proving, Event::ClaimAbsent) => {
            Step::end(S::ClaimMissing, "the chain holds no claim of this session")
        }
        (state, event) => at_settlement(state, event),
    }
}

/// Blocks that a claim needs at least: it is sealed then with what it has.
const LEAST: i64 = 2;
const LATE_CLAIM: &str = "the claim window closed before a claim was in a block";

fn at_block(state: SessionState, height: Height, windows: &Windows, drained: bool) -> Step {
    use SessionState as S;
    // A transaction sent now is in the next block at the earliest.
    let next = height + 1;
    match state {
        state if state != S::Active && height >= windows.settlement() => Step::act(state, Effect::Settle),
        // Nothing was sent for it: the root is written down first.
        S::Active if next > windows.claim_close => Step::end(S::ClaimWindowClosed, LATE_CLAIM),
        S::Active if height >= windows.claim_open && (drained || height >= windows.claim_close - LEAST) => {
            Step::act(S::Active, Effect::Seal)
        }
        // Even after the window: what was sent before a restart may be on chain.
        S::Claiming if height >= windows.claim_open => Step::act(S::Claiming, Effect::Claim),
        S::Claimed | S::Proving if height >= windows.proof_open => Step::act(S::Proving, Effect::Prove),
        state => Step::stay(state),
    }
}

/// What the chain did with the claim has the last word.
fn at_settlement(state: SessionState, event: Event) -> Step {
    use SessionState as S;
    match (state, event) {
        (S::Proved | S::ProbabilisticProved, Event::Settled { .. }) => Step::stay(state),
        (_, Event::Settled { proven: true }) => Step::stay(S::Proved),
        (_, Event::Settled { proven: false }) => Step::stay(S::ProbabilisticProved),
        (S::Claiming | S::Claimed | S::Proving, Event::Unpaid(reason)) => Step::end(S::ProofWindowClosed, reason),
        (S::Claiming, Event::Unsettled(reason)) => Step::end(S::ClaimWindowClosed, reason),
        (S::Claimed | S::Proving, Event::Unsettled(reason)) => Step::end(S::ClaimMissing, reason),
        _ => Step::stay(state),
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
            step(SessionState::Active, block(16, true)).state,
            SessionState::ClaimWindowClosed
        );
    }

    #[test]
    fn claim_that_may_be_on_chain_is_looked_for_after_its_window() {
        assert_eq!(
            step(SessionState::Claiming, block(17, true)),
            Step::act(SessionState::Claiming, Effect::Claim)
        );
        let closed = step(SessionState::Claiming, Event::ClaimWindowClosed);
        assert_eq!(closed.state, SessionState::ClaimWindowClosed);
        assert_eq!(
            step(SessionState::Claiming, Event::ClaimIncluded).state,
            SessionState::Claimed
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
            step(SessionState::Proving, block(20, true)),
            Step::act(SessionState::Proving, Effect::Settle)
        );
    }

    #[test]
    fn settlement_decides_what_became_of_a_session_nobody_looked_after() {
        for state in [SessionState::Claiming, SessionState::Claimed, SessionState::Proving] {
            let after = |event: Event| step(state, event).state;
            assert_eq!(after(Event::Settled { proven: true }), SessionState::Proved);
            assert_eq!(
                after(Event::Settled { proven: false }),
                SessionState::ProbabilisticProved
            );
            assert_eq!(
                after(Event::Unpaid("PROOF_MISSING".into())),
                SessionState::ProofWindowClosed
            );
            assert!(after(Event::Unsettled("nothing")).is_terminal());
        }
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
            Event::Unpaid("late".into()),
            Event::Unsettled("late"),
            block(19, true),
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
