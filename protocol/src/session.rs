//! The session grid, a session's id and who serves it (spec `sessions.md` §2, §3, §5).

use crate::SharedParams;
use sha3::{Digest as _, Sha3_256};

use crate::types::{Height, SessionId};

/// Number, first and last block of one session. All 0 for heights before the first block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SessionBounds {
    /// Counts from 1 over all grids.
    pub number: i64,
    /// First block.
    pub start: Height,
    /// Last block.
    pub end: Height,
}

impl SessionBounds {
    /// The session that contains `height`. `params` must be those in force at `height`: newer ones
    /// give a plausible, wrong answer after a change of the session's length (spec §2).
    pub fn containing(params: &SharedParams, height: Height) -> Self {
        if height.0 <= 0 {
            return Self::default();
        }
        let length = blocks(params.num_blocks_per_session).max(1);
        let (anchor, number_at_anchor) = grid(params, height.0);
        let sessions = (height.0 - anchor) / length;
        let start = anchor + sessions * length;
        Self {
            number: number_at_anchor.saturating_add(sessions),
            start: Height(start),
            end: Height(start) + (length - 1),
        }
    }

    /// First block of the session after this one; its length is not known from this session's parameters.
    pub fn next_start(&self) -> Height {
        self.end + 1
    }
}

/// Height and number of the first session of the grid that `height` lies on.
fn grid(params: &SharedParams, height: i64) -> (i64, i64) {
    let anchor = blocks(params.session_grid_anchor_height);
    if anchor <= 0 || anchor > height {
        // Parameters stored before the grid's fields existed, or newer than the height.
        return (1, 1);
    }
    (anchor, blocks(params.session_number_at_anchor).max(1))
}

/// A parameter that counts blocks, as a signed distance.
pub(crate) fn blocks(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The bytes that a session's id is the hash of, and that its suppliers are drawn with (spec §3.2):
/// block hash, service, application and start height (8 bytes, little-endian), joined by dots.
/// `block_hash` is that of the block at the session's start, 32 bytes, or empty at height 0.
pub fn session_preimage(block_hash: &[u8], service: &str, application: &str, start: Height) -> Vec<u8> {
    let mut preimage = Vec::with_capacity(block_hash.len() + service.len() + application.len() + 11);
    for part in [block_hash, b".", service.as_bytes(), b".", application.as_bytes(), b"."] {
        preimage.extend_from_slice(part);
    }
    preimage.extend_from_slice(&start.0.to_le_bytes());
    preimage
}

/// A session's id: lower-case hex of the SHA3-256 of its [preimage](session_preimage).
pub fn session_id(block_hash: &[u8], service: &str, application: &str, start: Height) -> SessionId {
    session_id_of(&session_preimage(block_hash, service, application, start))
}

/// A session's id from its [preimage](session_preimage).
pub fn session_id_of(preimage: &[u8]) -> SessionId {
    SessionId::from(hex::encode(Sha3_256::digest(preimage)).as_str())
}

/// A supplier's configuration for the session's service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Bech32 address of the operator.
    pub operator: &'a str,
    /// First height at which the configuration counts.
    pub activation: Height,
    /// First height at which it does not any more; 0 is never.
    pub deactivation: Height,
}

impl Candidate<'_> {
    fn is_active_at(&self, height: Height) -> bool {
        self.activation <= height && (self.deactivation.0 == 0 || self.deactivation > height)
    }
}

/// By what a session sorts its candidates, ascending (spec §5): the first 8 bytes of the SHA3-256
/// of preimage, dot and address, big-endian, read as a **signed** number.
pub fn supplier_weight(preimage: &[u8], operator: &str) -> i64 {
    weight(&Sha3_256::new_with_prefix(preimage), operator)
}

fn weight(preimage: &Sha3_256, operator: &str) -> i64 {
    let digest = preimage.clone().chain_update(b".").chain_update(operator).finalize();
    let (first, _) = digest.split_first_chunk().expect("a SHA3-256 digest has 32 bytes");
    i64::from_be_bytes(*first)
}

