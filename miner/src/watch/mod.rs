//! What goes wrong slowly: balances and stakes that run out, a Redis that fills or forgets, blocks that come late,
//! clocks that drift. Nothing is done about it but to measure and to warn.

mod accounts;
mod blocks;
mod redis;
mod series;

use std::time::Duration;

use pocket_config::{BalanceMonitorConfig, BlockHealthConfig, MinerConfig};
use tokio_util::sync::CancellationToken;

use crate::Deps;
pub(crate) use series::Series;

/// Between two looks at Redis.
const REDIS_EVERY: Duration = Duration::from_secs(30);

/// What is watched.
#[derive(Clone, Debug)]
pub struct WatchSettings {
    /// Balances and stakes of the suppliers whose keys are held, if enabled.
    pub accounts: BalanceMonitorConfig,
    /// The pace of blocks, if enabled.
    pub blocks: BlockHealthConfig,
    /// What is expected between blocks.
    pub block_time: Duration,
    /// Between two looks at Redis.
    pub redis_every: Duration,
}

impl WatchSettings {
    /// As a configuration says.
    pub fn of(config: &MinerConfig) -> Self {
        Self {
            accounts: config.balance_monitor.clone(),
            blocks: config.block_health_monitor.clone(),
            block_time: config.block_time,
            redis_every: REDIS_EVERY,
        }
    }
}

/// Watches until `cancel`.
pub(crate) async fn run(settings: WatchSettings, deps: Deps, cancel: CancellationToken) {
    let watching = async {
        tokio::join!(
            accounts::run(&settings.accounts, &deps),
            blocks::run(&settings.blocks, settings.block_time, &deps),
            redis::run(settings.redis_every, &deps),
        )
    };
    cancel.run_until_cancelled(watching).await;
}
