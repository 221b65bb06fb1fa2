//! Which sessions still take relays here, and what the miner is told of it.
//!
//! A guard is held for each relay from its admission until Redis has its entry, by the end height of its session. The
//! watermark that follows from the guards promises the miner that no relay of an older session is in flight or will be
//! accepted: it can seal that session's tree and lose nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use pocket_protocol::{Height, SessionBounds, SharedParams, Windows};
use pocket_store::Watermark;
use tokio_util::sync::CancellationToken;

/// The relays in flight of one relayer.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    // Locked twice a relay, for a few nanoseconds: admission and the watermark must see one order of events.
    state: Mutex<State>,
    /// Sessions that end below are claimed without whatever is still on its way.
    sealed_below: AtomicI64,
    /// Sessions that end below can be claimed no more, whoever waited for whom.
    over_below: AtomicI64,
    /// The chain's height was heard of.
    informed: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    /// Relays by the end height of their session; only heights that have some.
    in_flight: BTreeMap<Height, usize>,
    /// Sessions that end below take no relay any more.
    open_from: Height,
}

/// What the chain's height says about sessions (see [`Drain::advance`]).
// Each is the first of the sessions that its name speaks of.
#[allow(clippy::struct_field_names)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Horizon {
    /// Least end height of a session that may still take relays.
    pub open_from: Height,
    /// Least end height of a session whose relays can still be claimed.
    pub claimable_from: Height,
    /// Start of the session that is running.
    pub running_from: Height,
}

impl Horizon {
    /// The horizon of a relayer that miners do not wait for, because they have not heard of it: they may seal any
    /// session that has ended.
    pub fn without_ended_sessions(self) -> Self {
        Self {
            open_from: self.running_from,
            claimable_from: self.running_from,
            ..self
        }
    }
}

impl Drain {
    /// Takes note of a relay of the session that ends at `end`; `None` when that session is closed. To be called
    /// before the relay's timing is checked.
    pub fn enter(self: &Arc<Self>, end: Height) -> Option<InFlight> {
        let mut state = self.state.lock();
        if end < state.open_from {
            return None;
        }
        *state.in_flight.entry(end).or_default() += 1;
        Some(InFlight {
            drain: self.clone(),
            end,
        })
    }

    /// As [`Self::enter`], for a relay that was taken before its session was closed.
    pub fn enter_late(self: &Arc<Self>, end: Height) -> InFlight {
        *self.state.lock().in_flight.entry(end).or_default() += 1;
        InFlight {
            drain: self.clone(),
            end,
        }
    }

    /// Closes sessions; what is closed stays closed.
    pub fn advance(&self, horizon: Horizon) {
        let mut state = self.state.lock();
        state.open_from = state.open_from.max(horizon.open_from);
        self.sealed_below.fetch_max(horizon.claimable_from.0, Ordering::AcqRel);
    }

    /// Takes note of what the chain says, whatever miners know of this relayer.
    pub fn learn(&self, horizon: Horizon) {
        self.over_below.fetch_max(horizon.claimable_from.0, Ordering::AcqRel);
        self.informed.cancel();
    }

    /// Waits for the first [`Self::learn`].
    pub async fn knows_height(&self) {
        self.informed.cancelled().await;
    }

    /// Whether no relay of the session that ends at `end` can get into a claim any more.
    pub fn is_too_late(&self, end: Height) -> bool {
        end.0 < self.over_below.load(Ordering::Acquire)
    }

    /// The promise at `height`.
    pub fn watermark(&self, height: Height) -> Watermark {
        let state = self.state.lock();
        let oldest = state
            .in_flight
            .first_key_value()
            .map_or(state.open_from, |(end, _)| *end);
        Watermark {
            height,
            open_from: oldest.min(state.open_from),
        }
    }

    /// Relays between their admission and Redis' confirmation.
    pub fn in_flight(&self) -> usize {
        self.state.lock().in_flight.values().sum()
    }
}

/// One relay on its way; its session is not sealed while this lives.
#[derive(Debug)]
pub(crate) struct InFlight {
    drain: Arc<Drain>,
    end: Height,
}

impl InFlight {
    /// Whether the relay, if it were published now, would still get into its session's claim.
    pub fn is_claimable(&self) -> bool {
        self.end.0 >= self.drain.sealed_below.load(Ordering::Acquire)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.drain.state.lock();
        if let Some(count) = state.in_flight.get_mut(&self.end) {
            *count -= 1;
            if *count == 0 {
                state.in_flight.remove(&self.end);
            }
        }
    }
}

/// Sessions before the current one that can matter for the horizon: parameters that the chain's governance accepts
/// need two, a private network's may need more.
const SESSIONS_BACK: usize = 64;

