//! What the meter counts, under the peer's names.

use pocket_metrics::Registry;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts};

use super::account::AccountMetrics;

/// Seconds.
const WAITS: [f64; 11] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5,
];

/// The meter's series.
#[derive(Clone, Debug)]
pub(crate) struct MeterMetrics {
    consumptions: IntCounterVec,
    pub sessions: IntGaugeVec,
    pub redis_errors: IntCounterVec,
    wait: HistogramVec,
}

impl MeterMetrics {
    /// Creates the series and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = |name: &str, help: &str| Opts::new(name, help).namespace("ha").subsystem("relayer");
        let metrics = Self {
            consumptions: IntCounterVec::new(
                options("relay_meter_consumptions_total", "Relays that were to be charged."),
                &["service_id", "result"],
            )?,
            sessions: IntGaugeVec::new(
                options("relay_meter_sessions_active", "Sessions with an account here."),
                &["supplier", "service_id"],
            )?,
            redis_errors: IntCounterVec::new(
                options("relay_meter_redis_errors_total", "Failures of Redis."),
                &["operation"],
            )?,
            wait: HistogramVec::new(
                HistogramOpts {
                    common_opts: options(
                        "relay_meter_latency_seconds",
                        "How long relays waited for a lease, if they did.",
                    ),
                    buckets: WAITS.to_vec(),
                },
                &["service_id"],
            )?,
        };
        registry.register(Box::new(metrics.consumptions.clone()))?;
        registry.register(Box::new(metrics.sessions.clone()))?;
        registry.register(Box::new(metrics.redis_errors.clone()))?;
        registry.register(Box::new(metrics.wait.clone()))?;
        Ok(metrics)
    }

    pub(super) fn of(&self, service: &str) -> AccountMetrics {
        AccountMetrics {
            within_limit: self.consumptions.with_label_values(&[service, "within_limit"]),
            over_limit: self.consumptions.with_label_values(&[service, "over_limit"]),
            wait: self.wait.with_label_values(&[service]),
        }
    }
}
