//! Whether Redis can keep what is entrusted to it.

use std::collections::BTreeSet;
use std::time::Duration;

use pocket_store::{RedisHealth, StoreError};
use time::OffsetDateTime;
use tokio::time::MissedTickBehavior;

use crate::Deps;

/// A part of the memory that is worth a warning.
const FULL: f64 = 0.8;
/// A difference between clocks that is worth a warning: leases are counted in seconds.
const SKEWED: f64 = 2.0;

/// Looks at Redis again and again.
pub(super) async fn run(every: Duration, deps: &Deps) {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = BTreeSet::new();
    loop {
        tick.tick().await;
        match look(deps).await {
            Ok(found) => {
                // When it begins, not at each look.
                found.difference(&known).for_each(|trouble| trouble.tell());
                known = found;
            }
            Err(error) => tracing::debug!(%error, "Redis cannot be looked after"),
        }
    }
}

/// What is wrong with Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    NoLog,
    Evicts,
    Full,
    Skewed,
}

async fn look(deps: &Deps) -> Result<BTreeSet<Trouble>, StoreError> {
    let series = &deps.metrics.watch;
    let health = deps.store.health().await?;
    let skew = (OffsetDateTime::now_utc() - health.time).as_seconds_f64();
    for supplier in deps.keys.current().addresses() {
        let waiting = deps.store.stream_length(supplier).await?;
        series
            .stream_length
            .with_label_values(&[supplier.as_str()])
            .set(waiting as i64);
    }
    series.memory_used.set(health.used_memory as i64);
    series.memory_most.set(health.max_memory as i64);
    series.memory_ratio.set(health.memory_ratio().unwrap_or(-1.0));
    series.keeps_log.set(health.append_only.into());
    series.evicts.set(health.evicts.into());
    series.clock_skew.set(skew);
    Ok(troubles(&health, skew))
}

fn troubles(health: &RedisHealth, skew: f64) -> BTreeSet<Trouble> {
    let all = [
        (Trouble::NoLog, !health.append_only),
        (Trouble::Evicts, health.evicts),
        (Trouble::Full, health.memory_ratio().is_some_and(|ratio| ratio > FULL)),
        (Trouble::Skewed, skew.abs() > SKEWED),
    ];
    all.into_iter()
        .filter_map(|(trouble, is_there)| is_there.then_some(trouble))
        .collect()
}

impl Trouble {
    /// Says what is wrong, and what to do.
    fn tell(self) {
        match self {
            Self::NoLog => tracing::warn!(
                "Redis keeps no append-only file: relays not yet claimed are lost with it; set `appendonly yes`"
            ),
            Self::Evicts => tracing::error!(
                "Redis drops keys when memory is full, and with them paid work; set `maxmemory-policy noeviction`"
            ),
            Self::Full => {
                tracing::error!("Redis' memory is nearly full: relays will be refused; raise `maxmemory`");
            }
            Self::Skewed => {
                tracing::warn!("this machine's clock and that of Redis differ by seconds; check time synchronisation");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_seen() {
        let good = RedisHealth {
            used_memory: 80,
            max_memory: 100,
            append_only: true,
            evicts: false,
            time: OffsetDateTime::UNIX_EPOCH,
        };
        assert_eq!(troubles(&good, -2.0), BTreeSet::new());
        let bad = RedisHealth {
            used_memory: 81,
            append_only: false,
            evicts: true,
            ..good
        };
        let all = [Trouble::NoLog, Trouble::Evicts, Trouble::Full, Trouble::Skewed];
        assert_eq!(troubles(&bad, -2.1), BTreeSet::from(all));
    }

    #[test]
    fn memory_without_a_limit_is_never_full() {
        let health = RedisHealth {
            used_memory: 80,
            max_memory: 0,
            append_only: true,
            evicts: false,
            time: OffsetDateTime::UNIX_EPOCH,
        };
        assert!(!troubles(&health, 0.0).contains(&Trouble::Full));
    }
}
