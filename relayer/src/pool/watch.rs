//! The tasks that watch endpoints: probes and the search for outliers.

use std::sync::Arc;

use pocket_config::OutlierEjection;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Pool;
use super::backends::Watched;
use super::probe::Probe;

/// Watches a pool's endpoints until `cancel`, in tasks that end with `tasks`.
pub(crate) fn watch_all<C: Send + Sync + 'static>(
    pool: &Arc<Pool<C>>,
    watched: &Watched,
    tasks: &mut JoinSet<()>,
    cancel: &CancellationToken,
) {
    for index in 0..watched.probes.len() {
        let (pool, probes, cancel) = (pool.clone(), watched.probes.clone(), cancel.clone());
        tasks.spawn(async move {
            let probing = probe_again_and_again(&pool, index, &probes[index]);
            cancel.run_until_cancelled(probing).await;
        });
    }
    if let Some(rule) = watched.outliers.clone() {
        let (pool, cancel) = (pool.clone(), cancel.clone());
        tasks.spawn(async move {
            cancel.run_until_cancelled(look_for_outliers(&pool, &rule)).await;
        });
    }
}

async fn probe_again_and_again<C>(pool: &Pool<C>, index: usize, probe: &Probe) {
    let endpoint = &pool.endpoints()[index];
    let (mut good, mut bad) = (0, 0);
    loop {
        match probe.ask().await {
            Ok(()) => {
                endpoint.metrics.probes_good.inc();
                (good, bad) = (good + 1, 0);
                if good >= probe.successes {
                    pool.probed(index, false);
                    good = 0;
                }
            }
            Err(error) => {
                endpoint.metrics.probes_failed.inc();
                tracing::debug!(pool = &*pool.name, endpoint = &*endpoint.name, %error, "probe failed");
                (good, bad) = (0, bad + 1);
                if bad >= probe.failures {
                    pool.probed(index, true);
                    bad = 0;
                }
            }
        }
        tokio::time::sleep(probe.interval).await;
    }
}

async fn look_for_outliers<C>(pool: &Pool<C>, rule: &OutlierEjection) {
    loop {
        tokio::time::sleep(rule.interval).await;
        pool.eject_outliers(rule);
    }
}
