//! What a relayer tells miners: up to which session it is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pocket_protocol::Height;
use pocket_query::{BlockFeed, ChainClient, QueryError};
use pocket_store::Store;
use tokio_util::sync::CancellationToken;

use crate::drain::{Drain, Horizon, horizon};
use crate::metrics::Metrics;

/// Between two writes of the watermark.
const EVERY: Duration = Duration::from_millis(250);
/// How long a write may take.
const LONGEST_WRITE: Duration = Duration::from_secs(1);
/// How long the first relay waits for the chain's height, and as long again for Redis.
const FIRST_PATIENCE: Duration = Duration::from_secs(2);

/// Closes sessions as blocks come, and tells miners.
pub(crate) struct Watermarks {
    pub chain: ChainClient,
    pub feed: BlockFeed,
    pub store: Store,
    pub drain: Arc<Drain>,
    pub metrics: Metrics,
    /// How long miners go by what was written last.
    pub counts_for: Duration,
}

/// What was said first, and what came of it.
#[derive(Default)]
pub(crate) struct FirstWord {
    known: Option<(Height, Horizon)>,
    /// Miners do not wait for a relayer that they have not heard of, or no more.
    confirmed_at: Option<Instant>,
}

impl Watermarks {
    /// Speaks before the first relay is taken. Until then no miner waits for this relayer: whatever session has ended by
    /// now may be sealed without it, and is closed here for good.
    pub async fn begin(&self, instance: &str) -> FirstWord {
        let mut first = FirstWord::default();
        // Not the feed: it may have begun before a pause.
        let horizon = async {
            let height = self.chain.status().await?.height;
            Ok::<_, QueryError>((height, current_horizon(&self.chain, height).await?))
        };
        match tokio::time::timeout(FIRST_PATIENCE, horizon).await {
            Ok(Ok((height, horizon))) => {
                self.drain.learn(horizon);
                self.drain.advance(horizon.without_ended_sessions());
                first.known = Some((height, horizon));
            }
            Ok(Err(error)) => tracing::warn!(%error, "the chain's height is not known at the start"),
            Err(_) => tracing::warn!("the chain does not tell its height at the start"),
        }
        let height = first.known.map_or(Height(0), |(height, _)| height);
        let began = Instant::now();
        let write = self
            .store
            .write_watermark(instance, self.drain.watermark(height), self.counts_for);
        match tokio::time::timeout(FIRST_PATIENCE, write).await {
            Ok(Ok(())) => first.confirmed_at = Some(began),
            Ok(Err(error)) => tracing::warn!(%error, "miners do not know of this relayer yet"),
            Err(_) => tracing::warn!("miners do not know of this relayer yet: Redis does not answer"),
        }
        first
    }

    /// Works until `cancel`, under the relayer's name among those that share the Redis.
    pub async fn run(self, instance: String, first: FirstWord, cancel: CancellationToken) {
        let mut blocks = self.feed.subscribe();
        let FirstWord {
            mut known,
            mut confirmed_at,
        } = first;
        // Here the last word stops counting well before it does for miners.
        let trusted_for = self.counts_for * 4 / 5;
        loop {
            let height = self.feed.height();
            self.metrics.height.set(height.0);
            self.metrics.in_flight.set(self.drain.in_flight() as i64);
            if height.0 > 0 && known.is_none_or(|(at, _)| at < height) {
                match current_horizon(&self.chain, height).await {
                    Ok(horizon) => known = Some((height, horizon)),
                    Err(error) => tracing::debug!(%error, "no parameters: no session is closed"),
                }
            }
            if let Some((_, horizon)) = known {
                self.drain.learn(horizon);
                let is_told = confirmed_at.is_some_and(|at| at.elapsed() < trusted_for);
                self.drain.advance(if is_told {
                    horizon
                } else {
                    horizon.without_ended_sessions()
                });
            }
            let began = Instant::now();
            let write = self
                .store
                .write_watermark(&instance, self.drain.watermark(height), self.counts_for);
            match tokio::time::timeout(LONGEST_WRITE, write).await {
                Ok(Ok(())) => confirmed_at = Some(began),
                Ok(Err(error)) => tracing::debug!(%error, "watermark not written"),
                Err(_) => tracing::debug!("watermark not written in time"),
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
                Ok(()) = blocks.changed() => {}
            }
        }
    }
}

async fn current_horizon(chain: &ChainClient, height: Height) -> Result<Horizon, QueryError> {
    let mut known = BTreeMap::new();
    loop {
        let mut missing = height;
        let found = horizon(height, |at| {
            missing = at;
            known.get(&at).cloned()
        });
        match found {
            Some(horizon) => return Ok(horizon),
            None => known.insert(missing, chain.shared_params_at(missing).await?),
        };
    }
}
