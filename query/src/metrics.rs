//! What is counted of the hop to the node: each attempt with its outcome and time, and what the caches spare it.

use std::time::Duration;

use pocket_metrics::Registry;
use pocket_metrics::prometheus::{self, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use pocket_metrics::seconds::REMOTE;

use crate::QueryError;
use crate::nodes::NodeSeries;

/// What a [`ChainClient`](crate::ChainClient) counts, under the Go peer's names. The default counts unseen.
#[derive(Clone, Debug)]
pub struct QueryMetrics {
    queries: IntCounterVec,
    durations: HistogramVec,
    chain_queries: IntCounterVec,
    chain_errors: IntCounterVec,
    chain_durations: HistogramVec,
    hits: IntCounterVec,
    misses: IntCounterVec,
    sizes: IntGaugeVec,
    level_hits: IntCounterVec,
    level_misses: IntCounterVec,
    difficulty: IntGaugeVec,
    height: IntGauge,
    pub(crate) nodes: NodeSeries,
}

/// What one cache counts.
#[derive(Clone, Debug)]
pub(crate) struct CacheMetrics {
    hits: [IntCounter; 2],
    misses: [IntCounter; 2],
    size: IntGauge,
}

impl Default for QueryMetrics {
    fn default() -> Self {
        Self::register(&Registry::new()).expect("a new registry has no metric of this name")
    }
}

impl QueryMetrics {
    /// Registers all metrics; fails if they are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let (by_status, by_type) = (&["query_type", "status"], &["query_type"]);
        let (by_cache, by_level) = (&["client", "cache_type"], &["cache_type", "level"]);
        Ok(Self {
            queries: registry.counters(
                "ha_observability_onchain_queries_total",
                "Attempts to ask the chain's node. Status `success` counts an honest no, too.",
                by_status,
            )?,
            durations: registry.histograms(
                "ha_observability_onchain_query_duration_seconds",
                "How long the chain's node took, for each attempt.",
                by_status,
                &REMOTE,
            )?,
            chain_queries: registry.counters(
                "ha_cache_chain_queries_total",
                "Attempts to ask the chain's node.",
                by_type,
            )?,
            chain_errors: registry.counters(
                "ha_cache_chain_query_errors_total",
                "Attempts to ask the chain's node that failed or were refused.",
                by_type,
            )?,
            chain_durations: registry.histograms(
                "ha_cache_chain_query_latency_seconds",
                "How long the chain's node took, for each attempt.",
                by_type,
                &REMOTE,
            )?,
            hits: registry.counters(
                "ha_query_cache_hits_total",
                "Questions that were answered from memory.",
                by_cache,
            )?,
            misses: registry.counters(
                "ha_query_cache_misses_total",
                "Questions for which the chain was asked.",
                by_cache,
            )?,
            sizes: registry.gauges("ha_query_cache_size", "Answers that are kept in memory.", by_cache)?,
            level_hits: registry.counters(
                "ha_cache_hits_total",
                "Questions that were answered from memory, which is level `l1`.",
                by_level,
            )?,
            level_misses: registry.counters(
                "ha_cache_misses_total",
                "Questions for which the chain was asked, which is level `l3`.",
                by_level,
            )?,
            difficulty: registry.gauges(
                "ha_query_relay_mining_difficulty_target_bits",
                "Leading zero bits of the service's difficulty target: about one relay in two to their power is mined.",
                &["service_id"],
            )?,
            height: registry.gauge(
                "ha_cache_current_block_height",
                "Highest block that any answer of the chain spoke of.",
            )?,
            nodes: NodeSeries::register(registry)?,
        })
    }

    /// Counts one attempt.
    pub(crate) fn asked(&self, method: &str, took: Duration, error: Option<&QueryError>) {
        let (kind, took) = (query_type(method), took.as_secs_f64());
        let status = status(error);
        self.queries.with_label_values(&[kind, status]).inc();
        self.durations.with_label_values(&[kind, status]).observe(took);
        self.chain_queries.with_label_values(&[kind]).inc();
        self.chain_durations.with_label_values(&[kind]).observe(took);
        if status != "success" {
            self.chain_errors.with_label_values(&[kind]).inc();
        }
    }

    /// The counts of one cache: the peer has two names for it.
    pub(crate) fn cache(&self, client: &str, cache_type: &str, name: &str) -> CacheMetrics {
        let labels = [client, cache_type];
        CacheMetrics {
            hits: [
                self.hits.with_label_values(&labels),
                self.level_hits.with_label_values(&[name, "l1"]),
            ],
            misses: [
                self.misses.with_label_values(&labels),
                self.level_misses.with_label_values(&[name, "l3"]),
            ],
            size: self.sizes.with_label_values(&labels),
        }
    }

    /// Shows how far the chain is.
    pub(crate) fn height(&self, height: i64) {
        self.height.set(height);
    }

    /// Shows how hard a service is to mine.
    pub(crate) fn difficulty(&self, service: &str, target: &[u8; 32]) {
        let whole = target.iter().take_while(|byte| **byte == 0).count();
        let part = target.get(whole).map_or(0, |byte| byte.leading_zeros());
        let bits = whole as i64 * 8 + i64::from(part);
        self.difficulty.with_label_values(&[service]).set(bits);
    }
}

