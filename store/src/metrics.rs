//! What is counted of the hop to Redis: each call with its outcome and time, and the relays that are put into streams.

use std::time::Duration;

use pocket_metrics::Registry;
use pocket_metrics::prometheus::{self, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use pocket_metrics::seconds::NEARBY;
use pocket_protocol::SupplierAddress;
use redis::{Arg, Cmd};

use crate::StoreError;

/// What a [`Store`](crate::Store) counts, under the Go peer's names. The default counts unseen.
#[derive(Clone, Debug)]
pub struct RedisMetrics {
    operations: IntCounterVec,
    durations: HistogramVec,
}

/// What a [`RelayPublisher`](crate::RelayPublisher) counts. The default counts unseen.
#[derive(Clone, Debug)]
pub struct PublisherMetrics {
    confirmed: IntCounterVec,
    failed: IntCounterVec,
    lost: IntCounter,
    waiting: IntGauge,
    capacity: IntGauge,
}

impl Default for RedisMetrics {
    fn default() -> Self {
        Self::register(&Registry::new()).expect("a new registry has no metric of this name")
    }
}

impl RedisMetrics {
    /// Registers all metrics; fails if they are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let by_status = &["operation", "status"];
        Ok(Self {
            operations: registry.counters("ha_observability_redis_operations_total", "Calls of Redis.", by_status)?,
            durations: registry.histograms(
                "ha_observability_redis_operation_duration_seconds",
                "How long Redis took for a call. Reads that wait for relays are left out.",
                by_status,
                &NEARBY,
            )?,
        })
    }

    /// Counts one call.
    pub(crate) fn called<T>(&self, operation: &'static str, took: Duration, answer: &Result<T, StoreError>) {
        let labels = [operation, status(answer)];
        self.operations.with_label_values(&labels).inc();
        self.durations.with_label_values(&labels).observe(took.as_secs_f64());
    }

    /// Counts a call that may have waited for something to come.
    pub(crate) fn waited<T>(&self, operation: &'static str, answer: &Result<T, StoreError>) {
        self.operations.with_label_values(&[operation, status(answer)]).inc();
    }
}

impl Default for PublisherMetrics {
    fn default() -> Self {
        Self::register(&Registry::new()).expect("a new registry has no metric of this name")
    }
}

impl PublisherMetrics {
    /// Registers all metrics; fails if they are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let queue = &["queue_name"];
        let waiting = registry.gauges(
            "ha_observability_queue_depth",
            "What waits in a bounded queue. `publisher`: places taken by relays that are served or wait for Redis.",
            queue,
        )?;
        let capacity = registry.gauges(
            "ha_observability_queue_capacity",
            "Most that may wait in a bounded queue; beyond it relays are refused.",
            queue,
        )?;
        Ok(Self {
            confirmed: registry.counters(
                "ha_relayer_relays_confirmed_total",
                "Mined relays that Redis has confirmed, and the replicas that are waited for.",
                &["supplier"],
            )?,
            failed: registry.counters(
                "ha_relayer_publish_errors_total",
                "Attempts to append mined relays that failed, by relay. They are tried again.",
                &["supplier"],
            )?,
            lost: registry.counter(
                "ha_relayer_relays_lost_total",
                "Mined relays that were given up at a shutdown, because Redis stayed away and there is no relay log.",
            )?,
            waiting: waiting.with_label_values(&["publisher"]),
            capacity: capacity.with_label_values(&["publisher"]),
        })
    }

    /// Counts relays by what became of the attempt to append them. Those of one supplier come in runs, so that a
    /// counter is looked up once for each.
    pub(crate) fn tried<'a>(&self, is_confirmed: bool, suppliers: impl Iterator<Item = &'a SupplierAddress>) {
        let counters = if is_confirmed { &self.confirmed } else { &self.failed };
        let mut run: Option<(&SupplierAddress, u64)> = None;
        for supplier in suppliers {
            match &mut run {
                Some((same, relays)) if *same == supplier => *relays += 1,
                _ => {
                    if let Some((before, relays)) = run.replace((supplier, 1)) {
                        counters.with_label_values(&[before.as_str()]).inc_by(relays);
                    }
                }
            }
        }
        if let Some((last, relays)) = run {
            counters.with_label_values(&[last.as_str()]).inc_by(relays);
        }
    }

    /// Counts relays that nobody will append any more.
    pub(crate) fn lost(&self, relays: u64) {
        self.lost.inc_by(relays);
    }

    /// Shows how full the queue is.
    pub(crate) fn queued(&self, waiting: usize, capacity: usize) {
        self.waiting.set(waiting as i64);
        self.capacity.set(capacity as i64);
    }
}

fn status<T>(answer: &Result<T, StoreError>) -> &'static str {
    match answer {
        Ok(_) | Err(StoreError::Fenced | StoreError::Diverged | StoreError::Malformed { .. }) => "success",
        Err(StoreError::Unavailable(_) | StoreError::Unreplicated(_)) => "error",
        Err(StoreError::Refused(_)) => "refused",
    }
}

/// A command's word as a label; there are only these.
pub(crate) fn operation(command: &Cmd) -> &'static str {
    let Some(Arg::Simple(word)) = command.args_iter().next() else {
        return "other";
    };
    match word {
        b"DEL" => "del",
        b"EXISTS" => "exists",
        b"GET" => "get",
        b"HGETALL" => "hgetall",
        b"HLEN" => "hlen",
        b"HMGET" => "hmget",
        b"HSCAN" => "hscan",
        b"INFO" => "info",
        b"MGET" => "mget",
        b"PING" => "ping",
        b"PUBLISH" => "publish",
        b"SCAN" => "scan",
        b"SET" => "set",
        b"SMEMBERS" => "smembers",
        b"SREM" => "srem",
        b"TIME" => "time",
        b"UNLINK" => "unlink",
        b"WAIT" => "wait",
        b"XAUTOCLAIM" => "xautoclaim",
        b"XGROUP" => "xgroup",
        b"XINFO" => "xinfo",
        b"XLEN" => "xlen",
        b"XRANGE" => "xrange",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_lease_is_no_error_of_redis() {
        let metrics = RedisMetrics::default();
        let took = Duration::from_millis(1);
        metrics.called::<()>("commit", took, &Err(StoreError::Fenced));
        let away = std::io::Error::from(std::io::ErrorKind::TimedOut);
        metrics.called::<()>("commit", took, &Err(redis::RedisError::from(away).into()));
        let count = |status| metrics.operations.with_label_values(&["commit", status]).get();
        assert_eq!((count("success"), count("error")), (1, 1));
    }

    #[test]
    fn relays_are_counted_by_supplier_in_whatever_order() {
        let metrics = PublisherMetrics::default();
        let [one, other] = [2, 3].map(|byte| SupplierAddress::of_public_key(&[byte; 33]));
        metrics.tried(true, [&one, &one, &other, &one].into_iter());
        metrics.tried(false, std::iter::once(&other));
        let count = |counters: &IntCounterVec, of: &SupplierAddress| counters.with_label_values(&[of.as_str()]).get();
        assert_eq!(
            (count(&metrics.confirmed, &one), count(&metrics.confirmed, &other)),
            (3, 1)
        );
        assert_eq!((count(&metrics.failed, &one), count(&metrics.failed, &other)), (0, 1));
    }

    #[test]
    fn commands_are_told_by_a_bounded_set_of_words() {
        assert_eq!(operation(redis::cmd("XLEN").arg("secret")), "xlen");
        assert_eq!(operation(&redis::cmd("NEWCOMMAND")), "other");
    }
}
