//! What sealed sessions are expected to pay.

use pocket_protocol::Upokt;
use pocket_protocol::reward::{Price, claimed_upokt};
use pocket_query::{ChainClient, QueryError};
use pocket_store::SessionRecord;

use crate::worker::Worker;

/// What a session's relays are worth by the price and difficulty at its start, before caps and shares; `None` where
/// the parameters give no amount.
async fn worth(chain: &ChainClient, record: &SessionRecord) -> Result<Option<Upokt>, QueryError> {
    let (params, target) = tokio::try_join!(
        chain.shared_params_at(record.start),
        chain.difficulty_target_at(record.service.as_str(), record.start),
    )?;
    Ok(claimed_upokt(record.compute_units, Price::from(&*params), &target).ok())
}

impl Worker {
    /// Finds out what sealed sessions are worth, for the metrics alone: nothing waits for it, and the first failure puts
    /// the rest off.
    pub(crate) async fn find_worth(&mut self) {
        let unknown = self.sessions.values().filter(|session| session.worth.is_none());
        let sealed = unknown.filter(|session| session.record.claimed_root.is_some());
        let records: Vec<SessionRecord> = sealed.map(|session| session.record.clone()).collect();
        for record in records {
            match self.ask(worth(&self.deps.chain, &record)).await {
                // Kept by the client: what was once asked of a start costs nothing more.
                Ok(worth) => self.session_mut(&record.session).worth = Some(worth.unwrap_or_default()),
                Err(error) => {
                    tracing::debug!(%error, session = %record.session, "a session's worth is not known yet");
                    return;
                }
            }
        }
    }
}
