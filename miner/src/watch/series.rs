//! The series that watching writes. Names and labels are the Go peer's where it measures the same.

use pocket_metrics::Registry;
use prometheus::core::Collector;
use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

#[derive(Clone)]
pub(crate) struct Series {
    pub balance: IntGaugeVec,
    pub balance_health: IntGaugeVec,
    pub balance_warnings: IntCounterVec,
    pub balance_alarms: IntCounterVec,
    pub stake: IntGaugeVec,
    pub missed_proofs_left: IntGaugeVec,
    pub stake_ratio: prometheus::GaugeVec,
    pub stake_warnings: IntCounterVec,
    pub stake_alarms: IntCounterVec,
    pub errors: IntCounterVec,
    pub expected_interval: Gauge,
    pub interval: Gauge,
    pub slow_blocks: IntCounter,
    pub slow_in_a_row: IntGauge,
    pub block_age: Gauge,
    pub memory_used: IntGauge,
    pub memory_most: IntGauge,
    pub memory_ratio: Gauge,
    pub keeps_log: IntGauge,
    pub evicts: IntGauge,
    pub clock_skew: Gauge,
    pub stream_length: IntGaugeVec,
}

impl Series {
    // A table; cut in two it would only be harder to read.
    #[allow(clippy::too_many_lines)]
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        fn kept<C: Collector + Clone + 'static>(registry: &Registry, one: C) -> Result<C, prometheus::Error> {
            registry.register(Box::new(one.clone()))?;
            Ok(one)
        }
        let named = |name: &str, help: &str| Opts::new(format!("ha_miner_{name}"), help);
        let levels = |name: &str, help: &str| kept(registry, IntGaugeVec::new(named(name, help), &["supplier"])?);
        let level = |name: &str, help: &str| kept(registry, IntGauge::with_opts(named(name, help))?);
        let measure = |name: &str, help: &str| kept(registry, Gauge::with_opts(named(name, help))?);
        let counts =
            |name: &str, help: &str, labels: &[&str]| kept(registry, IntCounterVec::new(named(name, help), labels)?);
        let supplier = &["supplier"][..];
        Ok(Self {
            balance: levels("supplier_balance_upokt", "Balance of the operator's account")?,
            balance_health: levels("supplier_balance_health_status", "0: too low for fees, 1: low, 2: good")?,
            balance_warnings: counts(
                "supplier_balance_warning_alerts_total",
                "Looks at which the balance was below twice its threshold",
                supplier,
            )?,
            balance_alarms: counts(
                "supplier_balance_critical_alerts_total",
                "Looks at which the balance was below its threshold",
                supplier,
            )?,
            stake: levels("supplier_stake_upokt", "Stake of the supplier")?,
            missed_proofs_left: levels(
                "supplier_missed_proofs_left",
                "Missed proofs that the stake bears before the supplier is unstaked",
            )?,
            stake_ratio: kept(
                registry,
                prometheus::GaugeVec::new(
                    named("supplier_stake_health_ratio", "Stake over the least stake allowed"),
                    supplier,
                )?,
            )?,
            stake_warnings: counts(
                "supplier_stake_warning_alerts_total",
                "Looks at which the stake bore few missed proofs",
                supplier,
            )?,
            stake_alarms: counts(
                "supplier_stake_critical_alerts_total",
                "Looks at which the stake bore very few missed proofs",
                supplier,
            )?,
            errors: counts(
                "supplier_monitor_errors_total",
                "Questions about a supplier that the chain did not answer",
                &["supplier", "error_type"],
            )?,
            expected_interval: measure("configured_block_time_seconds", "Expected between blocks")?,
            interval: measure("current_block_interval_seconds", "Between the two newest blocks")?,
            slow_blocks: kept(
                registry,
                IntCounter::with_opts(named("fullnode_slow_blocks_total", "Blocks that came late"))?,
            )?,
            slow_in_a_row: level("fullnode_slow_blocks_consecutive", "Late blocks since the last in time")?,
            block_age: measure(
                "block_age_seconds",
                "From a block's time to its arrival here, by this machine's clock; negative if that is slow",
            )?,
            memory_used: level("redis_used_memory_bytes", "Memory that Redis uses")?,
            memory_most: level(
                "redis_max_memory_bytes",
                "Memory that Redis may use, 0 for all there is",
            )?,
            memory_ratio: measure(
                "redis_memory_usage_ratio",
                "Used memory over what may be used, -1 without a limit",
            )?,
            keeps_log: level("redis_append_only", "1: Redis keeps an append-only file")?,
            evicts: level("redis_evicts", "1: Redis drops keys when memory is full")?,
            clock_skew: measure(
                "redis_clock_skew_seconds",
                "This machine's clock less that of Redis, within a round trip",
            )?,
            stream_length: levels("stream_length", "Mined relays that wait to be taken in")?,
        })
    }
}
