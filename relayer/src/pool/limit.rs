//! A bound on what is under way to one host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// At most so many at once; others wait. A place that is free costs two atomic operations.
#[derive(Debug)]
pub(crate) struct Limit {
    most: u32,
    taken: AtomicU32,
    waiting: AtomicU32,
    freed: Notify,
}

/// A place under a limit, free again when dropped.
#[derive(Debug)]
pub(crate) struct Place(Option<Arc<Limit>>);

/// One that waits, also when it no longer wants to.
struct Waiting<'l>(&'l Limit);

impl Limit {
    /// `most` is at least 1.
    pub fn new(most: u32) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            taken: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            freed: Notify::new(),
        })
    }

    fn try_take(self: &Arc<Self>) -> Option<Place> {
        let free = |taken| (taken < self.most).then_some(taken + 1);
        // Ordered against `waiting` in `drop`: either the one who leaves sees the one who waits, or that one sees the
        // place.
        self.taken
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, free)
            .ok()
            .map(|_| Place(Some(self.clone())))
    }

    /// A place, at once if one is free: then `waited` is not called.
    pub async fn take(self: &Arc<Self>, waited: impl FnOnce()) -> Place {
        if let Some(place) = self.try_take() {
            return place;
        }
        waited();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(self);
        loop {
            let freed = self.freed.notified();
            if let Some(place) = self.try_take() {
                return place;
            }
            freed.await;
        }
    }
}

impl Place {
    /// Where there is no limit.
    pub fn unlimited() -> Self {
        Self(None)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(limit) = &self.0 {
            limit.taken.fetch_sub(1, Ordering::SeqCst);
            if limit.waiting.load(Ordering::SeqCst) > 0 {
                limit.freed.notify_one();
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        // It may have been told of a place and gone away: the next one is told instead.
        if self.0.waiting.load(Ordering::SeqCst) > 0 && self.0.taken.load(Ordering::SeqCst) < self.0.most {
            self.0.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_over_the_limit_waits_until_a_place_is_free() {
        let limit = Limit::new(2);
        let first = limit.take(|| panic!("waits")).await;
        let _second = limit.take(|| panic!("waits")).await;
        let mut has_waited = false;
        let mut third = Box::pin(limit.take(|| has_waited = true));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        drop(third.await);
        assert!(has_waited);
    }

    #[tokio::test]
    async fn place_offered_to_one_who_left_goes_to_the_next() {
        let limit = Limit::new(1);
        let held = limit.take(|| {}).await;
        let mut leaves = Box::pin(limit.take(|| {}));
        let mut stays = Box::pin(limit.take(|| {}));
        assert!((&mut leaves).now_or_never().is_none());
        assert!((&mut stays).now_or_never().is_none());
        drop(held);
        drop(leaves);
        drop(stays.await);
        assert_eq!(limit.taken.load(Ordering::SeqCst), 0);
        assert_eq!(limit.waiting.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn many_come_through_a_narrow_gate() {
        let limit = Limit::new(3);
        let tasks: Vec<_> = (0..200)
            .map(|_| {
                let limit = limit.clone();
                tokio::spawn(async move {
                    let _place = limit.take(|| {}).await;
                    assert!(limit.taken.load(Ordering::SeqCst) <= 3);
                    tokio::task::yield_now().await;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
}
