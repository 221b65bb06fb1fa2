//! The outcome of a load, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use pocket_protocol::{Height, SupplierAddress};
use serde::{Deserialize, Serialize};

use crate::Mode;

/// What came of a load. As JSON, each field under its name here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// What the backend spoke.
    pub mode: Mode,
    /// Relays that were started.
    pub sent: u64,
    /// Relays whose answer came and was believed: what a supplier should claim.
    pub answered: u64,
    /// Answered relays whose signature and payload hash were checked.
    pub verified: u64,
    /// Relays without such an answer, by kind: `answered` and these are `sent`.
    pub errors: BTreeMap<String, ErrorCount>,
    /// Answered relays whose backend told of an error: a status of 400 or more, or a JSON-RPC error.
    pub backend_errors: BTreeMap<String, u64>,
    /// Answered relays by session and supplier.
    pub sessions: Vec<SessionCount>,
    /// From the first start to the last end.
    pub seconds: f64,
    /// Answered relays a second.
    pub relays_per_second: f64,
    /// Latency of answered relays in milliseconds, to the answer's last byte.
    pub latency_ms: LatencyReport,
    /// Signed pieces of all answers: batches of streams, messages over `WebSocket`s; otherwise one each.
    pub pieces: u64,
    /// Latency to the first piece in milliseconds.
    pub first_piece_ms: LatencyReport,
    /// Bytes of all requests' bodies.
    pub request_bytes: u64,
    /// Bytes of answered relays' bodies.
    pub answer_bytes: u64,
    /// What reading and verifying an answer cost this program.
    pub verifying: MeanCost,
    /// How often a start had to wait for a signature: above a few, this program was the bottleneck.
    pub waits_for_signatures: u64,
}

/// How many, and one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// How many.
    pub count: u64,
    /// The first one's text.
    pub example: String,
}

/// The answered relays of one supplier in one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCount {
    /// The session.
    pub session_id: String,
    /// Its last block.
    pub end: Height,
    /// The supplier.
    pub supplier: SupplierAddress,
    /// How many.
    pub answered: u64,
}

/// Milliseconds; all zero if there was no answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct LatencyReport {
    pub min: f64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// A mean over many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeanCost {
    /// Over how many.
    pub count: u64,
    /// The mean, in microseconds of wall clock.
    pub mean_us: f64,
}

impl LoadReport {
    /// Whether every relay was answered, and no backend told of an error.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.backend_errors.is_empty() && self.answered == self.sent
    }
}

/// Latencies to three digits, from a microsecond to the longest that a relay may take.
pub(super) struct Latencies(Histogram<u64>);

impl Latencies {
    /// More than the longest timeout of the command; what is longer counts as this.
    const LONGEST: Duration = Duration::from_hours(2);

    pub fn new() -> Self {
        // With bounds of its own: one that grows would not grow for a saturating record.
        let longest = Self::LONGEST.as_micros() as u64;
        Self(Histogram::new_with_bounds(1, longest, 3).expect("three digits between bounds in order"))
    }

    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_micros() as u64);
    }

    pub fn report(&self) -> LatencyReport {
        let latencies = &self.0;
        if latencies.is_empty() {
            return LatencyReport::default();
        }
        let at = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
        LatencyReport {
            min: latencies.min() as f64 / 1000.0,
            mean: latencies.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: latencies.max() as f64 / 1000.0,
        }
    }
}

impl MeanCost {
    pub(super) fn of(total: Duration, count: u64) -> Self {
        let mean_us = if count == 0 {
            0.0
        } else {
            total.as_secs_f64() * 1e6 / count as f64
        };
        Self { count, mean_us }
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "relays     {} sent, {} answered, {} verified ({})",
            self.sent, self.answered, self.verified, self.mode
        )?;
        writeln!(
            f,
            "rate       {:.1} answered a second for {:.2} s",
            self.relays_per_second, self.seconds
        )?;
        writeln!(f, "latency    {} ms", self.latency_ms)?;
        if self.pieces > self.answered {
            writeln!(f, "pieces     {}, each signed", self.pieces)?;
            writeln!(f, "to first   {} ms", self.first_piece_ms)?;
        }
        writeln!(
            f,
            "bytes      {} requested, {} answered",
            self.request_bytes, self.answer_bytes
        )?;
        writeln!(
            f,
            "this side  {:.0} us to verify, {} waits for a signature",
            self.verifying.mean_us, self.waits_for_signatures
        )?;
        for (kind, error) in &self.errors {
            writeln!(f, "error      {} x {kind}: {}", error.count, error.example)?;
        }
        for (kind, count) in &self.backend_errors {
            writeln!(f, "backend    {count} x {kind}")?;
        }
        for session in &self.sessions {
            let id = session.session_id.get(..16).unwrap_or(&session.session_id);
            writeln!(
                f,
                "session    {id} to {}: {} answered by {}",
                session.end, session.answered, session.supplier
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for LatencyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            min,
            mean,
            p50,
            p90,
            p95,
            p99,
            p999,
            max,
        } = self;
        write!(
            f,
            "p50 {p50:.2}, p90 {p90:.2}, p95 {p95:.2}, p99 {p99:.2}, p99.9 {p999:.2}; min {min:.2}, mean {mean:.2}, max {max:.2}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::new();
        for milliseconds in 1..=1000 {
            latencies.record(Duration::from_millis(milliseconds));
        }
        let report = latencies.report();
        for (found, expected) in [
            (report.min, 1.0),
            (report.mean, 500.5),
            (report.p50, 500.0),
            (report.p99, 990.0),
            (report.max, 1000.0),
        ] {
            assert!(
                (found - expected).abs() <= expected / 500.0,
                "{found} is not {expected}"
            );
        }
    }

    #[test]
    fn longest_timeout_is_recorded_and_what_is_beyond_is_the_longest() {
        for (seconds, expected) in [(3600, 3_600_000.0), (1_000_000, 7_200_000.0)] {
            let mut latencies = Latencies::new();
            latencies.record(Duration::from_secs(seconds));
            let found = latencies.report().p50;
            assert!(
                (found - expected).abs() <= expected / 500.0,
                "{found} is not {expected}"
            );
        }
    }

    #[test]
    fn report_of_nothing_has_numbers_that_json_can_carry() {
        let report = LoadReport {
            mode: Mode::Rest,
            sent: 0,
            answered: 0,
            verified: 0,
            errors: BTreeMap::new(),
            backend_errors: BTreeMap::new(),
            sessions: Vec::new(),
            seconds: 0.0,
            relays_per_second: 0.0,
            latency_ms: Latencies::new().report(),
            pieces: 0,
            first_piece_ms: Latencies::new().report(),
            request_bytes: 0,
            answer_bytes: 0,
            verifying: MeanCost::of(Duration::ZERO, 0),
            waits_for_signatures: 0,
        };
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<LoadReport>(&json).unwrap(), report);
    }
}
