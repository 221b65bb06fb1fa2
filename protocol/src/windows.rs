//! When a session's relays stop counting, and when its claim and proof may come (spec `sessions.md` §6).

use crate::SharedParams;

use crate::session::{SessionBounds, blocks};
use crate::types::Height;

/// The heights that follow from a session's end. Both windows include both of their ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Windows {
    /// Last height at which a relay of the session may be accepted.
    pub grace_end: Height,
    /// First block that accepts the claim.
    pub claim_open: Height,
    /// Last block that accepts the claim.
    pub claim_close: Height,
    /// First block that accepts the proof; may be `claim_close` itself.
    pub proof_open: Height,
    /// Last block that accepts the proof. The claim is settled at the end of this block.
    pub proof_close: Height,
    /// The block whose hash decides whether a proof is due and which path it opens.
    pub seed: Height,
}

impl Windows {
    /// The windows of the session that ends at `end`. `params` must be those in force at `end`.
    pub fn of(params: &SharedParams, end: Height) -> Self {
        let claim_open = end + blocks(params.claim_window_open_offset_blocks) + 1;
        let claim_close = claim_open + blocks(params.claim_window_close_offset_blocks);
        let proof_open = claim_close + blocks(params.proof_window_open_offset_blocks);
        Self {
            grace_end: grace_end(params, end),
            claim_open,
            claim_close,
            proof_open,
            proof_close: proof_open + blocks(params.proof_window_close_offset_blocks),
            seed: proof_open - 1,
        }
    }

    /// First height at which a supplier may claim: for everyone the window's opening (spec §6.1).
    pub fn earliest_claim(&self) -> Height {
        self.claim_open
    }

    /// First height at which a supplier may prove: for everyone the window's opening (spec §6.1).
    pub fn earliest_proof(&self) -> Height {
        self.proof_open
    }

    /// From here a claim waits no longer for relays on their way: half of its window, and two blocks at least, are left
    /// to get it into a block, but it waits until the window opens. Ours, not the chain's: relayers answer no relay of
    /// the session any more, and miners seal it.
    pub fn seal_deadline(&self) -> Height {
        let left = ((self.claim_close - self.claim_open) / 2).max(2);
        self.claim_open.max(self.claim_close - left)
    }

    /// The block at whose end the claim is settled.
    pub fn settlement(&self) -> Height {
        self.proof_close
    }

    /// Whether a claim in block `height` is in time.
    pub fn accepts_claim(&self, height: Height) -> bool {
        (self.claim_open..=self.claim_close).contains(&height)
    }

    /// Whether a proof in block `height` is in time.
    pub fn accepts_proof(&self, height: Height) -> bool {
        (self.proof_open..=self.proof_close).contains(&height)
    }
}

/// Last height at which a relay of the session that ends at `end` may be accepted.
pub fn grace_end(params_at_end: &SharedParams, end: Height) -> Height {
    end + blocks(params_at_end.grace_period_end_offset_blocks)
}

/// Whether, at `current`, the grace period of the session that contains `height` is over.
pub fn grace_is_over(params: &SharedParams, height: Height, current: Height) -> bool {
    current > grace_end(params, SessionBounds::containing(params, height).end)
}

/// Blocks from a session's end to the closing of its proof window, without the one that every claim
/// window waits for late relays: the sum of the four offsets.
pub fn blocks_to_settlement(params: &SharedParams) -> i64 {
    [
        params.claim_window_open_offset_blocks,
        params.claim_window_close_offset_blocks,
        params.proof_window_open_offset_blocks,
        params.proof_window_close_offset_blocks,
    ]
    .into_iter()
    .fold(0, |sum, offset| sum.saturating_add(blocks(offset)))
}

/// How many ended sessions can await settlement at once (spec §6.3).
pub fn pending_sessions(params: &SharedParams) -> i64 {
    let length = blocks(params.num_blocks_per_session).max(1);
    let blocks = blocks_to_settlement(params);
    blocks / length + i64::from(blocks % length != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(length: u64, grace: u64, offsets: [u64; 4]) -> SharedParams {
        SharedParams {
            num_blocks_per_session: length,
            grace_period_end_offset_blocks: grace,
            claim_window_open_offset_blocks: offsets[0],
            claim_window_close_offset_blocks: offsets[1],
            proof_window_open_offset_blocks: offsets[2],
            proof_window_close_offset_blocks: offsets[3],
            ..Default::default()
        }
    }

    fn heights(windows: &Windows) -> [i64; 5] {
        [
            windows.claim_open,
            windows.claim_close,
            windows.seed,
            windows.proof_open,
            windows.proof_close,
        ]
        .map(|h| h.0)
    }

    #[test]
    fn windows_are_the_specs() {
        let defaults = Windows::of(&params(10, 1, [1, 4, 0, 4]), Height(10));
        assert_eq!(
            (defaults.grace_end, heights(&defaults)),
            (Height(11), [12, 16, 15, 16, 20])
        );
        let public = Windows::of(&params(60, 1, [11, 10, 1, 10]), Height(714_960));
        assert_eq!(heights(&public), [714_972, 714_982, 714_982, 714_983, 714_993]);
        let short = Windows::of(&params(4, 1, [1, 1, 0, 1]), Height(8));
        assert_eq!((short.grace_end, heights(&short)), (Height(9), [10, 11, 10, 11, 12]));
    }

    #[test]
    fn shared_block_accepts_claims_and_proofs() {
        let windows = Windows::of(&params(10, 1, [1, 4, 0, 4]), Height(10));
        assert!(windows.accepts_claim(Height(16)) && windows.accepts_proof(Height(16)));
        assert!(!windows.accepts_claim(Height(11)) && !windows.accepts_claim(Height(17)));
        assert!(!windows.accepts_proof(Height(15)) && !windows.accepts_proof(Height(21)));
    }

    #[test]
    fn half_of_the_claim_window_is_left_for_claims() {
        let deadline = |window| Windows::of(&params(10, 1, [1, window, 0, 4]), Height(10)).seal_deadline();
        assert_eq!([1, 4, 5, 10].map(|window| deadline(window).0), [12, 14, 15, 17]);
    }

    #[test]
    fn pending_sessions_are_rounded_up() {
        assert_eq!(pending_sessions(&params(10, 1, [1, 4, 0, 4])), 1);
        assert_eq!(pending_sessions(&params(9, 1, [1, 4, 0, 4])), 1);
        assert_eq!(pending_sessions(&params(4, 1, [1, 4, 0, 4])), 3);
    }

    #[test]
    fn last_block_of_grace_is_not_over() {
        let params = params(10, 1, [1, 4, 0, 4]);
        assert!(!grace_is_over(&params, Height(7), Height(11)));
        assert!(grace_is_over(&params, Height(7), Height(12)));
    }
}
