//! What a miner counts of its place among the others: leases, leading, the registry of suppliers.

use pocket_metrics::Registry;
use pocket_protocol::SupplierAddress;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

/// Names and labels are the Go peer's. The label `instance` is this miner's own name, always.
#[derive(Clone)]
pub(crate) struct FleetMetrics {
    leads: IntGaugeVec,
    leads_caches: IntGauge,
    elections: IntCounterVec,
    losses: IntCounterVec,
    election_failures: IntCounterVec,
    blocks_told: IntCounter,
    taken: IntCounterVec,
    released: IntCounterVec,
    owned: IntGaugeVec,
    share: IntGaugeVec,
    suppliers: IntGauge,
    instances: IntGauge,
    registry_updates: IntCounterVec,
    registry_skipped: IntCounterVec,
}

impl FleetMetrics {
    /// Registers all of them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let (instance, supplier) = (&["instance"], &["supplier", "instance"]);
        Ok(Self {
            leads: registry.gauges("ha_miner_leader_status", "1: this miner leads the fleet.", instance)?,
            leads_caches: registry.gauge("ha_cache_orchestrator_leader_status", "1: this miner leads the fleet.")?,
            elections: registry.counters(
                "ha_miner_leader_elections_total",
                "How often this miner came to lead the fleet.",
                instance,
            )?,
            losses: registry.counters(
                "ha_miner_leader_losses_total",
                "How often this miner led the fleet no more.",
                instance,
            )?,
            election_failures: registry.counters(
                "ha_miner_leader_acquisition_failures_total",
                "Attempts to lead the fleet that failed because Redis did.",
                &["instance", "reason"],
            )?,
            blocks_told: registry.counter(
                "ha_cache_block_events_published_total",
                "Blocks that this miner told the fleet while it led.",
            )?,
            taken: registry.counters(
                "ha_miner_supplier_claimed_total",
                "How often this miner took a supplier over.",
                supplier,
            )?,
            released: registry.counters(
                "ha_miner_supplier_released_total",
                "How often this miner gave a supplier up, or lost it.",
                supplier,
            )?,
            owned: registry.gauges(
                "ha_miner_supplier_claimed_count",
                "Suppliers that this miner works.",
                instance,
            )?,
            share: registry.gauges(
                "ha_miner_supplier_fair_share",
                "Most suppliers that this miner takes: all of them, divided by the miners that live.",
                instance,
            )?,
            suppliers: registry.gauge(
                "ha_miner_supplier_manager_suppliers_active",
                "Suppliers that this miner works.",
            )?,
            instances: registry.gauge("ha_miner_instances_active", "Miners that live, as this one sees it.")?,
            registry_updates: registry.counters(
                "ha_miner_supplier_registry_updates_total",
                "Entries of suppliers that were written for relayers.",
                &["action"],
            )?,
            registry_skipped: registry.counters(
                "ha_miner_supplier_cache_write_skipped_total",
                "Entries of suppliers that were left as they are, since the chain did not tell the present one.",
                &["reason"],
            )?,
        })
    }

    /// Shows whether this miner leads, and counts when that changes.
    pub fn leading(&self, instance: &str, leads: bool) {
        let shown = self.leads.with_label_values(&[instance]);
        match (shown.get() == 1, leads) {
            (false, true) => self.elections.with_label_values(&[instance]).inc(),
            (true, false) => self.losses.with_label_values(&[instance]).inc(),
            _ => {}
        }
        shown.set(leads.into());
        self.leads_caches.set(leads.into());
    }

    /// Counts an attempt to lead, or to go on leading, that Redis did not answer.
    pub fn election_failed(&self, instance: &str) {
        let labels = [instance, "redis_error"];
        self.election_failures.with_label_values(&labels).inc();
    }

    /// Counts a block that was told to the fleet.
    pub fn block_told(&self) {
        self.blocks_told.inc();
    }

    /// Counts a supplier that is worked here from now on.
    pub fn took(&self, supplier: &SupplierAddress, instance: &str) {
        self.taken.with_label_values(&[supplier.as_str(), instance]).inc();
    }

    /// Counts a supplier that is not worked here any more.
    pub fn released(&self, supplier: &SupplierAddress, instance: &str) {
        self.released.with_label_values(&[supplier.as_str(), instance]).inc();
    }

    /// Shows how suppliers are spread.
    pub fn spread(&self, instance: &str, owned: usize, share: usize, instances: usize) {
        self.owned.with_label_values(&[instance]).set(owned as i64);
        self.suppliers.set(owned as i64);
        self.share.with_label_values(&[instance]).set(share as i64);
        self.instances.set(instances as i64);
    }

    /// Counts an entry of the registry that was written.
    pub fn registry_updated(&self) {
        self.registry_updates.with_label_values(&["update"]).inc();
    }

    /// Counts an entry of the registry that the chain did not tell.
    pub fn registry_skipped(&self) {
        self.registry_skipped.with_label_values(&["chain_query_error"]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_is_counted_when_it_begins_and_when_it_ends() {
        let metrics = FleetMetrics::register(&Registry::new()).unwrap();
        for leads in [false, true, true, false, false, true] {
            metrics.leading("one", leads);
        }
        let one = &["one"];
        assert_eq!(metrics.elections.with_label_values(one).get(), 2);
        assert_eq!(metrics.losses.with_label_values(one).get(), 1);
        assert_eq!(metrics.leads.with_label_values(one).get(), 1);
    }
}
