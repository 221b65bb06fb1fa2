//! Asking again, but only when nothing is known.

use std::time::Duration;

use rand::Rng as _;

use crate::QueryError;

/// How often a query is asked, and how long to wait in between.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts in all, at least one.
    pub attempts: u32,
    /// The wait after the first failure; it doubles with each further one.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(2),
        }
    }
}

impl RetryPolicy {
    /// One attempt.
    pub(crate) const ONCE: Self = Self {
        attempts: 1,
        first_wait: Duration::ZERO,
        longest_wait: Duration::ZERO,
    };

    /// The wait after the given number of failures: half fixed, half random, so that callers who failed
    /// together do not come back together.
    pub fn wait_after(&self, failures: u32) -> Duration {
        let doubled = self.first_wait.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let ceiling = doubled.min(self.longest_wait);
        ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Runs `attempt` until it answers or refuses, or the attempts are used up.
    pub(crate) async fn run<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, QueryError>
    where
        F: Future<Output = Result<T, QueryError>>,
    {
        let mut failures = 0;
        loop {
            match attempt().await {
                Err(error) if error.is_transient() && failures + 1 < self.attempts => {
                    failures += 1;
                    tracing::debug!(%error, failures, "query is asked again");
                    tokio::time::sleep(self.wait_after(failures)).await;
                }
                outcome => return outcome,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: RetryPolicy = RetryPolicy {
        attempts: 3,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(2),
    };

    async fn count_attempts(error: QueryError) -> u32 {
        let mut attempts = 0;
        let outcome: Result<(), _> = FAST
            .run(|| {
                attempts += 1;
                std::future::ready(Err(error.clone()))
            })
            .await;
        assert_eq!(outcome, Err(error));
        attempts
    }

    #[tokio::test]
    async fn unavailable_is_asked_again_until_the_attempts_end() {
        assert_eq!(count_attempts(QueryError::Unavailable("down".into())).await, 3);
    }

    #[tokio::test]
    async fn answers_are_not_asked_again() {
        assert_eq!(count_attempts(QueryError::NotFound("x".into())).await, 1);
        assert_eq!(count_attempts(QueryError::Unimplemented("Claim")).await, 1);
    }

    #[test]
    fn wait_grows_up_to_its_limit_and_never_falls_below_half() {
        let policy = RetryPolicy::default();
        for failures in 1..40 {
            let wait = policy.wait_after(failures);
            assert!(wait <= policy.longest_wait && wait >= policy.first_wait / 2);
        }
        assert!(policy.wait_after(9) >= policy.longest_wait / 2);
    }
}
