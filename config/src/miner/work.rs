//! How the miner's work is shared: between instances, and between the workers of one.

use std::time::Duration;

use crate::codec::{Count, Section};
use crate::duration::Seconds;
use crate::reader::Fields;

/// `leader_election`: one instance does what must be done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderElectionConfig {
    /// `leader_ttl_seconds`: how long a silent leader stays one; 30 s.
    pub leader_ttl: Duration,
    /// `heartbeat_rate_seconds`: how often the leader renews and others try, less than the former; 10 s.
    pub heartbeat_interval: Duration,
}

impl Section for LeaderElectionConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let leader_ttl = fields.or_if_zero::<Seconds<0>>("leader_ttl_seconds", Duration::from_secs(30));
        let heartbeat_interval = fields.or_if_zero::<Seconds<0>>("heartbeat_rate_seconds", Duration::from_secs(10));
        check_renewal(
            fields,
            ("heartbeat_rate_seconds", heartbeat_interval),
            ("leader_ttl_seconds", leader_ttl),
        );
        Self {
            leader_ttl,
            heartbeat_interval,
        }
    }
}

/// `supplier_claiming`: instances divide the suppliers by leases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupplierClaimingConfig {
    /// `claim_ttl_seconds`: how long a lease lasts; 90 s.
    pub lease_ttl: Duration,
    /// `renew_rate_seconds`: how often it is renewed, less than the former; 10 s.
    pub renew_interval: Duration,
    /// `rebalance_interval_seconds`: how often the division is looked at; 30 s.
    pub rebalance_interval: Duration,
}

impl Section for SupplierClaimingConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let lease_ttl = fields.or_if_zero::<Seconds<0>>("claim_ttl_seconds", Duration::from_secs(90));
        let renew_interval = fields.or_if_zero::<Seconds<0>>("renew_rate_seconds", Duration::from_secs(10));
        check_renewal(
            fields,
            ("renew_rate_seconds", renew_interval),
            ("claim_ttl_seconds", lease_ttl),
        );
        let rebalance_interval = fields.or_if_zero::<Seconds<0>>("rebalance_interval_seconds", Duration::from_secs(30));
        Self {
            lease_ttl,
            renew_interval,
            rebalance_interval,
        }
    }
}

/// Notes a lease that would run out before it is renewed.
fn check_renewal(fields: &mut Fields<'_, '_>, renewal: (&'static str, Duration), lease: (&'static str, Duration)) {
    if renewal.1 < lease.1 || !fields.sound(&[renewal.0]) || !fields.sound(&[lease.0]) {
        return;
    }
    let key = if fields.written(renewal.0) { renewal.0 } else { lease.0 };
    let what = format!(
        "{} ({} s) is not less than {} ({} s): the lease runs out before it is renewed",
        renewal.0,
        renewal.1.as_secs(),
        lease.0,
        lease.1.as_secs()
    );
    fields.impossible(
        &[key],
        what,
        format!("make {} a third of {} or less", renewal.0, lease.0),
    );
}

/// `worker_pools`: how much is done at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerPoolsConfig {
    /// `master_pool_size`: all workers; `None` (0 or unset) for the greater of `cpu_multiplier` for each core and
    /// `workers_per_supplier` for each supplier, and the fixed ones.
    pub master_pool_size: Option<u32>,
    /// `cpu_multiplier`; 4.
    pub cpu_multiplier: u32,
    /// `workers_per_supplier`; 6.
    pub workers_per_supplier: u32,
    /// `query_workers`: fixed, for the chain's queries; 20.
    pub query_workers: u32,
    /// `settlement_workers`: fixed, for block results; 2.
    pub settlement_workers: u32,
}

impl Section for WorkerPoolsConfig {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            master_pool_size: fields.optional::<Count>("master_pool_size").filter(|size| *size > 0),
            cpu_multiplier: fields.or_if_zero::<Count>("cpu_multiplier", 4),
            workers_per_supplier: fields.or_if_zero::<Count>("workers_per_supplier", 6),
            query_workers: fields.or_if_zero::<Count>("query_workers", 20),
            settlement_workers: fields.or_if_zero::<Count>("settlement_workers", 2),
        }
    }
}
