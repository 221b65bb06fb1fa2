//! What the relayer counts, with the Go peer's names where it counts the same.

mod transports;

use std::time::Duration;

use pocket_config::{RpcType, ValidationMode};
use pocket_metrics::Registry;
use pocket_store::PublisherMetrics;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts};

use crate::meter::MeterMetrics;
use crate::pool::PoolSeries;
use crate::relay_log::LogMetrics;
use crate::simulation::SimulationMetrics;
pub(crate) use transports::{CallMetrics, SocketMetrics, TransportMetrics};

/// Seconds, the Go peer's; ours add the microseconds below that a relay really takes.
const LATENCIES: [f64; 18] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0,
];
const SIZES: [f64; 6] = [1e2, 1e3, 1e4, 1e5, 1e6, 1e7];

/// Label of what is not known yet when a relay is refused.
pub(crate) const UNKNOWN: &str = "unknown";

/// All series of a relayer. Labels are bounded: services and types come from the configuration, reasons from a table.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub received: IntCounterVec,
    pub rejected: IntCounterVec,
    pub served: IntCounterVec,
    pub served_before_registry: IntCounterVec,
    pub undeclared: IntCounterVec,
    pub dropped: IntCounterVec,
    pub backend_missing: IntCounterVec,
    pub validation_failures: IntCounterVec,
    pub backend_requests: IntCounterVec,
    pub placeholder_rings: IntCounterVec,
    pub ring_verifications: IntCounter,
    relay_latency: HistogramVec,
    backend_latency: HistogramVec,
    validation_latency: HistogramVec,
    request_size: HistogramVec,
    response_size: HistogramVec,
    mined: IntCounterVec,
    skipped: IntCounterVec,
    pub published: IntCounterVec,
    pub height: IntGauge,
    pub connections: IntGauge,
    pub in_flight: IntGauge,
    pub by_protocol: IntCounterVec,
    pub pools: PoolSeries,
    pub meter: MeterMetrics,
    pub log: LogMetrics,
    pub simulation: SimulationMetrics,
    pub publisher: PublisherMetrics,
    pub transports: TransportMetrics,
    pub panics: IntCounterVec,
    before_backend: HistogramVec,
    after_backend: HistogramVec,
}

