//! Endpoints that fail much more often than their pool can bear, although not in a row.

use std::sync::atomic::{AtomicU32, Ordering};

use pocket_config::OutlierEjection;

use super::{Endpoint, Pool};

/// Relays of one endpoint since it was last looked at.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    ended: AtomicU32,
    failed: AtomicU32,
}

impl Tally {
    pub fn add(&self, is_failed: bool) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        if is_failed {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Relays ended and failed since the last time.
    fn take(&self) -> (u32, u32) {
        (
            self.ended.swap(0, Ordering::Relaxed),
            self.failed.swap(0, Ordering::Relaxed),
        )
    }
}

impl<C> Pool<C> {
    /// Looks at what came of relays since the last time, and ejects the endpoints that failed too many of them, the
    /// worst first. Others are always left: at most `max_ejected_percent` are out, and never all.
    pub fn eject_outliers(&self, rule: &OutlierEjection) {
        let now = self.now();
        for endpoint in self.endpoints() {
            if endpoint.standing.health.readmit(now) {
                endpoint.metrics.entered(endpoint.state(now));
                tracing::info!(
                    pool = &*self.name,
                    endpoint = &*endpoint.name,
                    "ejected endpoint is taken back"
                );
            }
        }
        let count = self.endpoints().len();
        let mut bad: Vec<(u64, &Endpoint<C>)> = Vec::new();
        for endpoint in self.endpoints() {
            let (ended, failed) = endpoint.standing.tally.take();
            let percent = u64::from(failed) * 100 / u64::from(ended.max(1));
            if ended >= rule.min_relays && percent >= u64::from(rule.failure_percent) {
                bad.push((percent, endpoint));
            }
        }
        bad.sort_by_key(|(percent, _)| std::cmp::Reverse(*percent));
        let most = (count * rule.max_ejected_percent as usize / 100).min(count.saturating_sub(1));
        let out = self
            .endpoints()
            .iter()
            .filter(|endpoint| !endpoint.standing.health.may_enter(now));
        let room = most.saturating_sub(out.count());
        for (_, endpoint) in bad
            .into_iter()
            .filter(|(_, endpoint)| endpoint.standing.health.is_closed())
            .take(room)
        {
            self.eject(endpoint, rule.ejection_time);
        }
    }
}
