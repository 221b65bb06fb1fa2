//! Whether an endpoint may be asked: its circuit breaker, its probes, its ejection.
//!
//! The breaker is closed (relays go through), open (none do), or half-open: once its time is over one relay tries, and
//! what comes of that relay decides. Rule: spec `relay.md` §5.5; the peer lets all relays through after that time.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::Moment;

/// When a breaker opens and tries again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HealthRules {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it then stays open; `None` until a probe succeeds.
    pub recovery: Option<Duration>,
}

impl HealthRules {
    fn recovery_nanos(&self) -> u64 {
        self.recovery.map_or(NEVER, |time| time.as_nanos() as u64)
    }
}

/// What an endpoint is, for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Relays go to it.
    Closed,
    /// No relay does: it failed too often in a row.
    Open,
    /// The next relay tries it.
    HalfOpen,
    /// Its probes fail.
    Down,
    /// It was worse than the others.
    Ejected,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Closed, Self::Open, Self::HalfOpen, Self::Down, Self::Ejected];

    /// A metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Down => "down",
            Self::Ejected => "ejected",
        }
    }
}

/// `opened` of a closed breaker.
const CLOSED: Moment = 0;
/// A moment that never comes.
const NEVER: Moment = Moment::MAX;

/// How a relay came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Ordinary,
    /// Through a half-open breaker, which is held until then.
    Trial(Moment),
}

#[derive(Debug)]
pub(super) struct Health {
    /// [`HealthRules::failures`].
    failures_allowed: AtomicU32,
    /// [`HealthRules::recovery`] in nanoseconds, or [`NEVER`].
    recovery: AtomicU64,
    /// In a row.
    failures: AtomicU32,
    /// [`CLOSED`], or the moment from which a relay may try.
    retry_at: AtomicU64,
    /// By the word of its probes, which alone take it back.
    is_down: AtomicBool,
    ejected_until: AtomicU64,
}

impl Health {
    pub fn new(rules: HealthRules) -> Self {
        Self {
            failures_allowed: AtomicU32::new(rules.failures),
            recovery: AtomicU64::new(rules.recovery_nanos()),
            failures: AtomicU32::new(0),
            retry_at: AtomicU64::new(CLOSED),
            is_down: AtomicBool::new(false),
            ejected_until: AtomicU64::new(0),
        }
    }

    /// Whether nothing at all speaks against it. Without a clock: an ejection counts until it is over and was seen.
    pub fn is_closed(&self) -> bool {
        self.retry_at.load(Ordering::Relaxed) == CLOSED
            && !self.is_down.load(Ordering::Relaxed)
            && self.ejected_until.load(Ordering::Relaxed) == 0
    }

    pub fn may_enter(&self, now: Moment) -> bool {
        matches!(self.state(now), State::Closed | State::HalfOpen)
    }

    pub fn state(&self, now: Moment) -> State {
        if self.is_down.load(Ordering::Relaxed) {
            return State::Down;
        }
        match self.retry_at.load(Ordering::Relaxed) {
            CLOSED if self.ejected_until.load(Ordering::Relaxed) > now => State::Ejected,
            CLOSED => State::Closed,
            retry_at if retry_at > now => State::Open,
            _ => State::HalfOpen,
        }
    }

    /// Lets a relay in, or not. Of those that come to a half-open breaker one gets in.
    pub fn enter(&self, now: Moment) -> Option<Entry> {
        match self.state(now) {
            State::Closed => Some(Entry::Ordinary),
            State::HalfOpen => {
                let due = self.retry_at.load(Ordering::Relaxed);
                if due == CLOSED {
                    return Some(Entry::Ordinary);
                }
                let held = self.next_try(now);
                let taken = due <= now
                    && self
                        .retry_at
                        .compare_exchange(due, held, Ordering::Relaxed, Ordering::Relaxed)
                        .is_ok();
                taken.then_some(Entry::Trial(held))
            }
            State::Open | State::Down | State::Ejected => None,
        }
    }

