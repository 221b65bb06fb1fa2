//! What came of reading the configuration again, for metrics and status.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use pocket_metrics::Registry;
use prometheus::{Gauge, IntCounterVec, IntGauge};

/// The outcome of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// The new configuration is in use.
    Applied,
    /// It is wrong, or needs a restart: the old one stays.
    Refused,
}

impl ReloadOutcome {
    /// The word for metrics and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}

/// The last attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastReload {
    /// When it ended.
    pub at: SystemTime,
    /// How it ended.
    pub outcome: ReloadOutcome,
    /// What changed, or why it was refused, for operators.
    pub message: String,
}

/// Counts attempts and remembers the last. Clones share it.
#[derive(Clone, Debug)]
pub struct Reloads {
    last: Arc<Mutex<Option<LastReload>>>,
    attempts: IntCounterVec,
    successful: IntGauge,
    succeeded_at: Gauge,
}

impl Reloads {
    /// Registers `ha_config_reloads_total{result}`, `ha_config_last_reload_successful` and
    /// `ha_config_last_reload_success_timestamp_seconds`. What a process starts with counts as successful.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let attempts = registry.counters(
            "ha_config_reloads_total",
            "How often the configuration was read again.",
            &["result"],
        )?;
        let successful = registry.gauge(
            "ha_config_last_reload_successful",
            "0: the configuration on disk is not in use, because it is wrong or needs a restart.",
        )?;
        let succeeded_at = registry.float_gauge(
            "ha_config_last_reload_success_timestamp_seconds",
            "When the configuration in use was read.",
        )?;
        for outcome in [ReloadOutcome::Applied, ReloadOutcome::Refused] {
            attempts.with_label_values(&[outcome.as_str()]);
        }
        successful.set(1);
        succeeded_at.set(seconds(SystemTime::now()));
        Ok(Self {
            last: Arc::default(),
            attempts,
            successful,
            succeeded_at,
        })
    }

    /// Notes an attempt that has just ended.
    pub fn note(&self, outcome: ReloadOutcome, message: impl Into<String>) {
        let at = SystemTime::now();
        self.attempts.with_label_values(&[outcome.as_str()]).inc();
        self.successful.set(i64::from(outcome != ReloadOutcome::Refused));
        if outcome != ReloadOutcome::Refused {
            self.succeeded_at.set(seconds(at));
        }
        let last = LastReload {
            at,
            outcome,
            message: message.into(),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    /// The last attempt; `None` before the first.
    pub fn last(&self) -> Option<LastReload> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_attempt_shows_until_one_succeeds() {
        let registry = Registry::new();
        let reloads = Reloads::register(&registry).unwrap();
        assert_eq!(reloads.last(), None);
        assert_eq!(reloads.successful.get(), 1);
        let began = reloads.succeeded_at.get();
        reloads.note(ReloadOutcome::Refused, "relayer.yaml:3:1: unknown key");
        assert_eq!(reloads.successful.get(), 0);
        assert!((reloads.succeeded_at.get() - began).abs() < f64::EPSILON);
        assert_eq!(reloads.last().unwrap().message, "relayer.yaml:3:1: unknown key");
        reloads.note(ReloadOutcome::Applied, "");
        assert_eq!(reloads.successful.get(), 1);
        assert_eq!(reloads.attempts.with_label_values(&["refused"]).get(), 1);
    }
}
