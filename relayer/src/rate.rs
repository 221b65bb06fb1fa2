//! So many a second, and some at once.

use std::time::Instant;

/// A bucket that fills with time.
#[derive(Debug)]
pub(crate) struct Bucket {
    left: f64,
    at: Instant,
    burst: f64,
    per_second: f64,
}

impl Bucket {
    /// A full one.
    pub fn new(burst: f64, per_second: f64, now: Instant) -> Self {
        Self {
            left: burst,
            at: now,
            burst,
            per_second,
        }
    }

    /// Takes one, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.left = (self.left + gained).min(self.burst);
        self.at = self.at.max(now);
        let has = self.left >= 1.0;
        if has {
            self.left -= 1.0;
        }
        has
    }

    /// Gives back one that was taken.
    pub fn put_back(&mut self) {
        self.left = (self.left + 1.0).min(self.burst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn bucket_fills_with_time_and_no_further_than_the_burst() {
        let now = Instant::now();
        let mut bucket = Bucket::new(256.0, 50.0, now);
        assert_eq!((0..1000).filter(|_| bucket.take(now)).count(), 256);
        let second = now + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| bucket.take(second)).count(), 50);
        // Time that goes back gives nothing.
        assert!(!bucket.take(now));
        bucket.put_back();
        assert!(bucket.take(second) && !bucket.take(second));
        let hour = now + Duration::from_hours(1);
        assert_eq!((0..1000).filter(|_| bucket.take(hour)).count(), 256);
    }
}
