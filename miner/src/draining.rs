//! When every relay of a session that was ever answered is in its tree.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Instant;

use pocket_protocol::{Height, Windows};
use pocket_store::{SessionState, StoreError, StreamId};

use crate::error::WorkError;
use crate::silence::Silences;
use crate::worker::Worker;

/// What is known of a supplier's sessions that end.
#[derive(Default)]
pub(crate) struct Draining {
    /// By session end: the stream's last entry at a moment when no relayer could add another.
    drained_at: HashMap<Height, Drained>,
    silences: Silences,
}

#[derive(Clone, Copy, Debug)]
struct Drained {
    last: StreamId,
    connection: u64,
}

/// Relayers and stream at one moment, asked once for all sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// Relayers have and take no relay of sessions that end before; `None` while one of them may still speak.
    open_from: Option<Height>,
    /// What was appended last, after relayers were asked.
    last: StreamId,
    /// What no tree holds yet, asked after that. Entries are deleted when a tree holds them, whoever read which.
    oldest: Option<StreamId>,
    /// Which of the connections to Redis was asked, see [`Store::connections`](pocket_store::Store::connections). What
    /// one server said is no word about another that has taken its place.
    pub connection: u64,
}

impl Draining {
    /// Whether nothing can come any more of sessions that end at `end`, and all that came is in a tree.
    pub fn is_over(&mut self, end: Height, height: Height, windows: &Windows, sight: &Sight) -> bool {
        if height < windows.claim_open {
            return false;
        }
        // From the deadline on relayers refuse these relays, and one that says nothing is waited for no longer.
        let are_past = sight.open_from.is_some_and(|open_from| open_from > end) || height >= windows.seal_deadline();
        let now = Drained {
            last: sight.last,
            connection: sight.connection,
        };
        let drained = match self.drained_at.entry(end) {
            Entry::Occupied(known) if known.get().connection == sight.connection => *known.get(),
            Entry::Occupied(mut other) if are_past => {
                other.insert(now);
                now
            }
            Entry::Vacant(unknown) if are_past => *unknown.insert(now),
            _ => return false,
        };
        sight.oldest.is_none_or(|oldest| oldest > drained.last)
    }

    /// Looks anew whether sessions that end at `end` are drained.
    pub fn forget(&mut self, end: Height) {
        self.drained_at.remove(&end);
    }

    /// A relayer that is silent and may have relays still.
    pub fn awaited(&self) -> Option<&str> {
        self.silences.awaited()
    }

    /// Forgets all session ends but those.
    pub fn keep(&mut self, is_kept: impl Fn(Height) -> bool) {
        self.drained_at.retain(|end, _| is_kept(*end));
    }
}

impl Worker {
    /// Looks at relayers and stream if a session can be sealed at this height; nothing while Redis does not answer.
    pub(crate) async fn look_for_drained(&mut self, height: Height) -> Result<Option<Sight>, WorkError> {
        let is_wanted = self.sessions.values().any(|session| {
            session.record.state == SessionState::Active
                && session.windows.is_some_and(|windows| height >= windows.claim_open)
        });
        if !is_wanted {
            return Ok(None);
        }
        match self.sight().await {
            Ok(sight) => Ok(Some(sight)),
            Err(error) if error.is_transient() => {
                self.outages.note();
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn sight(&mut self) -> Result<Sight, StoreError> {
        let store = &self.deps.store.careful();
        let connection = store.connections();
        let relayers = store.relayers().await?;
        let dead = self.draining.silences.note(relayers.silent, Instant::now());
        if !dead.is_empty() {
            tracing::warn!(?dead, "relayers ended without a farewell");
            if let Err(error) = store.forget_relayers(&dead).await {
                tracing::debug!(%error, "silent relayers are forgotten later");
            }
        }
        let least = relayers.live.iter().min_by_key(|(_, mark)| mark.open_from);
        if let Some(relayer) = self.draining.silences.awaited() {
            tracing::debug!(relayer, "a silent relayer may not be done with sessions yet");
        } else if let Some((relayer, mark)) = least {
            tracing::trace!(relayer, open_from = %mark.open_from, "relayers are done with sessions before");
        }
        let is_silent = self.draining.silences.awaited().is_some() || !self.outages.are_over();
        let open_from = least.map_or(Height(i64::MAX), |(_, mark)| mark.open_from);
        let last = store.last_entry(&self.supplier).await?;
        let oldest = store.oldest_entry(&self.supplier).await?;
        let is_of_one_server = store.connections() == connection;
        Ok(Sight {
            open_from: (!is_silent && is_of_one_server).then_some(open_from),
            last,
            oldest,
            connection: store.connections(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Height = Height(10);
    const WINDOWS: Windows = Windows {
        grace_end: Height(11),
        claim_open: Height(12),
        claim_close: Height(32),
        proof_open: Height(32),
        proof_close: Height(40),
        seed: Height(31),
    };

    fn entry(milliseconds: u64) -> StreamId {
        StreamId {
            milliseconds,
            counter: 0,
        }
    }

    fn sight(open_from: Option<i64>, last: u64, oldest: Option<u64>) -> Sight {
        Sight {
            open_from: open_from.map(Height),
            last: entry(last),
            oldest: oldest.map(entry),
            connection: 1,
        }
    }

    #[test]
    fn session_is_drained_when_relayers_are_past_it_and_its_entries_are_in() {
        let mut draining = Draining::default();
        let mut is_over = |height, sight| draining.is_over(END, Height(height), &WINDOWS, &sight);
        assert!(!is_over(11, sight(Some(20), 5, None)), "its window is not open");
        assert!(
            !is_over(12, sight(Some(10), 5, None)),
            "a relayer has some of its relays"
        );
        assert!(!is_over(12, sight(None, 5, None)), "a relayer is silent");
        assert!(!is_over(12, sight(Some(20), 7, Some(6))), "an entry is not in");
        // What came later is of other sessions.
        assert!(is_over(12, sight(Some(20), 9, Some(8))));
    }

    #[test]
    fn what_a_server_said_is_forgotten_when_another_takes_its_place() {
        let mut draining = Draining::default();
        let mut is_over = |sight| draining.is_over(END, Height(12), &WINDOWS, &sight);
        assert!(!is_over(sight(Some(20), 7, Some(6))));
        // The other has an entry that the first never had, and a relayer that has not spoken there yet.
        let other = |open_from, last, oldest| Sight {
            connection: 2,
            ..sight(open_from, last, oldest)
        };
        assert!(!is_over(other(Some(10), 9, Some(8))));
        assert!(!is_over(other(Some(20), 9, Some(8))));
        assert!(is_over(other(Some(20), 9, None)));
    }

    #[test]
    fn from_the_deadline_on_only_the_stream_is_waited_for() {
        let mut draining = Draining::default();
        let mut is_over = |height, sight| draining.is_over(END, Height(height), &WINDOWS, &sight);
        assert!(!is_over(21, sight(Some(10), 7, None)));
        assert!(!is_over(22, sight(Some(10), 7, Some(7))));
        assert!(is_over(22, sight(None, 8, Some(8))));
    }
}