impl Metrics {
    /// Creates the series and registers them; fails only when another relayer already did with this registry.
    // A table; cut in two it would only be harder to read.
    #[allow(clippy::too_many_lines)]
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(options(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let histogram = |name: &str, help: &str, labels: &[&str], buckets: &[f64]| {
            let options = HistogramOpts {
                common_opts: options(name, help),
                buckets: buckets.to_vec(),
            };
            let histogram = HistogramVec::new(options, labels)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::with_opts(options(name, help))?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let by_type = &["service_id", "rpc_type"][..];
        Ok(Self {
            received: counter("relays_received_total", "Relay requests received.", by_type)?,
            rejected: counter(
                "relays_rejected_total",
                "Relay requests that were not answered with a signed response.",
                &["service_id", "rpc_type", "reason"],
            )?,
            served: counter(
                "relays_served_total",
                "Relay requests answered with a signed response.",
                &["service_id", "rpc_type", "status_code"],
            )?,
            served_before_registry: counter(
                "relays_served_optimistically_total",
                "Relays served for a supplier whose key is held but whose registry entry is not known.",
                by_type,
            )?,
            undeclared: counter(
                "undeclared_transport_served_total",
                "Relays of a type that the supplier did not declare on chain for the service.",
                by_type,
            )?,
            dropped: counter(
                "relays_dropped_total",
                "Relays that were answered but not mined, other than for difficulty.",
                &["service_id", "reason"],
            )?,
            backend_missing: counter("backend_missing_total", "Relays of a type without a backend.", by_type)?,
            validation_failures: counter(
                "validation_failures_total",
                "Relays not believed.",
                &["service_id", "reason"],
            )?,
            backend_requests: counter(
                "backend_requests_total",
                "Requests to backends.",
                &["service_id", "outcome", "status_code"],
            )?,
            placeholder_rings: counter(
                "placeholder_rings_total",
                "Relays signed for an application without gateways: everybody knows such a signing key.",
                &["service_id"],
            )?,
            ring_verifications: {
                let help = "Ring signatures that were computed through: what a relay costs the processor.";
                let counter = IntCounter::with_opts(options("ring_verifications_total", help))?;
                registry.register(Box::new(counter.clone()))?;
                counter
            },
            relay_latency: histogram(
                "relay_latency_seconds",
                "From request read to response made.",
                by_type,
                &LATENCIES,
            )?,
            backend_latency: histogram(
                "backend_latency_seconds",
                "Time in the backend.",
                &["service_id", "outcome"],
                &LATENCIES,
            )?,
            validation_latency: histogram(
                "validation_latency_seconds",
                "Time to check session, timing and signature.",
                &["service_id", "mode"],
                &LATENCIES,
            )?,
            request_size: histogram("request_body_size_bytes", "Size of relay requests.", by_type, &SIZES)?,
            response_size: histogram("response_body_size_bytes", "Size of signed responses.", by_type, &SIZES)?,
            mined: counter(
                "relays_mined_total",
                "Relays under the difficulty's target.",
                &["service_id"],
            )?,
            skipped: counter(
                "relays_skipped_difficulty_total",
                "Relays not under the target.",
                &["service_id"],
            )?,
            published: counter(
                "relays_published_total",
                "Mined relays handed to the publisher.",
                &["service_id", "supplier"],
            )?,
            height: gauge("current_block_height", "Highest block seen.")?,
            connections: gauge("active_connections", "Open connections of gateways.")?,
            in_flight: gauge("relays_in_flight", "Relays between admission and Redis' confirmation.")?,
            by_protocol: counter(
                "inbound_requests_by_proto_total",
                "Relay requests by protocol.",
                &["proto"],
            )?,
            pools: PoolSeries::register(registry)?,
            meter: MeterMetrics::register(registry)?,
            log: LogMetrics::register(registry)?,
            simulation: SimulationMetrics::register(registry)?,
            publisher: PublisherMetrics::register(registry)?,
            transports: TransportMetrics::register(registry)?,
            panics: registry.counters(
                "ha_panic_recoveries_total",
                "Requests that ended in a panic, which cost them alone. Each is a fault of this program.",
                &["component"],
            )?,
            before_backend: histogram(
                "relay_pre_backend_seconds",
                "From request read to the backend being asked.",
                by_type,
                &LATENCIES,
            )?,
            after_backend: histogram(
                "relay_post_backend_seconds",
                "From the backend's answer to the response made.",
                by_type,
                &LATENCIES,
            )?,
        })
    }

    /// The series of one service and type, looked up once.
    pub fn of(&self, service: &str, kind: RpcType, mode: ValidationMode) -> RelayMetrics {
        let by_type = &[service, kind.as_str()];
        let mode = if mode == ValidationMode::Eager {
            "eager"
        } else {
            "optimistic"
        };
        RelayMetrics {
            received: self.received.with_label_values(by_type),
            served_ok: self.served.with_label_values(&[service, kind.as_str(), "200"]),
            backend_ok: self.backend_requests.with_label_values(&[service, "success", "200"]),
            relay_latency: self.relay_latency.with_label_values(by_type),
            backend_latency: self.backend_latency.with_label_values(&[service, "success"]),
            backend_failure_latency: self.backend_latency.with_label_values(&[service, "failure"]),
            validation_latency: self.validation_latency.with_label_values(&[service, mode]),
            request_size: self.request_size.with_label_values(by_type),
            response_size: self.response_size.with_label_values(by_type),
            mined: self.mined.with_label_values(&[service]),
            skipped: self.skipped.with_label_values(&[service]),
            before_backend: self.before_backend.with_label_values(by_type),
            after_backend: self.after_backend.with_label_values(by_type),
            calls: self.transports.calls(service),
        }
    }
}

/// Registers the metrics of a relayer, as [`Relayer::start`](crate::Relayer::start) does, and counts nothing: for lists
/// of what there is.
pub fn describe_metrics(registry: &Registry) -> Result<(), prometheus::Error> {
    Metrics::register(registry).map(drop)
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("ha").subsystem("relayer")
}

/// Handles that a relay counts with, so that the ordinary relay looks up no label.
#[derive(Clone, Debug)]
pub(crate) struct RelayMetrics {
    pub received: IntCounter,
    pub served_ok: IntCounter,
    pub backend_ok: IntCounter,
    pub relay_latency: Histogram,
    pub backend_latency: Histogram,
    pub backend_failure_latency: Histogram,
    pub validation_latency: Histogram,
    pub request_size: Histogram,
    pub response_size: Histogram,
    pub mined: IntCounter,
    pub skipped: IntCounter,
    pub before_backend: Histogram,
    pub after_backend: Histogram,
    pub calls: CallMetrics,
}

/// Counts a duration.
pub(crate) fn observe(histogram: &Histogram, time: Duration) {
    histogram.observe(time.as_secs_f64());
}
