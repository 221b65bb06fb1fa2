//! What keys hold, read without any effect.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use pocket_protocol::{SessionId, SupplierAddress};

use super::keyspace::AT_ONCE;
use crate::{Keys, Store, StoreError, SupplierEntry, TreeRoots};

/// A key's text, and when it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredValue {
    /// Its bytes.
    pub bytes: Bytes,
    /// When it expires; `None` for never.
    pub ttl: Option<Duration>,
}

/// Some members of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetSample {
    /// All there are.
    pub members: u64,
    /// When the set expires; `None` for never.
    pub ttl: Option<Duration>,
    /// Some of them, at random.
    pub sample: Vec<Bytes>,
}

/// A stored tree, from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeContents {
    /// Operator address.
    pub supplier: String,
    /// Stored nodes, those included that no root leads to any more.
    pub nodes: u64,
    /// Its roots.
    pub roots: TreeRoots,
    /// When its nodes expire; `None` for never.
    pub ttl: Option<Duration>,
    /// Some nodes: digest in hex, and size in bytes.
    pub sample: Vec<(String, usize)>,
}

impl Store {
    /// A string's bytes; `None` if there is no such key.
    pub async fn value(&self, key: &str) -> Result<Option<StoredValue>, StoreError> {
        let bytes: Option<Bytes> = self.query(redis::cmd("GET").arg(key)).await?;
        Ok(match bytes {
            Some(bytes) => Some(StoredValue {
                bytes,
                ttl: self.time_to_live(key).await?,
            }),
            None => None,
        })
    }

    /// Values of many strings, those that are there, with their keys.
    pub async fn values(&self, keys: &[String]) -> Result<Vec<(String, StoredValue)>, StoreError> {
        let each = keys
            .iter()
            .map(|key| async move { Ok::<_, StoreError>((key.clone(), self.value(key).await?)) });
        let values: Vec<_> = stream::iter(each).buffered(AT_ONCE).try_collect().await?;
        let there = values.into_iter().filter_map(|(key, value)| Some((key, value?)));
        Ok(there.collect())
    }

    /// A set's size and some of its members; `None` if there is no such key.
    pub async fn set_sample(&self, key: &str, most: u64) -> Result<Option<SetSample>, StoreError> {
        let members: u64 = self.query(redis::cmd("SCARD").arg(key)).await?;
        if members == 0 {
            return Ok(None);
        }
        Ok(Some(SetSample {
            members,
            ttl: self.time_to_live(key).await?,
            sample: self.query(redis::cmd("SRANDMEMBER").arg(key).arg(most)).await?,
        }))
    }

    /// Members of a set.
    pub async fn members(&self, key: &str) -> Result<Vec<String>, StoreError> {
        let mut members: Vec<String> = self.query(redis::cmd("SMEMBERS").arg(key)).await?;
        members.sort_unstable();
        Ok(members)
    }

    /// Ids of a supplier's sessions, of those in one state if that is given, sorted.
    pub async fn session_ids(
        &self,
        supplier: &SupplierAddress,
        state: Option<&str>,
    ) -> Result<Vec<SessionId>, StoreError> {
        let keys = self.keys();
        let index = state.map_or_else(
            || keys.session_index(supplier),
            |state| keys.session_state(supplier, state),
        );
        let ids = self.members(&index).await?;
        Ok(ids.iter().map(|id| SessionId::from(id.as_str())).collect())
    }