/// The horizon at `height`. `params_at` gives the parameters in force at a height, `None` when they are not known:
/// then nothing closes.
pub(crate) fn horizon(
    height: Height,
    mut params_at: impl FnMut(Height) -> Option<Arc<SharedParams>>,
) -> Option<Horizon> {
    let current = SessionBounds::containing(&*params_at(height)?, height);
    // The current session takes relays; look for the oldest before it that does, or that can be claimed.
    let mut horizon = Horizon {
        open_from: current.start,
        claimable_from: current.start,
        running_from: current.start,
    };
    let mut end = current.start - 1;
    for _ in 0..SESSIONS_BACK {
        if end.0 <= 0 {
            break;
        }
        let params = params_at(end)?;
        let windows = Windows::of(&params, end);
        if height <= windows.grace_end {
            horizon.open_from = end;
        }
        if height >= windows.seal_deadline() && height > windows.grace_end {
            break;
        }
        horizon.claimable_from = end;
        end = SessionBounds::containing(&params, end).start - 1;
    }
    Some(horizon)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain() -> Arc<Drain> {
        Arc::default()
    }

    fn close_below(drain: &Drain, end: i64) {
        drain.advance(Horizon {
            open_from: Height(end),
            claimable_from: Height(0),
            running_from: Height(0),
        });
    }

    #[test]
    fn watermark_waits_for_the_oldest_relay() {
        let drain = drain();
        let (old, new) = (drain.enter(Height(10)).unwrap(), drain.enter(Height(20)).unwrap());
        close_below(&drain, 20);
        assert_eq!(drain.watermark(Height(12)).open_from, Height(10));
        drop(old);
        assert_eq!(drain.watermark(Height(12)).open_from, Height(20));
        drop(new);
        assert_eq!(drain.watermark(Height(12)).open_from, Height(20));
        assert_eq!(drain.in_flight(), 0);
    }

    #[test]
    fn closed_session_takes_no_relay_and_never_opens_again() {
        let drain = drain();
        close_below(&drain, 20);
        close_below(&drain, 10);
        assert!(drain.enter(Height(19)).is_none());
        assert!(drain.enter(Height(20)).is_some());
    }

    #[test]
    fn relay_of_a_sealed_session_is_not_claimable() {
        let drain = drain();
        let relay = drain.enter(Height(10)).unwrap();
        assert!(relay.is_claimable());
        drain.advance(Horizon {
            open_from: Height(20),
            claimable_from: Height(11),
            running_from: Height(20),
        });
        assert!(!relay.is_claimable());
    }

    fn at(height: i64, params: SharedParams) -> (i64, i64) {
        let params = Arc::new(params);
        let horizon = horizon(Height(height), |_| Some(params.clone())).unwrap();
        (horizon.open_from.0, horizon.claimable_from.0)
    }

    fn params(length: u64, grace: u64, claim_open: u64, claim_close: u64) -> SharedParams {
        SharedParams {
            num_blocks_per_session: length,
            grace_period_end_offset_blocks: grace,
            claim_window_open_offset_blocks: claim_open,
            claim_window_close_offset_blocks: claim_close,
            session_grid_anchor_height: 1,
            session_number_at_anchor: 1,
            ..Default::default()
        }
    }

    #[test]
    fn session_is_open_through_grace_and_claimable_until_shortly_before_its_window_closes() {
        // Ends at 10; grace until 11, claims in blocks 12 to 16.
        let params = || params(10, 1, 1, 4);
        assert_eq!(at(1, params()), (1, 1));
        assert_eq!(at(10, params()), (1, 1));
        assert_eq!(at(11, params()), (10, 10));
        assert_eq!(at(12, params()), (11, 10));
        assert_eq!(at(13, params()), (11, 10));
        assert_eq!(at(14, params()), (11, 11));
    }

    #[test]
    fn narrowest_window_still_leaves_all_of_grace() {
        // Ends at 4; grace until 5, claims in blocks 6 and 7.
        let params = || params(4, 1, 1, 1);
        assert_eq!(at(5, params()), (4, 4));
        assert_eq!(at(6, params()), (5, 5));
    }

    #[test]
    fn nothing_closes_without_parameters() {
        assert_eq!(horizon(Height(50), |_| None), None);
        assert_eq!(
            horizon(Height(0), |_| Some(Arc::new(params(4, 1, 1, 1))))
                .unwrap()
                .open_from,
            Height(0)
        );
    }

    #[test]
    fn grace_longer_than_a_session_keeps_several_open() {
        let params = params(4, 9, 9, 4);
        assert_eq!(at(13, params), (4, 4));
    }
}
