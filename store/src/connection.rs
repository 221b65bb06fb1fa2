use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use redis::{Cmd, FromRedisValue, Pipeline};

use crate::{
    Keys, Namespace, RedisMetrics, StoreError, address::Address, dedicated::Dedicated, link, link::Link,
    metrics::operation, replicas::Replicas,
};

/// Longer than a primary takes that stood still and was replaced, to learn of it.
const ALONE_FOR: Duration = Duration::from_secs(20);

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
    /// How long a primary that a replica could replace must be without any until its word alone counts.
    pub alone_for: Duration,
}

impl StoreConfig {
    /// The default key names at `url`.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            namespace: Namespace::default(),
            wait_replicas: None,
            alone_for: ALONE_FOR,
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
    replicas: Arc<Replicas>,
    /// Another connection like the first, made when it is wanted.
    second: Arc<OnceLock<Link>>,
    metrics: RedisMetrics,
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
        Self::with_metrics(config, RedisMetrics::default())
    }

    /// The same, and counts what is asked of Redis.
    pub fn with_metrics(config: StoreConfig, metrics: RedisMetrics) -> Result<Self, StoreError> {
        let address = Address::parse(&config.url)?;
        let keys = Keys::new(config.namespace);
        Ok(Self {
            link: Link::open(&address)?,
            keys: Arc::new(if address.is_cluster() { keys.tagged() } else { keys }),
            replicas: Arc::new(Replicas::of(&address, config.wait_replicas, config.alone_for)),
            second: Arc::default(),
            address,
            metrics,
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
        self.counted(operation(command), command.query_async(&mut self.link.clone()))
            .await
    }

    /// Sends a pipeline: one round trip. All its keys must have one hash tag.
    pub(crate) async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        self.counted("pipeline", pipeline.query_async(&mut self.link.clone()))
            .await
    }

    /// Runs a script. All its keys must have one hash tag.
    pub(crate) async fn script<T: FromRedisValue>(
        &self,
        script: &redis::ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.script_as("script", script).await
    }

    /// The same, counted under its own name.
    pub(crate) async fn script_as<T: FromRedisValue>(
        &self,
        name: &'static str,
        script: &redis::ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.counted(name, script.invoke_async(&mut self.link.clone())).await
    }

    /// Waits for an answer, and counts it.
    async fn counted<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = redis::RedisResult<T>>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let answer = call.await.map_err(StoreError::from);
        self.metrics.called(operation, began.elapsed(), &answer);
        answer
    }

    /// What calls are counted with.
    pub(crate) fn metrics(&self) -> &RedisMetrics {
        &self.metrics
    }

    /// A connection of its own, for calls that block for at most `block`.
    pub(crate) fn dedicated(&self, block: Duration) -> Dedicated {
        Dedicated::new(self.address.clone(), block)
    }

    /// The same Redis, where a replica may take a primary's place by a connection on which replicas are waited for:
    /// whoever waits holds up what comes behind him.
    #[must_use]
    pub fn careful(&self) -> Self {
        if self.replicas.wanted().is_none() {
            return self.clone();
        }
        let link = self.second.get_or_init(|| {
            // What an address may lack was found out with the first.
            Link::open(&self.address).unwrap_or_else(|_| self.link())
        });
        Self {
            link: link.clone(),
            ..self.clone()
        }
    }

    /// How often the server was looked for: as long as this stays the same, all answers are of one server, which was
    /// not started again. Always 0 for a Cluster.
    pub fn connections(&self) -> u64 {
        self.link.connections()
    }

    /// The run id of the server that sentinels name now; `None` where there are none, or where none answers.
    pub(crate) async fn named_by_sentinels(&self) -> Option<String> {
        let Address::Sentinel { .. } = self.address else {
            return None;
        };
        let mut named = link::connect(&self.address, link::RESPONSE_TIMEOUT).await.ok()?;
        let info: redis::InfoDict = redis::cmd("INFO").arg("server").query_async(&mut named).await.ok()?;
        info.get("run_id")
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

    pub(crate) fn replicas(&self) -> &Replicas {
        &self.replicas
    }
}

/// What each server says of a field; `None` if none does.
pub(crate) fn joined(infos: &[redis::InfoDict], field: &str) -> Option<String> {
    let values: Vec<String> = infos.iter().filter_map(|info| info.get(field)).collect();
    (!values.is_empty()).then(|| values.join(" "))
}
