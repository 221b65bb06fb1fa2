//! How many replicas must have a write before something outside of Redis may follow from it.
//!
//! A primary answers before its replicas have a write. If it dies then, the replica that takes its place never had it.
//! Most of what a miner writes is a step from one consistent state to the next, so an older state only means that relays
//! come again. But a relay that its relayer has let go comes from nowhere, and a claim stays on chain. So a relayer lets
//! a relay go, and a miner claims a sealed tree, only when a replica has it, too.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
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
enum Policy {
    /// The primary's word is enough.
    Ignore,
    /// One replica, unless the primary has had none for long: then there is nothing that could take its place.
    OneIfAny,
    /// So many, whatever happens.
    AtLeast(u32),
}

/// What is demanded of replicas, and which primaries were seen without any, and since when.
///
/// One look at a primary that is alone tells nothing. One that was paused and replaced meanwhile wakes up, takes what
/// waits for it, and has no replica, because its replica took its place; a replica that starts again is back in a
/// moment, and its primary may die before.
pub(crate) struct Replicas {
    policy: Policy,
    // Locked only while replicas are missing, and for nanoseconds.
    alone: Mutex<HashMap<String, Sighting>>,
    believed_after: Duration,
}

struct Sighting {
    /// Tells a server from the one that takes its place, and from itself after a restart.
    run_id: String,
    since: Instant,
    last: Instant,
}

impl Replicas {
    /// `configured` as in [`crate::StoreConfig::wait_replicas`]; a primary is believed to be alone after
    /// `believed_after`.
    pub fn of(address: &Address, configured: Option<u32>, believed_after: Duration) -> Self {
        let policy = match configured {
            Some(0) => Policy::Ignore,
            Some(count) => Policy::AtLeast(count),
            None if address.fails_over() => Policy::OneIfAny,
            None => Policy::Ignore,
        };
        Self {
            policy,
            alone: Mutex::default(),
            believed_after,
        }
    }

    /// How many must confirm.
    pub fn wanted(&self) -> Option<u32> {
        match self.policy {
            Policy::Ignore => None,
            Policy::OneIfAny => Some(1),
            Policy::AtLeast(count) => Some(count),
        }
    }

    /// Adds the wait for replicas behind the writes of a pipeline. Its answer is how many have them.
    pub fn wait(&self, pipeline: &mut redis::Pipeline) {
        if let Some(wanted) = self.wanted() {
            pipeline.cmd("WAIT").arg(wanted).arg(PATIENCE.as_millis() as u64);
        }
    }

    /// Whether a write to `key` over this link, that `confirmed` replicas have, outlives its primary.
    pub async fn are_enough(&self, confirmed: u32, store: &Store, link: &Link, key: &str) -> bool {
        // Elsewhere there is one primary, whatever is asked of it.
        let server = if store.is_cluster() { key } else { "" };
        if self.wanted().is_none_or(|wanted| confirmed >= wanted) {
            self.has_company(server);
            return true;
        }
        let Some(run_id) = alone(link, key).await else {
            self.has_company(server);
            return false;
        };
        if self.is_believed(server, &run_id, Instant::now()) {
            return self.policy == Policy::OneIfAny;
        }
        // Sentinels know sooner than the server itself that it was replaced.
        if let Some(named) = store.named_by_sentinels().await
            && named != run_id
        {
            tracing::warn!("this Redis was replaced as the primary: the other is written to");
            self.has_company(server);
            link.forget();
        }
        false
    }

    fn has_company(&self, server: &str) {
        self.alone().remove(server);
    }

    /// Notes that a server is alone at a moment; `true` when it was so at every look since long.
    fn is_believed(&self, server: &str, run_id: &str, now: Instant) -> bool {
        let mut alone = self.alone();
        let known = alone.get_mut(server).filter(|seen| seen.run_id == run_id);
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
        alone.insert(server.to_owned(), seen);
        false
    }

    fn alone(&self) -> MutexGuard<'_, HashMap<String, Sighting>> {
        self.alone.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn replicas() -> Replicas {
        let address = Address::parse("redis-cluster://a:1").unwrap();
        Replicas::of(&address, None, seconds(20))
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn primary_is_believed_only_after_it_was_alone_for_long() {
        let (replicas, start) = (replicas(), Instant::now());
        assert!(!replicas.is_believed("key", "run", start));
        assert!(!replicas.is_believed("key", "run", start + seconds(19)));
        assert!(replicas.is_believed("key", "run", start + seconds(20)));
        assert!(replicas.is_believed("key", "run", start + seconds(40)));
    }

    #[test]
    fn replica_another_server_and_a_long_pause_begin_it_anew() {
        let (replicas, start) = (replicas(), Instant::now());
        assert!(!replicas.is_believed("key", "run", start));
        replicas.has_company("key");
        assert!(!replicas.is_believed("key", "run", start + seconds(21)));
        assert!(!replicas.is_believed("key", "other", start + seconds(42)));
        assert!(!replicas.is_believed("key", "other", start + seconds(73)));
        assert!(replicas.is_believed("key", "other", start + seconds(94)));
    }

    #[test]
    fn servers_of_a_cluster_are_told_apart() {
        let (replicas, start) = (replicas(), Instant::now());
        assert!(!replicas.is_believed("one", "a", start));
        assert!(!replicas.is_believed("two", "b", start + seconds(20)));
        assert!(replicas.is_believed("one", "a", start + seconds(20)));
    }
}