/// The operators that serve the session at `height`, in the session's order (spec §5). Nobody is an
/// error on chain (`session` 1104).
///
/// With fewer candidates than `wanted` they stand in the order of the chain's store: by activation
/// height, then address. With `wanted` or more they are sorted by weight and cut.
pub fn select_suppliers<'a>(
    candidates: impl IntoIterator<Item = Candidate<'a>>,
    height: Height,
    wanted: u64,
    preimage: &[u8],
) -> Vec<&'a str> {
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let mut active: Vec<_> = candidates
        .into_iter()
        .filter(|candidate| candidate.is_active_at(height))
        .collect();
    if active.len() < wanted {
        active.sort_by_key(|candidate| (candidate.activation, candidate.operator));
        return active.into_iter().map(|candidate| candidate.operator).collect();
    }
    let preimage = Sha3_256::new_with_prefix(preimage);
    let mut weighed: Vec<_> = active
        .into_iter()
        .map(|candidate| (weight(&preimage, candidate.operator), candidate.operator))
        .collect();
    weighed.sort_unstable();
    weighed.truncate(wanted);
    weighed.into_iter().map(|(_, operator)| operator).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const APPLICATION: &str = "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4";

    fn params(length: u64, anchor: u64, number: u64) -> SharedParams {
        SharedParams {
            num_blocks_per_session: length,
            session_grid_anchor_height: anchor,
            session_number_at_anchor: number,
            ..Default::default()
        }
    }

    fn bounds(params: &SharedParams, height: i64) -> (i64, i64, i64) {
        let bounds = SessionBounds::containing(params, Height(height));
        (bounds.start.0, bounds.end.0, bounds.number)
    }

    fn preimage() -> Vec<u8> {
        let block_hash = hex::decode("abcdef0123456789".repeat(4)).unwrap();
        session_preimage(&block_hash, "svc1", APPLICATION, Height(61))
    }

    #[test]
    fn height_before_the_first_block_belongs_to_no_session() {
        assert_eq!(bounds(&params(10, 1, 1), 0), (0, 0, 0));
        assert_eq!(bounds(&params(10, 1, 1), -3), (0, 0, 0));
    }

    #[test]
    fn change_of_the_length_starts_a_new_grid() {
        let (old, new) = (params(10, 1, 1), params(20, 41, 5));
        assert_eq!(bounds(&old, 40), (31, 40, 4));
        assert_eq!(bounds(&new, 41), (41, 60, 5));
        assert_eq!(bounds(&new, 61), (61, 80, 6));
    }

    #[test]
    fn height_before_the_anchor_falls_back_to_the_first_grid() {
        assert_eq!(bounds(&params(20, 41, 5), 40), (21, 40, 2));
    }

    #[test]
    fn id_of_the_specs_session() {
        let id = session_id_of(&preimage());
        assert_eq!(
            id.as_str(),
            "2f21730453bee5dfdb1529b3c5a902d58c1d5091fee0c45672b2bf42d8d9f8c7"
        );
    }

    #[test]
    fn weight_with_the_top_bit_set_is_negative() {
        let operator = "pokt1v6ja23y6xg0h3wjkfxnz44qkct5tqjq8gsd4s7";
        assert_eq!(supplier_weight(&preimage(), operator), -7_233_516_282_677_114_825);
        assert_eq!(supplier_weight(&preimage(), APPLICATION), 2_260_954_731_684_433_911);
    }

    #[test]
    fn configuration_counts_from_activation_until_before_deactivation() {
        let candidate = Candidate {
            operator: "a",
            activation: Height(11),
            deactivation: Height(21),
        };
        let selected = |height| select_suppliers([candidate], Height(height), 5, &preimage()).len();
        assert_eq!([10, 11, 20, 21].map(selected), [0, 1, 1, 0]);
    }

    #[test]
    fn exactly_the_wanted_number_is_sorted_by_weight() {
        let low = Candidate {
            operator: "pokt1v6ja23y6xg0h3wjkfxnz44qkct5tqjq8gsd4s7",
            activation: Height(2),
            deactivation: Height(0),
        };
        let high = Candidate {
            operator: APPLICATION,
            activation: Height(1),
            deactivation: Height(0),
        };
        let select = |wanted| select_suppliers([low, high], Height(61), wanted, &preimage());
        assert_eq!(select(3), [high.operator, low.operator]);
        assert_eq!(select(2), [low.operator, high.operator]);
        assert_eq!(select(1), [low.operator]);
    }

    proptest! {
        #[test]
        fn every_height_lies_in_its_session_and_sessions_join(
            length in 1u64..1000, anchor in 0u64..5000, number in 0u64..100, height in 1i64..1_000_000,
        ) {
            let params = params(length, anchor, number);
            let session = SessionBounds::containing(&params, Height(height));
            prop_assert!(session.start.0 <= height && height <= session.end.0);
            prop_assert_eq!(session.end - session.start, length as i64 - 1);
            prop_assert_eq!(SessionBounds::containing(&params, session.start).start, session.start);
            if height >= anchor as i64 {
                let next = SessionBounds::containing(&params, session.next_start());
                prop_assert_eq!((next.start, next.number), (session.next_start(), session.number + 1));
            }
        }
    }
}
