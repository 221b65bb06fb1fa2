//! The suppliers' stakes beside the configuration, once at start: what does not fit is told in the log.

use pocket_config::RelayerConfig;
use pocket_keys::KeySet;
use pocket_query::{BlockFeed, ChainClient};
use tokio_util::task::AbortOnDropHandle;

use super::{Finding, Severity, services, suppliers};
use crate::parts::Parts;

/// Waits for the node, then looks at suppliers, and at their services beside the backends. Ends by itself.
pub fn at_relayers_start(config: &RelayerConfig, parts: &Parts) -> AbortOnDropHandle<()> {
    let config = config.clone();
    look(parts, async move |keys, chain| {
        let (staked, mut findings) = suppliers(&keys, &chain).await;
        findings.extend(services(&config, &staked));
        findings
    })
}

/// Waits for the node, then looks at suppliers. Ends by itself.
pub fn at_miners_start(parts: &Parts) -> AbortOnDropHandle<()> {
    look(parts, async move |keys, chain| suppliers(&keys, &chain).await.1)
}

fn look<F>(parts: &Parts, find: impl FnOnce(KeySet, ChainClient) -> F + Send + 'static) -> AbortOnDropHandle<()>
where
    F: Future<Output = Vec<Finding>> + Send,
{
    let (keys, chain, feed) = (parts.keys.clone(), parts.chain.clone(), parts.feed.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        if first_block(&feed).await {
            for finding in find(keys, chain).await {
                tell(&finding);
            }
        }
    }))
}

/// Whether there was one before the feed ended.
async fn first_block(feed: &BlockFeed) -> bool {
    feed.subscribe().wait_for(|block| block.height.0 > 0).await.is_ok()
}

fn tell(finding: &Finding) {
    if finding.severity == Severity::Ok {
        return;
    }
    let (found, remedy, key) = (&finding.what, finding.remedy.as_deref(), finding.key.as_deref());
    tracing::warn!(found, remedy, key, "stakes and configuration do not fit");
}
