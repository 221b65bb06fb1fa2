//! What is shown of the nodes: `ha_query_node_…`. The Go peer knows one node and counts nothing of it.

use std::sync::Arc;

use pocket_metrics::Registry;
use pocket_metrics::prometheus::{Error, GaugeVec, IntCounterVec, IntGaugeVec};

use super::standing::{Condition, Standing};

/// Labels: `rpc` or `grpc`, and `host:port`; bounded by the configuration.
const LABELS: [&str; 2] = ["kind", "endpoint"];

/// Gauges and counters of each endpoint.
#[derive(Clone, Debug)]
pub(crate) struct NodeSeries {
    up: IntGaugeVec,
    used: IntGaugeVec,
    height: IntGaugeVec,
    latency: GaugeVec,
    failovers: IntCounterVec,
}

impl NodeSeries {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        Ok(Self {
            up: registry.gauges(
                "ha_query_node_up",
                "1 while the chain node can be used: it answers, is not behind and of the right network.",
                &LABELS,
            )?,
            used: registry.gauges(
                "ha_query_node_used",
                "1 for the chain node that is asked first.",
                &LABELS,
            )?,
            height: registry.gauges(
                "ha_query_node_height",
                "Newest block that the chain node told of, believed or not.",
                &LABELS,
            )?,
            latency: registry.float_gauges(
                "ha_query_node_latency_seconds",
                "How long the chain node takes to say where it is.",
                &LABELS,
            )?,
            failovers: registry.counters(
                "ha_query_node_failovers_total",
                "Times that the chain node was left for another.",
                &LABELS,
            )?,
        })
    }

    /// Shows a list of endpoints as it is now.
    pub(crate) fn show(&self, kind: &str, names: &[Arc<str>], standing: &Standing) {
        for (index, (name, known)) in names.iter().zip(standing.endpoints()).enumerate() {
            let labels = [kind, name];
            let is_up = known.condition == Condition::Good;
            self.up.with_label_values(&labels).set(is_up.into());
            let is_used = standing.used() == index;
            self.used.with_label_values(&labels).set(is_used.into());
            let failovers = self.failovers.with_label_values(&labels);
            failovers.inc_by(known.left.saturating_sub(failovers.get()));
            if let Some(height) = known.height() {
                self.height.with_label_values(&labels).set(height.0);
            }
            if let Some(latency) = known.latency {
                self.latency.with_label_values(&labels).set(latency.as_secs_f64());
            }
        }
    }
}
