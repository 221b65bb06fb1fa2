//! What the meter does now and then, apart from the ledger, since the chain may be slow: factors and terms read again,
//! sessions that are over forgotten.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use pocket_protocol::Height;
use pocket_query::BlockFeed;
use tokio_util::sync::CancellationToken;

use super::Meter;
use super::account::{Account, Standing};

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(5);
/// Accounts whose terms are asked for at a time.
const AT_ONCE: usize = 4;
/// Limits are computed anew so often: stakes and factors change.
const TERMS_HOLD: Duration = Duration::from_mins(1);
/// The same for an account that has nothing left.
const TERMS_HOLD_EXHAUSTED: Duration = Duration::from_secs(15);

/// Looks after the meter until `cancel`.
pub(crate) async fn keep(meter: Arc<Meter>, feed: BlockFeed, cancel: CancellationToken) {
    while cancel.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        cancel.run_until_cancelled(round(&meter, feed.height())).await;
    }
}

async fn round(meter: &Meter, height: Height) {
    close_ended(meter, height).await;
    meter.read_factors().await;
    let due = meter.all().into_iter().filter(|account| are_terms_due(meter, account));
    futures::stream::iter(due)
        .for_each_concurrent(AT_ONCE, |account| async move { meter.learn(&account, height).await })
        .await;
}

fn are_terms_due(meter: &Meter, account: &Account) -> bool {
    let terms = account.terms.load();
    let Some(terms) = terms.as_ref() else { return true };
    let hold = if *account.standing.borrow() == Standing::Exhausted {
        TERMS_HOLD_EXHAUSTED
    } else {
        TERMS_HOLD
    };
    terms.read_at.elapsed() >= hold || terms.factor != meter.factors.load().of(account.holder.service.as_str())
}

/// Forgets the sessions that nobody serves any more, and removes their keys. Every relayer does: what is gone already
/// does not matter, and who dies leaves keys that expire.
async fn close_ended(meter: &Meter, height: Height) {
    let mut ended = Vec::new();
    meter.accounts.lock().retain(|name, account| {
        let is_over = height > account.holder.claim_open;
        if is_over {
            ended.push(name.clone());
        }
        !is_over
    });
    if let Err(error) = meter.store.close_meters(&meter.config.redis_key_prefix, &ended).await {
        meter.metrics.redis_errors.with_label_values(&["remove accounts"]).inc();
        tracing::debug!(%error, sessions = ended.len(), "accounts not removed: they expire");
    }
}
