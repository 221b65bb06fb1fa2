use time::{Duration, OffsetDateTime};

use crate::connection::joined;
use crate::{Store, StoreError};

/// How well Redis keeps what it is given. In a Cluster, the worst of its primaries.
#[derive(Clone, Debug, PartialEq)]
pub struct RedisHealth {
    /// Bytes in use.
    pub used_memory: u64,
    /// Bytes that may be used; 0 for all there are.
    pub max_memory: u64,
    /// Whether there is an append-only file.
    pub append_only: bool,
    /// Whether keys are dropped when memory is full.
    pub evicts: bool,
    /// Its clock.
    pub time: OffsetDateTime,
}

impl RedisHealth {
    /// The part of the memory that is used; `None` without a limit.
    pub fn memory_ratio(&self) -> Option<f64> {
        (self.max_memory > 0).then(|| self.used_memory as f64 / self.max_memory as f64)
    }
}

impl Store {
    /// Asks Redis about its memory, settings and clock. What a managed Redis does not tell counts as good.
    pub async fn health(&self) -> Result<RedisHealth, StoreError> {
        let infos = self.infos().await?;
        let [used, most, log, policy] =
            ["used_memory", "maxmemory", "aof_enabled", "maxmemory_policy"].map(|field| joined(&infos, field));
        let (seconds, micros): (i64, i64) = self.query(&redis::cmd("TIME")).await?;
        let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Ok(RedisHealth {
            used_memory: greatest(used.as_deref()),
            max_memory: greatest(most.as_deref()),
            append_only: words(log.as_deref()).all(|one| one == "1"),
            evicts: words(policy.as_deref()).any(|one| one != "noeviction"),
            time: time + Duration::microseconds(micros),
        })
    }
}

impl Store {
    /// Writes a key under the prefix of all others and deletes it again, to learn whether that is allowed.
    pub async fn try_write(&self) -> Result<(), StoreError> {
        let key = self.keys().trial(&std::process::id().to_string());
        // It goes by itself should we be cut off in between.
        self.query::<()>(redis::cmd("SET").arg(&key).arg(1).arg("EX").arg(10))
            .await?;
        self.query::<()>(redis::cmd("DEL").arg(&key)).await
    }
}

/// What each primary says.
fn words(told: Option<&str>) -> impl Iterator<Item = &str> {
    told.unwrap_or_default().split_whitespace()
}

fn greatest(told: Option<&str>) -> u64 {
    words(told).filter_map(|one| one.parse().ok()).max().unwrap_or(0)
}
