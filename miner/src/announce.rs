//! Tells blocks and parameters on Redis for the fleet: relayers of the Go peer learn the chain's height from nowhere else,
//! and keep the shared parameters of their start until the leader tells others.

use pocket_protocol::Height;
use pocket_store::{BlockEvent, Lease, LeaseKind, ServiceFactors, StoreError};
use prost::Message as _;
use thiserror::Error;
use tokio::sync::watch;
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
pub(crate) async fn run(
    settings: Settings,
    deps: Deps,
    factors: watch::Receiver<ServiceFactors>,
    board: Board,
    cancel: CancellationToken,
) {
    let told = factors.borrow().clone();
    let mut announcer = Announcer {
        told,
        factors,
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
    /// As the configuration has them now.
    factors: watch::Receiver<ServiceFactors>,
    /// As they were told last.
    told: ServiceFactors,
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
                Ok(()) = self.factors.changed() => self.tell_factors(true).await,
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
    async fn tell_factors(&mut self, anew: bool) -> Result<(), AnnounceError> {
        if self.lease.is_none() {
            return Ok(());
        }
        let (store, ttl) = (&self.deps.store, self.settings.service_factors_ttl);
        let factors = self.factors.borrow_and_update().clone();
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        store.write_service_factors(&factors, ttl, now, anew).await?;
        // Relayers would go by what is no longer configured until it expires.
        store.remove_service_factors(gone(&self.told, &factors)).await?;
        self.told = factors;
        Ok(())
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

/// The services, and (`None`) the default, that have a factor in `old` alone.
fn gone<'f>(old: &'f ServiceFactors, new: &'f ServiceFactors) -> impl Iterator<Item = Option<&'f str>> {
    let default = (old.default.is_some() && new.default.is_none()).then_some(None);
    let services = old.by_service.keys().filter(|id| !new.by_service.contains_key(*id));
    default.into_iter().chain(services.map(|id| Some(id.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_that_are_no_longer_configured_are_taken_back() {
        let factors = |default, services: &[&str]| ServiceFactors {
            default,
            by_service: services.iter().map(|id| ((*id).to_owned(), 0.5)).collect(),
        };
        let (old, new) = (factors(Some(0.1), &["a", "b"]), factors(None, &["b", "c"]));
        assert_eq!(gone(&old, &new).collect::<Vec<_>>(), [None, Some("a")]);
        assert_eq!(gone(&new, &old).collect::<Vec<_>>(), [Some("c")]);
        assert_eq!(gone(&old, &old).count(), 0);
    }
}