impl CacheMetrics {
    pub fn hit(&self) {
        self.hits.iter().for_each(IntCounter::inc);
    }

    /// Counts a question that goes on to the chain, and how many answers are kept.
    pub fn missed(&self, kept: u64) {
        self.misses.iter().for_each(IntCounter::inc);
        self.size.set(kept as i64);
    }
}

fn status(error: Option<&QueryError>) -> &'static str {
    match error {
        None | Some(QueryError::NotFound(_)) => "success",
        Some(QueryError::Refused { .. }) => "refused",
        Some(_) => "error",
    }
}

/// The peer's word for what a method or path asks; there are only these.
fn query_type(method: &str) -> &'static str {
    match method.split('?').next().unwrap_or_default() {
        "application.Application" => "application",
        "auth.AccountInfo" => "account",
        "bank.Balance" => "balance",
        "proof.AllClaims" => "claims",
        "proof.Claim" => "claim",
        "proof.Params" => "proof_params",
        "service.ComputeUnitsPerRelayAtHeight" => "compute_units",
        "service.RelayMiningDifficultyAtHeight" => "difficulty",
        "service.Service" => "service",
        "session.GetSession" => "session",
        "session.Params" => "session_params",
        "shared.Params" => "shared_params",
        "shared.ParamsAtHeight" => "shared_params_at_height",
        "supplier.Params" => "supplier_params",
        "supplier.Supplier" => "supplier",
        "tx.BroadcastTx" => "broadcast",
        "tx.Simulate" => "simulate",
        "status" => "status",
        "block" => "block",
        "block_results" => "block_results",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn honest_no_is_no_error_of_the_node() {
        let metrics = QueryMetrics::default();
        let took = Duration::from_millis(3);
        metrics.asked("proof.Claim", took, Some(&QueryError::NotFound("x".into())));
        metrics.asked("proof.Claim", took, Some(&QueryError::Unavailable("x".into())));
        metrics.asked("block?height=7", took, None);
        let count = |labels: [&str; 2]| metrics.queries.with_label_values(&labels).get();
        assert_eq!((count(["claim", "success"]), count(["claim", "error"])), (1, 1));
        assert_eq!(count(["block", "success"]), 1);
        assert_eq!(metrics.chain_errors.with_label_values(&["claim"]).get(), 1);
    }

    #[test]
    fn difficulty_is_told_in_bits() {
        let metrics = QueryMetrics::default();
        let bits = |target: [u8; 32]| {
            metrics.difficulty("svc", &target);
            metrics.difficulty.with_label_values(&["svc"]).get()
        };
        assert_eq!((bits([0xFF; 32]), bits([0; 32])), (0, 256));
        let mut target = [0xFF; 32];
        target[..2].copy_from_slice(&[0, 0x1F]);
        assert_eq!(bits(target), 11);
    }
}
