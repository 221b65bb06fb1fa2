//! How many replicas must have a relay before its session may be closed.
//!
//! A primary answers before its replicas have a write. If it dies then, the replica that takes its place never had it.
//! Whatever a miner writes is a step from one consistent state to the next, so an older state only means that relays
//! come again; but a relay that its relayer has let go comes from nowhere. So a relayer lets go only when a replica
//! has it, too.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use redis::InfoDict;

use crate::{Store, address::Address, link::Link};

/// How long replicas are waited for before the relay counts as not published yet.
const PATIENCE: Duration = Duration::from_millis(500);
/// A server that was not seen for so long is looked at anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// What is demanded of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplicaPolicy {
    /// The primary's word is enough.
    Ignore,
    /// One replica, unless the primary has none for [long](Lonely): then there is nothing that could take its place.
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

    /// Whether the primary may be believed that is alone.
    pub fn takes_none(self) -> bool {
        self == Self::OneIfAny
    }
}

/// Primaries that were seen without a replica, and since when.
///
/// One look tells nothing. A primary that was paused and replaced meanwhile wakes up, takes what waits for it, and has
/// no replica, because its replica took its place; a replica that starts again is back in a moment, and its primary
/// may die before.
pub(crate) struct Lonely {
    /// By whatever names the server for the caller.
    seen: HashMap<String, Sighting>,
    believed_after: Duration,
}

struct Sighting {
    /// Tells a server from the one that takes its place, and from itself after a restart.
    run_id: String,
    since: Instant,
    last: Instant,
}

impl Lonely {
    /// Believes a server that is alone for `believed_after`.
    pub fn new(believed_after: Duration) -> Self {
        Self {
            seen: HashMap::new(),
            believed_after,
        }
    }

    /// The server has a replica.
    pub fn has_company(&mut self, server: &str) {
        if !self.seen.is_empty() {
            self.seen.remove(server);
        }
    }

    /// Looks at the server that has `key`, of whose replicas not enough have confirmed; `true` if it has had none for
    /// long.
    pub async fn look(&mut self, server: &str, store: &Store, link: &Link, key: &str) -> bool {
        let Some(run_id) = alone(link, key).await else {
            self.has_company(server);
            return false;
        };
        if self.is_believed(server, &run_id, Instant::now()) {
            return true;
        }
        // Sentinels know sooner than the server itself that it was replaced.
        if let Some(named) = store.named_by_sentinels().await
            && named != run_id
        {
            tracing::warn!("this Redis was replaced as the primary: relays go to the other");
            self.has_company(server);
            link.forget();
        }
        false
    }

    /// Notes that a server is alone at a moment; `true` when it was so at every look since long.
    fn is_believed(&mut self, server: &str, run_id: &str, now: Instant) -> bool {
        let known = self.seen.get_mut(server).filter(|seen| seen.run_id == run_id);
        if let Some(seen) = known
            && now.duration_since(seen.last) < FORGOTTEN_AFTER.max(self.believed_after)
        {
            seen.last = now;
            return now.duration_since(seen.since) >= self.believed_after;
        }
        let seen = Sighting {
            run_id: run_id.to_owned(),
            since: now,
            last: now,
        };
        self.seen.insert(server.to_owned(), seen);
        false
    }
}

/// The run id of the server that has `key`, if it is a primary without any replica.
async fn alone(link: &Link, key: &str) -> Option<String> {
    let mut pipeline = redis::pipe();
    // The first command's key says which server of a Cluster is asked.
    pipeline.cmd("XLEN").arg(key).ignore();
    pipeline.cmd("INFO").arg("server");
    pipeline.cmd("INFO").arg("replication");
    let (server, replication): (InfoDict, InfoDict) = pipeline.query_async(&mut link.clone()).await.ok()?;
    // One that was demoted has no replica either.
    let is_primary = replication.get::<String>("role")? == "master";
    let is_alone = replication.get::<u32>("connected_slaves")? == 0;
    (is_primary && is_alone).then(|| server.get("run_id"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn primary_is_believed_only_after_it_was_alone_for_long() {
        let (mut lonely, start) = (Lonely::new(LONG), Instant::now());
        assert!(!lonely.is_believed("key", "run", start));
        assert!(!lonely.is_believed("key", "run", start + seconds(19)));
        assert!(lonely.is_believed("key", "run", start + seconds(20)));
        assert!(lonely.is_believed("key", "run", start + seconds(40)));
    }

    #[test]
    fn replica_another_server_and_a_long_pause_begin_it_anew() {
        let (mut lonely, start) = (Lonely::new(LONG), Instant::now());
        assert!(!lonely.is_believed("key", "run", start));
        lonely.has_company("key");
        assert!(!lonely.is_believed("key", "run", start + seconds(21)));
        assert!(!lonely.is_believed("key", "other", start + seconds(42)));
        assert!(!lonely.is_believed("key", "other", start + seconds(73)));
        assert!(lonely.is_believed("key", "other", start + seconds(94)));
    }

    #[test]
    fn servers_of_a_cluster_are_told_apart() {
        let (mut lonely, start) = (Lonely::new(LONG), Instant::now());
        assert!(!lonely.is_believed("one", "a", start));
        assert!(!lonely.is_believed("two", "b", start + seconds(20)));
        assert!(lonely.is_believed("one", "a", start + seconds(20)));
    }
}
