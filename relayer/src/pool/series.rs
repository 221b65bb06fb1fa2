//! What pools count, with the Go peer's names where it counts the same. All labels come from the configuration.

use pocket_metrics::Registry;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::State;

/// Seconds.
const WAITS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// All series of all pools.
#[derive(Clone, Debug)]
pub(crate) struct PoolSeries {
    health: IntGaugeVec,
    transitions: IntCounterVec,
    probes_good: IntCounterVec,
    probes_failed: IntCounterVec,
    fast_fails: IntCounterVec,
    retries: IntCounterVec,
    hedges: IntCounterVec,
    in_flight: IntGaugeVec,
    max_connections: IntGaugeVec,
    wait: HistogramVec,
    dial: HistogramVec,
    fallbacks: IntCounterVec,
}

/// What one endpoint counts with.
#[derive(Clone, Debug)]
pub(crate) struct EndpointMetrics {
    healthy: IntGauge,
    transitions: [IntCounter; State::ALL.len()],
    pub probes_good: IntCounter,
    pub probes_failed: IntCounter,
}

/// What one pool counts with.
#[derive(Clone, Debug)]
pub(crate) struct PoolMetrics {
    pub fast_fails: IntCounter,
    pub retries: IntCounter,
    pub hedges: IntCounter,
    pub hedges_won: IntCounter,
    in_flight: IntGauge,
    max_connections: IntGauge,
    limit: i64,
}

/// What the connections of one service count with.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionMetrics {
    /// To open a connection, TLS included.
    pub dial: Histogram,
    /// For a place, when there was none at once.
    pub wait: Histogram,
}

/// A request under way, counted until dropped.
#[derive(Debug)]
pub(crate) struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl PoolSeries {
    /// Creates the series and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = |name: &str, help: &str| Opts::new(name, help).namespace("ha").subsystem("relayer");
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(options(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let gauge = IntGaugeVec::new(options(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let histogram = |name: &str, help: &str| {
            let options = HistogramOpts {
                common_opts: options(name, help),
                buckets: WAITS.to_vec(),
            };
            let histogram = HistogramVec::new(options, &["service_id"])?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let (by_endpoint, by_service) = (&["service_id", "endpoint"], &["service_id"]);
        Ok(Self {
            health: gauge("backend_health_status", "1: relays go to the endpoint.", by_endpoint)?,
            transitions: counter(
                "backend_state_changes_total",
                "How often an endpoint came into a state.",
                &["service_id", "endpoint", "state"],
            )?,
            probes_good: counter("health_check_successes_total", "Good probes.", by_endpoint)?,
            probes_failed: counter("health_check_failures_total", "Failed probes.", by_endpoint)?,
            fast_fails: counter("fast_fails_total", "Relays for which no endpoint was left.", by_service)?,
            retries: counter(
                "backend_retries_total",
                "Requests repeated at another endpoint.",
                by_service,
            )?,
            hedges: counter(
                "backend_hedges_total",
                "Requests sent to a second endpoint because the first was slow, and those it answered first.",
                &["service_id", "outcome"],
            )?,
            in_flight: gauge("http_pool_in_flight", "Requests under way to backends.", by_service)?,
            max_connections: gauge(
                "http_pool_max_conns",
                "Connections that one host may have; 0 without a limit.",
                by_service,
            )?,
            wait: histogram(
                "http_pool_wait_seconds",
                "Waiting for a connection to become free, where one had to.",
            )?,
            dial: histogram("backend_dial_seconds", "Opening a connection, TLS included.")?,
            fallbacks: counter(
                "backend_fallbacks_total",
                "Relays served by the backend of another type.",
                &["service_id", "rpc_type", "served_by"],
            )?,
        })
    }

    /// Of an endpoint of the pool `name`, `service:type`.
    pub fn endpoint(&self, name: &str, endpoint: &str) -> EndpointMetrics {
        let labels = [name, endpoint];
        EndpointMetrics {
            healthy: self.health.with_label_values(&labels),
            transitions: State::ALL.map(|state| {
                let labels = [name, endpoint, state.label()];
                self.transitions.with_label_values(&labels)
            }),
            probes_good: self.probes_good.with_label_values(&labels),
            probes_failed: self.probes_failed.with_label_values(&labels),
        }
    }

    /// An endpoint of the pool `name` is no longer there: it is neither healthy nor not.
    pub fn forget(&self, name: &str, endpoint: &str) {
        // It may be gone already.
        let _ = self.health.remove_label_values(&[name, endpoint]);
    }

    /// Of a pool of a service.
    pub fn pool(&self, service: &str, max_connections_per_host: Option<u32>) -> PoolMetrics {
        PoolMetrics {
            max_connections: self.max_connections.with_label_values(&[service]),
            limit: max_connections_per_host.unwrap_or(0).into(),
            fast_fails: self.fast_fails.with_label_values(&[service]),
            retries: self.retries.with_label_values(&[service]),
            hedges: self.hedges.with_label_values(&[service, "sent"]),
            hedges_won: self.hedges.with_label_values(&[service, "won"]),
            in_flight: self.in_flight.with_label_values(&[service]),
        }
    }

    /// Of a service's connections.
    pub fn connection(&self, service: &str) -> ConnectionMetrics {
        ConnectionMetrics {
            dial: self.dial.with_label_values(&[service]),
            wait: self.wait.with_label_values(&[service]),
        }
    }

    /// Counts a relay that another type's backend serves.
    pub fn fell_back(&self, service: &str, asked: &str, served_by: &str) {
        self.fallbacks.with_label_values(&[service, asked, served_by]).inc();
    }
}

impl EndpointMetrics {
    /// It came into this state.
    pub fn entered(&self, state: State) {
        self.healthy.set(i64::from(state == State::Closed));
        self.transitions[state as usize].inc();
    }

    /// It is in this state, whatever it was before.
    pub fn is(&self, state: State) {
        self.healthy.set(i64::from(state == State::Closed));
    }
}

impl PoolMetrics {
    /// The pool is in use.
    pub fn begin(&self) {
        self.max_connections.set(self.limit);
    }

    /// Counts a request until the guard is dropped.
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_own_counter() {
        for (position, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, position);
        }
    }
}
