use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The process that tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// The program's version.
    pub version: String,
    /// When it began to work, RFC 3339.
    pub started_at: String,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// The configuration file; nothing where there is none.
    pub config: Option<String>,
}

impl Process {
    /// A process that began to work at `started_at`.
    pub fn since(started_at: OffsetDateTime, now: OffsetDateTime) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: started_at.format(&Rfc3339).unwrap_or_default(),
            uptime_seconds: u64::try_from((now - started_at).whole_seconds()).unwrap_or(0),
            config: None,
        }
    }
}

/// The chain as the process sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chain {
    /// Newest block seen; 0 before the first.
    pub height: i64,
    /// Seconds since the time in that block's header, by this machine's clock: how far the chain or its node lags.
    pub block_age_seconds: Option<f64>,
    /// Seconds since the node last said anything.
    pub node_silent_seconds: f64,
}

/// Redis as the process sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Redis {
    /// Whether it answered the last time it was asked, which is every second.
    pub reachable: bool,
    /// How long that took, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// Why it did not answer.
    pub error: Option<String>,
}

/// How often something happens, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rate {
    /// Over the last ten seconds.
    pub last_10s: f64,
    /// Over the last minute.
    pub last_1m: f64,
}

impl Rate {
    /// From how much a count grew in about ten seconds and in about a minute.
    pub fn of(short: (Duration, u64), long: (Duration, u64)) -> Self {
        let each = |(time, count): (Duration, u64)| {
            let seconds = time.as_secs_f64();
            if seconds > 0.0 {
                rounded(count as f64 / seconds)
            } else {
                0.0
            }
        };
        Self {
            last_10s: each(short),
            last_1m: each(long),
        }
    }
}

/// To a thousandth: the rest would be noise to read.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// How much a count grew in each of the last seconds.
#[derive(Clone, Debug, Default)]
pub struct History {
    last: Option<(Instant, u64)>,
    seconds: VecDeque<u64>,
}

impl History {
    /// Seconds that are kept.
    pub const SECONDS: usize = 60;

    /// Takes note of a count. To be called about once a second: a call that comes late counts for the seconds that it
    /// missed too.
    pub fn note(&mut self, now: Instant, count: u64) {
        if let Some((before, was)) = self.last {
            let seconds =
                (now.saturating_duration_since(before).as_secs_f64().round() as usize).clamp(1, Self::SECONDS);
            let grown = count.saturating_sub(was);
            for part in 0..seconds as u64 {
                // The whole is kept: what does not divide falls to the last.
                let whole = seconds as u64;
                self.seconds
                    .push_back(grown * (part + 1) / whole - grown * part / whole);
            }
            let excess = self.seconds.len().saturating_sub(Self::SECONDS);
            self.seconds.drain(..excess);
        }
        self.last = Some((now, count));
    }

    /// Oldest first.
    pub fn seconds(&self) -> Vec<u64> {
        self.seconds.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_growth_over_time_and_nothing_before_time_passed() {
        let rate = Rate::of((Duration::from_secs(10), 25), (Duration::ZERO, 25));
        assert_eq!((rate.last_10s, rate.last_1m), (2.5, 0.0));
    }

    #[test]
    fn history_keeps_the_whole_when_a_second_is_missed() {
        let (mut history, start) = (History::default(), Instant::now());
        for (second, count) in [(0, 100), (1, 103), (4, 113)] {
            history.note(start + Duration::from_secs(second), count);
        }
        assert_eq!(history.seconds(), [3, 3, 3, 4]);
    }

    #[test]
    fn history_is_bounded() {
        let (mut history, start) = (History::default(), Instant::now());
        for second in 0..200 {
            history.note(start + Duration::from_secs(second), second);
        }
        assert_eq!(history.seconds(), [1; History::SECONDS]);
    }

    #[test]
    fn process_says_when_it_began() {
        let began = OffsetDateTime::UNIX_EPOCH;
        let process = Process::since(began, began + Duration::from_secs(61));
        assert_eq!(
            (&*process.started_at, process.uptime_seconds),
            ("1970-01-01T00:00:00Z", 61)
        );
        assert_eq!(process.version, env!("CARGO_PKG_VERSION"));
    }
}
