//! How many replicas must have a relay before its session may be closed.
//!
//! A primary answers before its replicas have a write. If it dies then, the replica that takes its place never had it.
//! Whatever a miner writes is a step from one consistent state to the next, so an older state only means that relays
//! come again; but a relay that its relayer has let go comes from nowhere. So a relayer lets go only when a replica
//! has it, too.

use std::time::Duration;

use redis::Value;

use crate::{address::Address, link::Link};

/// How long replicas are waited for before the relay counts as not published yet.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is demanded of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplicaPolicy {
    /// The primary's word is enough.
    Ignore,
    /// One replica, if the primary has any: with none there is nothing that could take its place.
    OneIfAny,
    /// So many, whatever happens.
    AtLeast(u32),
}

impl ReplicaPolicy {
    pub fn of(address: &Address, configured: Option<u32>) -> Self {
        match configured {
            Some(0) => Self::Ignore,
            Some(count) => Self::AtLeast(count),
            None if address.fails_over() => Self::OneIfAny,
            None => Self::Ignore,
        }
    }

    /// How many must confirm.
    pub fn wanted(self) -> Option<u32> {
        match self {
            Self::Ignore => None,
            Self::OneIfAny => Some(1),
            Self::AtLeast(count) => Some(count),
        }
    }

    /// Adds the wait for replicas behind the writes of a pipeline.
    pub fn wait(self, pipeline: &mut redis::Pipeline) {
        if let Some(wanted) = self.wanted() {
            pipeline.cmd("WAIT").arg(wanted).arg(PATIENCE.as_millis() as u64);
        }
    }

    /// Whether `confirmed` replicas are enough on the server that has `key`.
    pub async fn is_met(self, confirmed: u32, link: &Link, key: &str) -> bool {
        if self.wanted().is_none_or(|wanted| confirmed >= wanted) {
            return true;
        }
        self == Self::OneIfAny && has_no_replica(link, key).await == Some(true)
    }
}

/// Whether the server that has `key` knows no replica; `None` when it does not say.
async fn has_no_replica(link: &Link, key: &str) -> Option<bool> {
    let mut pipeline = redis::pipe();
    // The first command's key says which server of a Cluster is asked.
    pipeline.cmd("XLEN").arg(key).ignore();
    pipeline.cmd("INFO").arg("replication");
    let (info,): (Value,) = pipeline.query_async(&mut link.clone()).await.ok()?;
    let info: redis::InfoDict = redis::from_redis_value(info).ok()?;
    info.get::<u32>("connected_slaves").map(|count| count == 0)
}
