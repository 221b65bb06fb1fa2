//! What is shown of the nodes; read at each scrape, so that nothing has to be kept in step.

use std::sync::{Arc, Weak};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts};

use super::{Condition, Pool};
use crate::client::Inner;

/// Labels: `rpc` or `grpc`, and `host:port`; bounded by the configuration.
const LABELS: [&str; 2] = ["kind", "endpoint"];

/// `ha_query_node_…`: the Go peer knows one node and counts nothing of it.
pub(crate) struct NodeSeries {
    // Weak: a registry outlives what it shows.
    client: Weak<Inner>,
    up: IntGaugeVec,
    used: IntGaugeVec,
    height: IntGaugeVec,
    latency: GaugeVec,
    failovers: IntCounterVec,
}

impl NodeSeries {
    pub(crate) fn new(client: &Arc<Inner>) -> Result<Self, prometheus::Error> {
        let opts = |name: &str, help: &str| Opts::new(format!("ha_query_node_{name}"), help);
        Ok(Self {
            client: Arc::downgrade(client),
            up: IntGaugeVec::new(opts("up", "1 while the chain node can be used"), &LABELS)?,
            used: IntGaugeVec::new(opts("used", "1 for the chain node that is asked first"), &LABELS)?,
            height: IntGaugeVec::new(opts("height", "Newest block that the chain node told of"), &LABELS)?,
            latency: GaugeVec::new(
                opts("latency_seconds", "Time that the chain node takes to say where it is"),
                &LABELS,
            )?,
            failovers: IntCounterVec::new(
                opts("failovers_total", "Times that the chain node was left for another"),
                &LABELS,
            )?,
        })
    }

    fn read<N: Sync>(&self, pool: &Pool<N>) {
        let standing = pool.standing();
        for (index, known) in standing.endpoints().iter().enumerate() {
            let labels = [pool.kind(), pool.name(index).as_ref()];
            let up = known.condition == Condition::Good;
            self.up.with_label_values(&labels).set(up.into());
            self.used
                .with_label_values(&labels)
                .set((standing.used() == index).into());
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

    fn parts(&self) -> [&dyn Collector; 5] {
        [&self.up, &self.used, &self.height, &self.latency, &self.failovers]
    }
}

impl Collector for NodeSeries {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Some(client) = self.client.upgrade() {
            self.read(&client.nodes.rpc);
            self.read(&client.nodes.grpc);
        }
        self.parts().into_iter().flat_map(Collector::collect).collect()
    }
}
