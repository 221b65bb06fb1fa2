//! Relayers that say nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pocket_store::Watermark;

/// Since when known relayers are silent, as far as one supplier's worker has seen it.
///
/// A watermark expires while Redis is away or its relayer is held up, though relays may wait there to be handed over.
/// Whoever starts to work a supplier in such a moment knows nothing of the outage: so a relayer that did not take its
/// leave is given the time to speak again, from when its silence was first seen.
#[derive(Default)]
pub(crate) struct Silences(HashMap<String, Instant>);

impl Silences {
    /// Takes note of who is silent at `now`. Gives those who have had their time.
    pub fn note(&mut self, silent: Vec<String>, now: Instant) -> Vec<String> {
        self.0.retain(|relayer, _| silent.contains(relayer));
        for relayer in silent {
            self.0.entry(relayer).or_insert(now);
        }
        let had = |since: &Instant| now.saturating_duration_since(*since) > PATIENCE;
        let dead = self.0.iter().filter(|(_, since)| had(since));
        let dead: Vec<String> = dead.map(|(relayer, _)| relayer.clone()).collect();
        self.0.retain(|relayer, _| !dead.contains(relayer));
        dead
    }

    /// One of those who may still speak.
    pub fn awaited(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }
}

/// Relayers write their watermarks many times in this.
const PATIENCE: Duration = Watermark::TTL;

#[cfg(test)]
mod tests {
    use super::*;

    fn silent() -> Vec<String> {
        vec!["a".to_owned()]
    }

    #[test]
    fn silent_relayer_is_awaited_before_it_is_dead() {
        let (mut silences, now) = (Silences::default(), Instant::now());
        assert_eq!(silences.note(silent(), now), [""; 0]);
        assert_eq!(silences.awaited(), Some("a"));
        assert_eq!(silences.note(silent(), now + PATIENCE), [""; 0]);
        assert_eq!(silences.note(silent(), now + PATIENCE * 2), ["a"]);
        assert_eq!(silences.awaited(), None);
    }

    #[test]
    fn relayer_that_spoke_in_between_has_its_time_again() {
        let (mut silences, now) = (Silences::default(), Instant::now());
        silences.note(silent(), now);
        silences.note(Vec::new(), now + PATIENCE);
        assert_eq!(silences.awaited(), None);
        assert_eq!(silences.note(silent(), now + PATIENCE * 2), [""; 0]);
        assert_eq!(silences.awaited(), Some("a"));
    }
}
