//! What sessions are worth: price and difficulty at their start, asked once.

use std::collections::{HashMap, HashSet};

use pocket_protocol::reward::{Price, claimed_upokt};
use pocket_protocol::{Height, ServiceId};
use pocket_query::{ChainClient, QueryError};
use pocket_store::SessionRecord;

/// What fixes the worth of a session's compute units: they are the same for all sessions of a service that start at
/// one block.
type Name = (ServiceId, Height);

/// Price and difficulty target.
pub(super) type UnitWorth = (Price, [u8; 32]);

/// What is known.
#[derive(Clone, Default)]
pub(super) struct Worth(HashMap<Name, UnitWorth>);

impl Worth {
    /// What a claim for these sessions would have to know, and is not known; forgets what is for other sessions.
    pub fn unknown<'a>(&mut self, records: impl Iterator<Item = &'a SessionRecord>) -> Vec<Name> {
        let wanted: HashSet<Name> = records.map(|record| (record.service.clone(), record.start)).collect();
        self.0.retain(|name, _| wanted.contains(name));
        wanted.into_iter().filter(|name| !self.0.contains_key(name)).collect()
    }

    pub fn learn(&mut self, service: ServiceId, start: Height, worth: UnitWorth) {
        self.0.insert((service, start), worth);
    }

    /// Upokt that a claim of the session would be for, before caps and shares.
    pub fn of(&self, record: &SessionRecord) -> Option<u64> {
        let (price, target) = self.0.get(&(record.service.clone(), record.start))?;
        let upokt = claimed_upokt(record.compute_units, *price, target).ok()?;
        u64::try_from(upokt.0).ok()
    }
}

/// What the chain says.
pub(super) async fn ask(chain: &ChainClient, service: &ServiceId, start: Height) -> Result<UnitWorth, QueryError> {
    let (params, target) = tokio::try_join!(
        chain.shared_params_at(start),
        chain.difficulty_target_at(service.as_str(), start),
    )?;
    Ok((Price::from(&*params), target))
}
