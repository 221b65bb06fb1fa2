//! The metrics of a process that belong to neither half alone.

#[cfg(test)]
mod tests;

use std::time::Instant;

use pocket_observability::prometheus::{self, Gauge};
use pocket_observability::{Registry, Reloads};
use pocket_query::QueryMetrics;
use pocket_store::RedisMetrics;

use crate::reload::KeySeries;

/// What a relayer's or miner's process counts beside its own work. Made first of all, so that everything is counted.
pub struct ProcessMetrics {
    /// Has these metrics, and takes those of the half that runs.
    pub registry: Registry,
    /// Of the hop to the chain.
    pub query: QueryMetrics,
    /// Of the hop to Redis.
    pub redis: RedisMetrics,
    /// Of the operators' keys.
    pub keys: KeySeries,
    /// Of the configuration, read again.
    pub reloads: Reloads,
    startup: Gauge,
    began: Instant,
}

impl ProcessMetrics {
    /// Of the half that is called `component`: `relayer` or `miner`.
    pub fn of(component: &str) -> Result<Self, prometheus::Error> {
        let registry = Registry::of_process(env!("CARGO_PKG_VERSION"), component)?;
        let startup = registry.float_gauges(
            "ha_observability_startup_duration_seconds",
            "From the reading of the configuration to being at work.",
            &["component"],
        )?;
        Ok(Self {
            query: QueryMetrics::register(&registry)?,
            redis: RedisMetrics::register(&registry)?,
            keys: KeySeries::register(&registry)?,
            reloads: Reloads::register(&registry)?,
            startup: startup.with_label_values(&[component]),
            registry,
            began: Instant::now(),
        })
    }

    /// Notes that the half is at work.
    pub fn started(&self) {
        self.startup.set(self.began.elapsed().as_secs_f64());
    }
}
