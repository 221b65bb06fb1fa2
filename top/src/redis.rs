//! What Redis says of the fleet.

use std::time::{Duration, Instant};

use pocket_store::{LeaseKind, Store, StoreError};
use serde::Serialize;

/// How long Redis may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Redis, and who works with it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RedisView {
    /// How long one answer takes, in milliseconds.
    pub round_trip_ms: f64,
    /// Bytes in use.
    pub used_memory: u64,
    /// Bytes that may be used; 0 for all there are.
    pub max_memory: u64,
    /// Whether there is an append-only file.
    pub append_only: bool,
    /// Whether keys are dropped when memory is full.
    pub evicts: bool,
    /// The miner that leads the fleet.
    pub leader: Option<String>,
    /// Relayers that tell how far they are, by instance.
    pub relayers: Vec<String>,
    /// Relayers that have fallen silent.
    pub silent_relayers: Vec<String>,
}

/// Looks at Redis, or says in words why it cannot.
pub(crate) async fn look(store: &Store) -> Result<RedisView, String> {
    let late = |_| Err("no answer within three seconds".to_owned());
    let looked = tokio::time::timeout(PATIENCE, async { ask(store).await.map_err(|error| error.to_string()) });
    looked.await.unwrap_or_else(late)
}

async fn ask(store: &Store) -> Result<RedisView, StoreError> {
    // The first answer may have to wait for a connection.
    store.ping().await?;
    let asked = Instant::now();
    store.ping().await?;
    let round_trip_ms = asked.elapsed().as_secs_f64() * 1000.0;
    let health = store.health().await?;
    let known = store.relayers().await?;
    let mut relayers: Vec<String> = known.live.into_iter().map(|(instance, _)| instance).collect();
    relayers.sort_unstable();
    Ok(RedisView {
        round_trip_ms,
        used_memory: health.used_memory,
        max_memory: health.max_memory,
        append_only: health.append_only,
        evicts: health.evicts,
        leader: store.lease_holder(&LeaseKind::Leader).await?,
        relayers,
        silent_relayers: known.silent,
    })
}
