//! What an application can still pay a supplier in one session (spec `relay.md` §6.6): exact integers, no I/O.

use pocket_protocol::windows::blocks_to_settlement;
use pocket_protocol::{SharedParams, Upokt};

/// Part of an application's stake that a supplier can be sure of in one session: the stake over the suppliers of a
/// session and over the sessions that may await settlement at once, rounded down after each division.
///
/// `params` are those at the session's end, or the live ones while it runs.
pub(crate) fn base_limit(stake: Upokt, suppliers_per_session: u64, params: &SharedParams) -> Upokt {
    let length = u128::from(params.num_blocks_per_session.max(1));
    let tail = u128::try_from(blocks_to_settlement(params)).unwrap_or(0).max(1);
    // The session that runs is the one more.
    let pending = tail.div_ceil(length) + 1;
    Upokt(stake.0 / u128::from(suppliers_per_session.max(1)) / pending)
}

/// The limit that an operator chose instead: a part of the stake, or more than all of it. The peer multiplies doubles
/// and cuts off the fraction; in a mixed fleet all must come to the same amount, so that this does too.
// What does not fit becomes the nearest that does.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
pub(crate) fn chosen_limit(stake: Upokt, factor: f64) -> Upokt {
    Upokt((stake.0 as f64 * factor) as u128)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn params(length: u64, offsets: [u64; 4]) -> SharedParams {
        SharedParams {
            num_blocks_per_session: length,
            claim_window_open_offset_blocks: offsets[0],
            claim_window_close_offset_blocks: offsets[1],
            proof_window_open_offset_blocks: offsets[2],
            proof_window_close_offset_blocks: offsets[3],
            ..SharedParams::default()
        }
    }

    #[test]
    fn stake_is_divided_by_suppliers_and_then_by_open_sessions() {
        // 32 blocks of windows after sessions of 60: one session awaits settlement while one runs.
        assert_eq!(base_limit(Upokt(1000), 15, &params(60, [11, 10, 1, 10])), Upokt(33));
        // 9 blocks of windows after sessions of 4: three await settlement.
        assert_eq!(base_limit(Upokt(1_000_000), 3, &params(4, [1, 4, 0, 4])), Upokt(83_333));
        // Each division is rounded down: 10 / 3 = 3, 3 / 2 = 1.
        assert_eq!(base_limit(Upokt(10), 3, &params(10, [1, 1, 0, 1])), Upokt(1));
    }

    #[test]
    fn parameters_of_zero_count_as_one() {
        assert_eq!(base_limit(Upokt(100), 0, &params(0, [0; 4])), Upokt(50));
    }

    #[test]
    fn chosen_limit_is_the_peers_double() {
        assert_eq!(chosen_limit(Upokt(100_000_000_000), 0.01), Upokt(1_000_000_000));
        assert_eq!(chosen_limit(Upokt(100), 2.5), Upokt(250));
        // 29 in decimals; in doubles the product is just below.
        assert_eq!(chosen_limit(Upokt(100), 0.29), Upokt(28));
        assert_eq!(chosen_limit(Upokt(100), 0.0), Upokt(0));
    }

    proptest! {
        #[test]
        fn all_suppliers_of_all_open_sessions_together_never_pass_the_stake(
            stake in any::<u64>(),
            suppliers in 0u64..100,
            length in 0u64..200,
            offsets in prop::array::uniform4(0u64..100),
        ) {
            let stake = u128::from(stake);
            let params = params(length, offsets);
            let limit = base_limit(Upokt(stake), suppliers, &params).0;
            let tail = u128::from(offsets.iter().sum::<u64>().max(1));
            let sessions = tail.div_ceil(u128::from(length.max(1))) + 1;
            let all = limit * u128::from(suppliers.max(1)) * sessions;
            prop_assert!(all <= stake);
            // And no more is held back than rounding down costs.
            prop_assert!(stake - all < u128::from(suppliers.max(1)) * sessions);
        }

        #[test]
        fn more_stake_never_gives_less(stake in 0u128..1 << 64, more in 0u128..1 << 32, suppliers in 1u64..50) {
            let params = params(10, [1, 4, 0, 4]);
            let limit = |stake| base_limit(Upokt(stake), suppliers, &params).0;
            prop_assert!(limit(stake + more) >= limit(stake));
        }
    }
}
