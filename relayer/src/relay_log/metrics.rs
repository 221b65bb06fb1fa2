use pocket_metrics::Registry;
use prometheus::{IntCounter, IntGauge, Opts};

/// What a log tells of itself.
#[derive(Clone, Debug)]
pub(crate) struct LogMetrics {
    pub bytes: IntGauge,
    pub most_bytes: IntGauge,
    pub relays: IntGauge,
    pub replayed: IntCounter,
}

impl LogMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = |name: &str, help: &str| Opts::new(name, help).namespace("ha").subsystem("relayer");
        let metrics = Self {
            bytes: IntGauge::with_opts(options("relay_log_bytes", "Size of the relay log."))?,
            most_bytes: IntGauge::with_opts(options(
                "relay_log_max_bytes",
                "Size that the relay log may have; 0 without a log. Beyond it relays are refused.",
            ))?,
            relays: IntGauge::with_opts(options(
                "relay_log_relays",
                "Relays in the relay log that Redis has not confirmed.",
            ))?,
            replayed: IntCounter::with_opts(options(
                "relay_log_replayed_total",
                "Relays that were read from the relay log for Redis.",
            ))?,
        };
        registry.register(Box::new(metrics.bytes.clone()))?;
        registry.register(Box::new(metrics.most_bytes.clone()))?;
        registry.register(Box::new(metrics.relays.clone()))?;
        registry.register(Box::new(metrics.replayed.clone()))?;
        Ok(metrics)
    }
}
