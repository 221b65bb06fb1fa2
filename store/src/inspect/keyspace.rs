//! Finding, describing and removing keys, on one server or on all of a Cluster.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use redis::{Cmd, FromRedisValue, RedisError, Value};

use crate::link::Link;
use crate::{Store, StoreError};

/// Keys that Redis looks at in one step of a scan.
const SCAN_COUNT: usize = 1000;
/// Commands that are under way at once.
pub(super) const AT_ONCE: usize = 64;

/// A key as it looks from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name.
    pub key: String,
    /// `string`, `hash`, `set`, `stream` and so on; `none` if it went away meanwhile.
    pub kind: String,
    /// When it expires; `None` for never.
    pub ttl: Option<Duration>,
    /// Memory that it takes, if Redis tells.
    pub bytes: Option<u64>,
}

/// A scan of all keys that match a pattern. It never holds Redis up, as `KEYS` does. Names that are no UTF-8 are none of
/// ours and are left out; a name may come twice.
pub struct KeyScan {
    store: Store,
    pattern: String,
    /// Servers that are still to be scanned, and how far.
    places: VecDeque<(Place, u64)>,
    has_begun: bool,
}

enum Place {
    /// The only server.
    Here,
    /// One primary of a Cluster.
    Node { host: String, port: u16 },
}

impl Store {
    /// Scans for keys that match `pattern`, in Redis' way of writing patterns.
    pub fn scan(&self, pattern: impl Into<String>) -> KeyScan {
        KeyScan {
            store: self.clone(),
            pattern: pattern.into(),
            places: VecDeque::new(),
            has_begun: false,
        }
    }

    /// All keys that match any of the patterns, each once, sorted; `found` hears how many there are so far.
    pub async fn find_keys(
        &self,
        patterns: impl IntoIterator<Item = String>,
        mut found: impl FnMut(u64),
    ) -> Result<Vec<String>, StoreError> {
        let mut keys = BTreeSet::new();
        for pattern in patterns {
            let mut scan = self.scan(pattern);
            while let Some(page) = scan.next().await? {
                keys.extend(page);
                found(keys.len() as u64);
            }
        }
        Ok(keys.into_iter().collect())
    }

    /// Type, time to live and size of each key, in their order.
    pub async fn describe_keys(&self, keys: &[String]) -> Result<Vec<KeyInfo>, StoreError> {
        let each = keys.iter().map(|key| self.describe(key));
        stream::iter(each).buffered(AT_ONCE).try_collect().await
    }

    async fn describe(&self, key: &str) -> Result<KeyInfo, StoreError> {
        let of = |command: &str| {
            let mut command = redis::cmd(command);
            command.arg(key);
            command
        };
        let mut memory = redis::cmd("MEMORY");
        memory.arg("USAGE").arg(key);
        let (kind, ttl, bytes) = (of("TYPE"), of("PTTL"), memory);
        let (kind, ttl) = tokio::try_join!(self.query::<String>(&kind), self.query::<i64>(&ttl))?;
        Ok(KeyInfo {
            key: key.to_owned(),
            kind,
            ttl: remaining(ttl),
            // Not every managed Redis allows it.
            bytes: self.query(&bytes).await.unwrap_or(None),
        })
    }

    /// When a key expires; `None` for never, or for no such key.
    pub async fn time_to_live(&self, key: &str) -> Result<Option<Duration>, StoreError> {
        Ok(remaining(self.query(redis::cmd("PTTL").arg(key)).await?))
    }

    /// Removes keys one by one, so that no server of a Cluster sees another's; `done` hears how many are done. Gives the
    /// number of those that were there.
    pub async fn remove_keys(&self, keys: &[String], mut done: impl FnMut(u64)) -> Result<u64, StoreError> {
        let each = keys.iter().map(|key| async move {
            let mut unlink = redis::cmd("UNLINK");
            self.query::<u64>(unlink.arg(key)).await
        });
        let mut answers = stream::iter(each).buffered(AT_ONCE);
        let (mut removed, mut asked) = (0, 0);
        while let Some(answer) = answers.next().await {
            removed += answer?;
            asked += 1;
            done(asked);
        }
        Ok(removed)
    }
}

/// PTTL's answer: below 0 there is no end, or no key.
fn remaining(milliseconds: i64) -> Option<Duration> {
    u64::try_from(milliseconds).ok().map(Duration::from_millis)
}

impl KeyScan {
    /// The next keys, possibly none of them; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<String>>, StoreError> {
        if !self.has_begun {
            self.has_begun = true;
            self.places = self.servers().await?;
        }
        let Some((place, cursor)) = self.places.front() else {
            return Ok(None);
        };
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&self.pattern);
        scan.arg("COUNT").arg(SCAN_COUNT);
        let answer = match place {
            Place::Here => self.store.query::<Value>(&scan).await?,
            Place::Node { host, port } => {
                let node = SingleNodeRoutingInfo::ByAddress {
                    host: host.clone(),
                    port: *port,
                };
                self.route(scan, RoutingInfo::SingleNode(node)).await?
            }
        };
        let (cursor, names) = read::<(u64, Vec<Vec<u8>>)>(answer)?;
        match cursor {
            0 => drop(self.places.pop_front()),
            cursor => self.places[0].1 = cursor,
        }
        let names = names.into_iter().filter_map(|name| String::from_utf8(name).ok());
        Ok(Some(names.collect()))
    }

    /// Who has keys.
    async fn servers(&self) -> Result<VecDeque<(Place, u64)>, StoreError> {
        if !self.store.is_cluster() {
            return Ok(VecDeque::from([(Place::Here, 0)]));
        }
        // Without a policy each primary's answer comes with its address.
        let everyone = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let answers = self.route(redis::cmd("DBSIZE"), everyone).await?;
        let answers = read::<Vec<(String, u64)>>(answers)?;
        let places = answers.into_iter().filter(|(_, keys)| *keys > 0);
        places
            .map(|(address, _)| {
                let (host, port) = address.rsplit_once(':').ok_or_else(|| unclear(&address))?;
                let (host, port) = (host.to_owned(), port.parse().map_err(|_| unclear(&address))?);
                Ok((Place::Node { host, port }, 0))
            })
            .collect()
    }

    async fn route(&self, command: Cmd, routing: RoutingInfo) -> Result<Value, StoreError> {
        match self.store.link() {
            Link::Cluster(mut cluster) => Ok(cluster.route_command(command, routing).await?),
            Link::Primary(_) => unreachable!("only a Cluster's keys are on several nodes"),
        }
    }
}

fn unclear(address: &str) -> StoreError {
    StoreError::malformed("an address in a Cluster", address)
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, StoreError> {
    let value = value.extract_error()?;
    Ok(redis::from_redis_value(value).map_err(RedisError::from)?)
}
