//! How many relays are worked on at a time, of a service and in all. What comes on top is refused at once: a relay
//! that waits in a long line is lost to its gateway all the same, and costs memory besides.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Relays that are worked on, against a limit.
#[derive(Debug)]
pub(crate) struct Load {
    now: AtomicUsize,
    /// May change while relays are worked on.
    limit: AtomicUsize,
    /// What this one is a part of.
    whole: Option<Arc<Load>>,
}

impl Load {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            now: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            whole: None,
        })
    }

    /// A part of `self`, with a limit of its own.
    pub fn part(self: &Arc<Self>, limit: usize) -> Arc<Self> {
        Arc::new(Self {
            now: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            whole: Some(self.clone()),
        })
    }

    /// Another limit. Relays that are beyond it stay.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Relays that are worked on.
    pub fn now(&self) -> usize {
        // Who is about to be refused counts for a moment.
        self.now.load(Ordering::Relaxed).min(self.limit())
    }

    /// Most that are.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    pub fn is_full(&self) -> bool {
        self.now.load(Ordering::Relaxed) >= self.limit.load(Ordering::Relaxed)
    }

    /// A place for one relay, here and in the whole; `None` when one of them is full. Two atomic operations a relay.
    pub fn enter(self: &Arc<Self>) -> Option<Place> {
        if !self.step_in() {
            return None;
        }
        if let Some(whole) = &self.whole
            && !whole.step_in()
        {
            self.now.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Place(self.clone()))
    }

    fn step_in(&self) -> bool {
        let before = self.now.fetch_add(1, Ordering::Relaxed);
        if before >= self.limit.load(Ordering::Relaxed) {
            self.now.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        true
    }
}

/// A relay's place; dropped, it is free again.
#[must_use]
#[derive(Debug)]
pub(crate) struct Place(Arc<Load>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.now.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_limit_waits_for_relays_that_are_there() {
        let load = Load::new(2);
        let (first, second) = (load.enter(), load.enter());
        load.set_limit(1);
        drop(first);
        assert!(load.enter().is_none());
        drop(second);
        let third = load.enter();
        assert!(third.is_some() && load.enter().is_none());
        load.set_limit(2);
        assert!(load.enter().is_some());
    }

    #[test]
    fn one_service_cannot_take_what_another_has_and_both_not_more_than_the_whole() {
        let whole = Load::new(3);
        let (one, other) = (whole.part(2), whole.part(2));
        let (first, second) = (one.enter(), one.enter());
        assert!(first.is_some() && second.is_some() && one.enter().is_none());
        let third = other.enter();
        assert!(third.is_some() && other.enter().is_none());
        assert!(whole.is_full());
        drop(first);
        assert!(!whole.is_full());
        let fourth = other.enter();
        assert!(fourth.is_some() && one.enter().is_none());
        drop((second, third, fourth));
        assert_eq!(
            [&whole, &one, &other].map(|load| load.now.load(Ordering::Relaxed)),
            [0, 0, 0]
        );
    }
}
