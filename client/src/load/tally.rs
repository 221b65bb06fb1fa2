//! Counting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::report::{ErrorCount, Latencies, LoadReport, MeanCost, SessionCount};
use super::{Flight, Landing};
use crate::{ErrorKind, Mode, RelayError, RelaySession, SignedRelay};

/// What came of the relays so far. One task owns it.
pub(super) struct Tally {
    mode: Mode,
    latencies: Latencies,
    first_pieces: Latencies,
    pieces: u64,
    answered: u64,
    verified: u64,
    verifying: Duration,
    request_bytes: u64,
    answer_bytes: u64,
    backend_errors: BTreeMap<String, u64>,
    errors: BTreeMap<ErrorKind, ErrorCount>,
    /// Answered relays by supplier, of each session; the latest is last.
    sessions: Vec<(Arc<RelaySession>, Vec<u64>)>,
}

impl Tally {
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            latencies: Latencies::new(),
            first_pieces: Latencies::new(),
            pieces: 0,
            answered: 0,
            verified: 0,
            verifying: Duration::ZERO,
            request_bytes: 0,
            answer_bytes: 0,
            backend_errors: BTreeMap::new(),
            errors: BTreeMap::new(),
            sessions: Vec::new(),
        }
    }

    pub fn sent(&mut self, relay: &SignedRelay) {
        self.request_bytes += relay.bytes.len() as u64;
    }

    pub fn failed(&mut self, error: &RelayError) {
        let counted = self.errors.entry(error.kind()).or_insert_with(|| ErrorCount {
            count: 0,
            example: error.to_string(),
        });
        counted.count += 1;
    }

    pub fn add(&mut self, flight: Flight) {
        match flight.outcome {
            Ok(landing) => self.landed(&flight.relay, landing),
            Err(error) => self.failed(&error),
        }
    }

    fn landed(&mut self, relay: &SignedRelay, landing: Landing) {
        self.answered += 1;
        self.answer_bytes += landing.bytes as u64;
        self.latencies.record(landing.latency);
        self.first_pieces.record(landing.first);
        self.pieces += landing.pieces as u64;
        if let Some(took) = landing.verifying {
            self.verified += 1;
            self.verifying += took;
        }
        if let Some(error) = landing.backend_error {
            *self.backend_errors.entry(error).or_default() += 1;
        }
        self.of_session(relay.session())[relay.supplier_index()] += 1;
    }

    fn of_session(&mut self, session: &Arc<RelaySession>) -> &mut Vec<u64> {
        let known = self.sessions.iter().rposition(|(known, _)| Arc::ptr_eq(known, session));
        let position = known.unwrap_or_else(|| {
            self.sessions
                .push((session.clone(), vec![0; session.suppliers().len()]));
            self.sessions.len() - 1
        });
        &mut self.sessions[position].1
    }

    pub fn report(self, sent: u64, elapsed: Duration, waited: u64) -> LoadReport {
        let mut sessions: Vec<_> = self
            .sessions
            .iter()
            .flat_map(|(session, counts)| of_suppliers(session, counts))
            .collect();
        sessions.sort_unstable_by(|a, b| (a.end, &a.session_id, &a.supplier).cmp(&(b.end, &b.session_id, &b.supplier)));
        LoadReport {
            mode: self.mode,
            sent,
            answered: self.answered,
            verified: self.verified,
            errors: self
                .errors
                .into_iter()
                .map(|(kind, count)| (kind.to_string(), count))
                .collect(),
            backend_errors: self.backend_errors,
            sessions,
            seconds: elapsed.as_secs_f64(),
            relays_per_second: self.answered as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE),
            latency_ms: self.latencies.report(),
            pieces: self.pieces,
            first_piece_ms: self.first_pieces.report(),
            request_bytes: self.request_bytes,
            answer_bytes: self.answer_bytes,
            verifying: MeanCost::of(self.verifying, self.verified),
            waits_for_signatures: waited,
        }
    }
}

fn of_suppliers(session: &RelaySession, counts: &[u64]) -> impl Iterator<Item = SessionCount> {
    session
        .suppliers()
        .iter()
        .zip(counts)
        .map(|(supplier, &answered)| SessionCount {
            session_id: session.header().session_id.clone(),
            end: session.end(),
            supplier: supplier.address.clone(),
            answered,
        })
}
