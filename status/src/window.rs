use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// By so much a tick may come early.
const MOMENT: Duration = Duration::from_millis(100);

/// What was seen at moments of the recent past, so that it can be told how much it grew since.
#[derive(Clone, Debug)]
pub struct Window<T> {
    every: Duration,
    keep: usize,
    samples: VecDeque<(Instant, T)>,
}

impl<T> Window<T> {
    /// Keeps a sample every `every`, back to `span` at least.
    pub fn new(span: Duration, every: Duration) -> Self {
        let keep = span.as_nanos().div_ceil(every.as_nanos().max(1)) as usize + 1;
        Self {
            every,
            keep,
            samples: VecDeque::with_capacity(keep),
        }
    }

    /// Takes note of a sample, unless the last one is newer than `every`.
    pub fn push(&mut self, now: Instant, sample: T) {
        // A tick that comes a moment early is not to be left out.
        let due = self.every.saturating_sub(MOMENT);
        if self
            .samples
            .back()
            .is_some_and(|(last, _)| now.saturating_duration_since(*last) < due)
        {
            return;
        }
        if self.samples.len() == self.keep {
            self.samples.pop_front();
        }
        self.samples.push_back((now, sample));
    }

    /// The oldest sample, and how long ago that is; nothing before the first.
    pub fn oldest(&self, now: Instant) -> Option<(Duration, &T)> {
        let (at, sample) = self.samples.front()?;
        Some((now.saturating_duration_since(*at), sample))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn oldest_sample_is_as_old_as_the_window() {
        let (mut window, start) = (Window::new(after(10), after(1)), Instant::now());
        assert_eq!(window.oldest(start), None);
        for second in 0..=25 {
            window.push(start + after(second), second);
        }
        assert_eq!(window.oldest(start + after(25)), Some((after(10), &15)));
    }

    #[test]
    fn samples_that_come_too_soon_are_left_out() {
        let (mut window, start) = (Window::new(after(60), after(10)), Instant::now());
        for second in 0..=64 {
            window.push(start + after(second), second);
        }
        assert_eq!(window.samples.len(), 7);
        assert_eq!(window.oldest(start + after(64)), Some((after(64), &0)));
    }
}