    /// Goes by other rules from now on; a breaker that is open already is tried no later than by them.
    pub fn set_rules(&self, rules: HealthRules, now: Moment) {
        self.failures_allowed.store(rules.failures, Ordering::Relaxed);
        self.recovery.store(rules.recovery_nanos(), Ordering::Relaxed);
        let (open, sooner) = (self.retry_at.load(Ordering::Relaxed), self.next_try(now));
        if open != CLOSED && sooner < open {
            let _ = self
                .retry_at
                .compare_exchange(open, sooner, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn next_try(&self, now: Moment) -> Moment {
        // Saturates at `NEVER`.
        now.saturating_add(self.recovery.load(Ordering::Relaxed))
            .max(CLOSED + 1)
    }

    pub fn succeeded(&self, entry: Entry) {
        match entry {
            // Mostly there is nothing to write, and so no cache line to fetch.
            Entry::Ordinary if self.failures.load(Ordering::Relaxed) == 0 => {}
            // Relays that began before the breaker opened do not close it.
            Entry::Ordinary if self.retry_at.load(Ordering::Relaxed) != CLOSED => {}
            Entry::Ordinary => self.failures.store(0, Ordering::Relaxed),
            Entry::Trial(_) => {
                self.failures.store(0, Ordering::Relaxed);
                self.retry_at.store(CLOSED, Ordering::Relaxed);
            }
        }
    }

    pub fn failed(&self, entry: Entry, now: Moment) {
        let in_a_row = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let retry_at = self.next_try(now);
        match entry {
            Entry::Trial(_) => self.retry_at.store(retry_at, Ordering::Relaxed),
            Entry::Ordinary if in_a_row >= self.failures_allowed.load(Ordering::Relaxed) => {
                // It may be open already: then its time does not start anew.
                let _ = self
                    .retry_at
                    .compare_exchange(CLOSED, retry_at, Ordering::Relaxed, Ordering::Relaxed);
            }
            Entry::Ordinary => {}
        }
    }

    /// Nothing was learnt: the next relay may try.
    pub fn given_back(&self, entry: Entry, now: Moment) {
        if let Entry::Trial(held) = entry {
            let _ = self
                .retry_at
                .compare_exchange(held, now.max(CLOSED + 1), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// What enough probes in a row say. Good ones take the endpoint back; an open breaker may then try at once.
    pub fn probed(&self, is_down: bool, now: Moment) {
        self.is_down.store(is_down, Ordering::Relaxed);
        let retry_at = self.retry_at.load(Ordering::Relaxed);
        if !is_down && retry_at != CLOSED && retry_at > now {
            let _ = self
                .retry_at
                .compare_exchange(retry_at, now.max(CLOSED + 1), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Nobody probes any more: what probes said no longer counts.
    pub fn forget_probes(&self) {
        self.is_down.store(false, Ordering::Relaxed);
    }

    pub fn eject(&self, until: Moment) {
        self.ejected_until.store(until, Ordering::Relaxed);
    }

    /// Forgets an ejection that is over; `true` when there was one.
    pub fn readmit(&self, now: Moment) -> bool {
        let until = self.ejected_until.load(Ordering::Relaxed);
        until != 0
            && until <= now
            && self
                .ejected_until
                .compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Moment = 1_000_000_000;

    fn health(failures: u32, recovery: Option<u64>) -> Health {
        Health::new(HealthRules {
            failures,
            recovery: recovery.map(Duration::from_secs),
        })
    }

    fn opened() -> Health {
        let health = health(2, Some(30));
        for _ in 0..2 {
            let entry = health.enter(SECOND).unwrap();
            health.failed(entry, SECOND);
        }
        health
    }

    #[test]
    fn breaker_opens_after_failures_in_a_row_only() {
        let health = health(2, Some(30));
        for _ in 0..3 {
            health.failed(Entry::Ordinary, SECOND);
            assert!(health.is_closed());
            health.succeeded(Entry::Ordinary);
        }
        health.failed(Entry::Ordinary, SECOND);
        health.failed(Entry::Ordinary, SECOND);
        assert_eq!(health.state(SECOND), State::Open);
        assert_eq!(health.enter(SECOND), None);
    }

    #[test]
    fn open_breaker_lets_one_relay_try_and_its_success_closes_it() {
        let health = opened();
        assert_eq!(health.enter(31 * SECOND - 1), None);
        assert_eq!(health.state(31 * SECOND), State::HalfOpen);
        let trial = health.enter(31 * SECOND).unwrap();
        assert_ne!(trial, Entry::Ordinary);
        assert_eq!(health.enter(31 * SECOND), None);
        health.succeeded(trial);
        assert_eq!(health.enter(31 * SECOND), Some(Entry::Ordinary));
        // It takes as many failures as at first to open it again.
        health.failed(Entry::Ordinary, 31 * SECOND);
        assert!(health.is_closed());
    }

    #[test]
    fn failed_trial_opens_it_again_for_the_whole_time() {
        let health = opened();
        let trial = health.enter(31 * SECOND).unwrap();
        health.failed(trial, 32 * SECOND);
        assert_eq!(health.enter(61 * SECOND), None);
        assert!(health.enter(62 * SECOND).is_some());
    }

    #[test]
    fn trial_that_teaches_nothing_is_given_to_the_next_relay() {
        let health = opened();
        let trial = health.enter(31 * SECOND).unwrap();
        health.given_back(trial, 32 * SECOND);
        assert!(matches!(health.enter(32 * SECOND), Some(Entry::Trial(_))));
    }

    #[test]
    fn relay_from_before_neither_closes_nor_prolongs_an_open_breaker() {
        let health = opened();
        health.succeeded(Entry::Ordinary);
        assert_eq!(health.state(2 * SECOND), State::Open);
        health.failed(Entry::Ordinary, 20 * SECOND);
        assert_eq!(health.state(31 * SECOND), State::HalfOpen);
    }

    #[test]
    fn without_recovery_only_a_good_probe_lets_a_relay_try() {
        let health = health(1, None);
        health.failed(Entry::Ordinary, SECOND);
        assert_eq!(health.state(NEVER - 1), State::Open);
        health.probed(false, 5 * SECOND);
        assert!(matches!(health.enter(5 * SECOND), Some(Entry::Trial(_))));
    }

    #[test]
    fn what_probes_took_out_relays_do_not_bring_back() {
        let health = health(1, Some(1));
        health.probed(true, SECOND);
        health.succeeded(Entry::Ordinary);
        assert_eq!(health.enter(100 * SECOND), None);
        health.probed(false, 100 * SECOND);
        assert_eq!(health.enter(100 * SECOND), Some(Entry::Ordinary));
    }

    #[test]
    fn ejection_ends_by_itself() {
        let health = health(1, Some(1));
        health.eject(5 * SECOND);
        assert_eq!(health.enter(4 * SECOND), None);
        assert_eq!(health.enter(5 * SECOND), Some(Entry::Ordinary));
        assert!(!health.readmit(4 * SECOND));
        assert!(health.readmit(5 * SECOND));
        assert!(health.is_closed());
    }
}
