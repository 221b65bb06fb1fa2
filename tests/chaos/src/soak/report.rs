//! What came of a soak.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::chain::RealChain;
use super::{NOT_DONE, SoakSettings};
use crate::verdict::{Audit, Verdict};

/// Sums, and all that was wrong.
#[derive(Clone, Debug)]
pub struct Report {
    seed: u64,
    minutes: u64,
    began: Instant,
    first_block: i64,
    last_block: i64,
    /// Sessions that are judged, by their last block.
    sessions: u64,
    /// Those without an answered relay.
    idle: u64,
    sum: Verdict,
    refused: usize,
    /// How often each kind of fault struck.
    struck: BTreeMap<String, u64>,
    earned: u128,
    claims_to_prove: usize,
    /// Empty if nothing was lost.
    pub faults: Vec<String>,
}

impl Report {
    pub(super) fn new(settings: &SoakSettings, height: i64) -> Self {
        Self {
            seed: settings.seed,
            minutes: settings.minutes,
            began: Instant::now(),
            first_block: height,
            last_block: height,
            sessions: 0,
            idle: 0,
            sum: Verdict::default(),
            refused: 0,
            struck: BTreeMap::new(),
            earned: 0,
            claims_to_prove: 0,
            faults: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, end: i64, audit: Audit) {
        self.sessions += 1;
        self.idle += u64::from(audit.sum.answered == 0 && audit.faults.is_empty());
        self.sum += audit.sum;
        self.refused += audit.refused;
        let faults = audit.faults.into_iter();
        self.faults.extend(faults.map(|fault| format!("block {end}, {fault}")));
    }

    /// A fault's words are its victim, its number and what was done.
    pub(super) fn struck(&mut self, what: &str) {
        if what.contains(NOT_DONE) {
            return;
        }
        let words = what.split(',').next().unwrap_or_default();
        let words = words.split(" for ").next().unwrap_or_default();
        let words = words.split_whitespace().filter(|word| word.parse::<u32>().is_err());
        let kind = words.collect::<Vec<_>>().join(" ");
        *self.struck.entry(kind).or_default() += 1;
    }

    pub(super) fn close(&mut self, chain: &RealChain) {
        self.last_block = chain.height().0;
        self.earned = chain.earned();
        self.claims_to_prove = chain.claims_to_prove();
        // While Redis is away beyond its bound nothing is served; but sessions last longer than that.
        if self.sum.answered == 0 || self.idle * 10 > self.sessions {
            let (idle, sessions) = (self.idle, self.sessions);
            self.faults
                .push(format!("no relay was answered in {idle} of {sessions} sessions"));
        }
    }

    pub(super) fn so_far(&self) -> String {
        let Verdict {
            answered,
            claims,
            proven,
            ..
        } = self.sum;
        format!(
            "{} sessions settled: {answered} relays in {claims} claims, {proven} proven, {} failed",
            self.sessions,
            self.faults.len()
        )
    }

    /// Whether every answered relay was claimed once and every claim got what it needed.
    pub fn is_passed(&self) -> bool {
        self.faults.is_empty()
    }

    /// The summary line.
    pub fn to_json(&self) -> Value {
        json!({
            "seed": self.seed,
            "minutes": self.minutes,
            "seconds": self.began.elapsed().as_secs(),
            "blocks": self.last_block - self.first_block,
            "struck": self.struck,
            "sessions": self.sessions,
            "sessions_without_answers": self.idle,
            "relays_answered_and_claimed": self.sum.answered,
            "relays_claimed_whose_answer_was_lost": self.sum.unanswered,
            "relays_refused": self.refused,
            "claims": self.sum.claims,
            "claims_to_prove": self.claims_to_prove,
            "claims_proven": self.sum.proven,
            "earned_upokt": u64::try_from(self.earned).unwrap_or(u64::MAX),
            "failures": self.faults,
            "passed": self.is_passed(),
        })
    }
}
