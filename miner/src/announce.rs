//! Tells blocks and parameters on Redis for the fleet: relayers of the Go peer learn the chain's height from nowhere else,
//! and keep the shared parameters of their start until the leader tells others.

use pocket_protocol::Height;
use pocket_store::{BlockEvent, Lease, LeaseKind, StoreError};
use prost::Message as _;
use thiserror::Error;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::status::Board;
use crate::{Deps, Settings};

/// Blocks from one telling of the parameters to the next, as the Go peer's leader does.
const PARAMS_EVERY: i64 = 4;

/// Why a block was not told; the next one is.
#[derive(Debug, Error)]
enum AnnounceError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Chain(#[from] pocket_query::QueryError),
}

/// While this miner leads the fleet, tells each newest block (spec `chain.md` §5), until `cancel`. Nothing that is ours
/// depends on it.
pub(crate) async fn run(settings: Settings, deps: Deps, board: Board, cancel: CancellationToken) {
    let mut announcer = Announcer {
        settings,
        deps,
        board,
        lease: None,
        params_told: None,
    };
    cancel.run_until_cancelled(announcer.work()).await;
    announcer.step_down().await;
}

struct Announcer {
    settings: Settings,
    deps: Deps,
    board: Board,
    /// Held while this miner leads.
    lease: Option<Lease>,
    /// The height at which parameters were told last.
    params_told: Option<Height>,
}

impl Announcer {
    async fn work(&mut self) {
        let mut blocks = self.deps.feed.subscribe();
        let mut tick = tokio::time::interval(self.settings.renew_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let outcome = tokio::select! {
                _ = tick.tick() => {
                    let outcome = self.lead().await;
                    self.count(&outcome);
                    self.board.leads(self.lease.is_some());
                    outcome
                }
                changed = blocks.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.announce().await
                }
            };
            if let Err(error) = outcome {
                tracing::warn!(%error, "a block is not told to the fleet");
            }
        }
    }

    async fn lead(&mut self) -> Result<(), AnnounceError> {
        let (store, ttl) = (&self.deps.store, self.settings.lease_ttl);
        if let Some(lease) = &self.lease {
            match store.renew(lease, ttl).await {
                Err(StoreError::Fenced) => self.lease = None,
                outcome => outcome?,
            }
            return self.tell_factors(false).await;
        }
        self.lease = store.acquire(&LeaseKind::Leader, &self.settings.instance, ttl).await?;
        if self.lease.is_some() {
            tracing::info!(instance = self.settings.instance, "blocks are told from here");
            self.announce().await?;
            self.tell_factors(true).await?;
        }
        Ok(())
    }

    /// Relayers limit applications by what the leader's configuration says.
    async fn tell_factors(&self, anew: bool) -> Result<(), AnnounceError> {
        if self.lease.is_none() {
            return Ok(());
        }
        let (factors, ttl) = (&self.settings.service_factors, self.settings.service_factors_ttl);
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let told = self.deps.store.write_service_factors(factors, ttl, now, anew);
        Ok(told.await?)
    }

    async fn announce(&mut self) -> Result<(), AnnounceError> {
        let height = self.deps.feed.height();
        if self.lease.is_none() || height.0 == 0 {
            return Ok(());
        }
        // The feed does not know hashes.
        let block = self.deps.chain.block(height).await?;
        let event = BlockEvent::new(block.height, &block.hash, block.time);
        self.deps.store.publish_block(&event).await?;
        self.deps.metrics.fleet.block_told();
        if self.params_told.is_none_or(|told| height - told >= PARAMS_EVERY) {
            self.tell_params().await?;
            self.params_told = Some(height);
        }
        Ok(())
    }

    /// The live parameters, kept in Redis for two sessions.
    async fn tell_params(&self) -> Result<(), AnnounceError> {
        let params = self.deps.chain.shared_params().await?;
        let blocks = u32::try_from(params.num_blocks_per_session * 2).unwrap_or(u32::MAX);
        let ttl = self.settings.watch.block_time.saturating_mul(blocks);
        let params = params.encode_to_vec();
        Ok(self.deps.store.tell_shared_params(&params, ttl).await?)
    }

    fn count(&self, outcome: &Result<(), AnnounceError>) {
        let (metrics, instance) = (&self.deps.metrics.fleet, &self.settings.instance);
        metrics.leading(instance, self.lease.is_some());
        if let Err(AnnounceError::Store(_)) = outcome {
            metrics.election_failed(instance);
        }
    }

    /// Lets another miner lead at once.
    async fn step_down(&self) {
        self.deps.metrics.fleet.leading(&self.settings.instance, false);
        if let Some(lease) = &self.lease
            && let Err(error) = self.deps.store.release(lease).await
        {
            tracing::debug!(%error, "the leader's lease runs out by itself");
        }
    }
}
