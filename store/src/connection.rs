use std::{sync::Arc, time::Duration};

use redis::{Cmd, FromRedisValue, Pipeline};

use crate::{Keys, Namespace, StoreError, address::Address, dedicated::Dedicated, link::Link, replicas::ReplicaPolicy};

/// Where Redis is and how keys are named.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// `redis://[user[:password]@]host:port[/database]`, with `rediss` for TLS;
    /// `redis-sentinel://[user:password@]host:port,…/name[?db=N]`; `redis-cluster://[user:password@]host:port,…`;
    /// the latter two with TLS as `rediss-sentinel` and `rediss-cluster`.
    pub url: String,
    /// Prefixes of all keys.
    pub namespace: Namespace,
    /// How many replicas must have a relay before it counts as published. `None`: with Sentinel and Cluster one,
    /// unless the primary has no replica at all; with a single server none.
    pub wait_replicas: Option<u32>,
}

impl StoreConfig {
    /// The default key names at `url`.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            namespace: Namespace::default(),
            wait_replicas: None,
        }
    }
}

/// Redis, shared by all of a process: one server, a primary that sentinels name, or a Cluster. Clones share one
/// multiplexed connection that finds its server again by itself.
#[derive(Clone)]
pub struct Store {
    address: Address,
    link: Link,
    keys: Arc<Keys>,
    replicas: ReplicaPolicy,
}

impl std::fmt::Debug for Store {
    // The URL may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Prepares a connection. A Redis that is away is an error of the first call, not of this one;
    /// must be called inside a tokio runtime.
    pub fn new(config: StoreConfig) -> Result<Self, StoreError> {
        let address = Address::parse(&config.url)?;
        let keys = Keys::new(config.namespace);
        Ok(Self {
            link: Link::open(&address)?,
            keys: Arc::new(if address.is_cluster() { keys.tagged() } else { keys }),
            replicas: ReplicaPolicy::of(&address, config.wait_replicas),
            address,
        })
    }

    /// Names of all keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// One round trip, to learn whether Redis is there.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.query(&redis::cmd("PING")).await
    }

    /// Value of one field of `INFO`, such as `used_memory`, or `None` if this Redis does not tell it; in a Cluster,
    /// each primary's, in no order.
    pub async fn info(&self, field: &str) -> Result<Option<String>, StoreError> {
        Ok(joined(&self.infos().await?, field))
    }

    /// All of `INFO`; in a Cluster, each primary's.
    pub(crate) async fn infos(&self) -> Result<Vec<redis::InfoDict>, StoreError> {
        let texts = match self.query(&redis::cmd("INFO")).await? {
            redis::Value::Map(nodes) => nodes.into_iter().map(|(_, text)| text).collect(),
            one => vec![one],
        };
        let read = |text| Ok(redis::from_redis_value(text).map_err(redis::RedisError::from)?);
        texts.into_iter().map(read).collect()
    }

    /// Sends one command.
    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        Ok(command.query_async(&mut self.link.clone()).await?)
    }

    /// Sends a pipeline: one round trip. All its keys must have one hash tag.
    pub(crate) async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        Ok(pipeline.query_async(&mut self.link.clone()).await?)
    }

    /// Runs a script. All its keys must have one hash tag.
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        script: &redis::ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        Ok(script.invoke_async(&mut self.link.clone()).await?)
    }

    /// A connection of its own, for calls that block for at most `block`.
    pub(crate) fn dedicated(&self, block: Duration) -> Dedicated {
        Dedicated::new(self.address.clone(), block)
    }

    /// A second connection like the shared one, for what may wait for replicas.
    pub(crate) fn separate(&self) -> Result<Link, StoreError> {
        Ok(Link::open(&self.address)?)
    }

    /// The shared connection.
    pub(crate) fn link(&self) -> Link {
        self.link.clone()
    }

    /// Where Redis is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether keys are spread over several servers.
    pub(crate) fn is_cluster(&self) -> bool {
        self.address.is_cluster()
    }

    pub(crate) fn replicas(&self) -> ReplicaPolicy {
        self.replicas
    }
}

/// What each server says of a field; `None` if none does.
pub(crate) fn joined(infos: &[redis::InfoDict], field: &str) -> Option<String> {
    let values: Vec<String> = infos.iter().filter_map(|info| info.get(field)).collect();
    (!values.is_empty()).then(|| values.join(" "))
}