    /// A session's record as it is stored, whoever wrote it: fields and values. `None` if there is none.
    ///
    /// Peers of long ago wrote JSON instead of a hash.
    pub async fn session_fields(
        &self,
        supplier: &SupplierAddress,
        session: &SessionId,
    ) -> Result<Option<BTreeMap<String, Bytes>>, StoreError> {
        let key = self.keys().session(supplier, session);
        let kind: String = self.query(redis::cmd("TYPE").arg(&key)).await?;
        if kind == "string" {
            let text: Bytes = self.query(redis::cmd("GET").arg(&key)).await?;
            let fields: BTreeMap<String, serde_json::Value> =
                serde_json::from_slice(&text).map_err(|error| StoreError::malformed(key, error))?;
            let text = |value: serde_json::Value| match value {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            let fields = fields.into_iter().map(|(name, value)| (name, text(value).into()));
            return Ok(Some(fields.collect()));
        }
        let fields: BTreeMap<String, Bytes> = self.query(redis::cmd("HGETALL").arg(&key)).await?;
        Ok((!fields.is_empty()).then_some(fields))
    }

    /// The trees of a session, one for each supplier that served in it, each with up to `sample` nodes.
    pub async fn session_trees(&self, session: &SessionId, sample: usize) -> Result<Vec<TreeContents>, StoreError> {
        let pattern = self.keys().session_trees(session);
        let head = pattern.split('*').next().unwrap_or_default().to_owned();
        let mut trees = Vec::new();
        for key in self.find_keys([pattern], |_| ()).await? {
            let Some((supplier, _)) = Keys::supplier_in(&head, &key) else {
                continue;
            };
            let Ok(address) = supplier.parse::<SupplierAddress>() else {
                continue;
            };
            let tree = self.tree(&address, session);
            let mut nodes = Vec::new();
            if sample > 0 {
                let (_, page) = tree.scan(0, sample).await?;
                nodes.extend(page.into_iter().map(|(digest, node)| (digest, node.len())).take(sample));
            }
            trees.push(TreeContents {
                supplier: supplier.to_owned(),
                nodes: tree.count().await?,
                roots: self.tree_roots(&address, session).await?,
                ttl: self.time_to_live(&key).await?,
                sample: nodes,
            });
        }
        Ok(trees)
    }

    /// All entries of the registry that can be read, by operator address.
    pub async fn suppliers(&self) -> Result<BTreeMap<String, SupplierEntry>, StoreError> {
        let pattern = self.keys().suppliers();
        let head = pattern.trim_end_matches('*').to_owned();
        let keys = self.find_keys([pattern], |_| ()).await?;
        let entries = self.values(&keys).await?.into_iter().filter_map(|(key, value)| {
            let entry = serde_json::from_slice(&value.bytes).ok()?;
            Some((key.strip_prefix(&head)?.to_owned(), entry))
        });
        Ok(entries.collect())
    }

    /// Leases on suppliers: operator address, the holder as it wrote itself, and when the lease ends.
    pub async fn supplier_leases(&self) -> Result<BTreeMap<String, (String, Option<Duration>)>, StoreError> {
        let pattern = self.keys().supplier_leases();
        let head = pattern.trim_end_matches('*').to_owned();
        let keys = self.find_keys([pattern], |_| ()).await?;
        // Beside a lease is the counter of its acquisitions.
        let keys: Vec<String> = keys.into_iter().filter(|key| !key.ends_with(":epoch")).collect();
        let leases = self.values(&keys).await?.into_iter().filter_map(|(key, value)| {
            let supplier = key.strip_prefix(&head)?.trim_matches(['{', '}']);
            let holder = String::from_utf8_lossy(&value.bytes).into_owned();
            Some((supplier.to_owned(), (holder, value.ttl)))
        });
        Ok(leases.collect())
    }

    /// Miners that said they are alive, those included that died since.
    pub async fn active_miners(&self) -> Result<Vec<String>, StoreError> {
        self.members(&self.keys().active_miners()).await
    }

    /// Suppliers that have sessions in Redis.
    pub async fn suppliers_with_sessions(&self) -> Result<Vec<SupplierAddress>, StoreError> {
        let pattern = self.keys().session_indexes();
        let head = pattern.split('*').next().unwrap_or_default().to_owned();
        let keys = self.find_keys([pattern], |_| ()).await?;
        let suppliers = keys
            .iter()
            .filter_map(|key| Keys::supplier_in(&head, key)?.0.parse().ok());
        Ok(suppliers.collect())
    }

    /// Removes what a Go peer cached: entry and its name in the set of all.
    pub async fn forget_cached(&self, kind: crate::CacheKind, name: &str) -> Result<bool, StoreError> {
        let key = self.keys().cached(kind, name);
        let removed = self.remove_keys(&[key], |_| ()).await?;
        if let Some(names) = self.keys().cached_names(kind) {
            self.query::<()>(redis::cmd("SREM").arg(names).arg(name)).await?;
        }
        Ok(removed > 0)
    }

    /// Removes a registry entry if it still is what it was: a miner may have mended it since.
    pub async fn remove_if_unchanged(&self, key: &str, was: &[u8]) -> Result<bool, StoreError> {
        let script = redis::Script::new(
            "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
             return redis.call('UNLINK', KEYS[1])",
        );
        let mut call = script.prepare_invoke();
        call.key(key).arg(was);
        Ok(self.script::<u64>(&call).await? > 0)
    }

    /// Says something on a channel; gives how many heard it, on this server alone if it is one of a Cluster.
    pub async fn publish(&self, channel: &str, text: &str) -> Result<u64, StoreError> {
        self.query(redis::cmd("PUBLISH").arg(channel).arg(text)).await
    }
}
