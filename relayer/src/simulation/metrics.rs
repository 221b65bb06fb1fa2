//! What simulated relays are counted with: never with real ones.

use pocket_metrics::Registry;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts};

/// The series of simulated relays, the peer's.
#[derive(Clone, Debug)]
pub(crate) struct SimulationMetrics {
    pub relays: IntCounterVec,
    pub duration: HistogramVec,
}

impl SimulationMetrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = |name: &str, help: &str| Opts::new(name, help).namespace("ha").subsystem("relayer");
        let relays = IntCounterVec::new(
            options("simulated_relays_total", "Simulated relays, by what came of them."),
            &["transport", "service", "supplier", "result"],
        )?;
        let duration = HistogramVec::new(
            HistogramOpts::from(options("simulated_relay_duration_seconds", "From admission to answer.")),
            &["transport", "service"],
        )?;
        registry.register(Box::new(relays.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Self { relays, duration })
    }
}
