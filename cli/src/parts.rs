//! What both halves need, made from their configurations.

use anyhow::Context as _;
use pocket_config::{
    Environment, KeysConfig, LogFormat, LogLevel, LogOutput, LoggingConfig, PocketNodeConfig, RedisConfig,
    ServerConfig, UnknownVariable,
};
use pocket_keys::KeySet;
use pocket_observability::{LogGuard, LogSettings, ProbePort, ProbeServer, Shown, start_logs};
use pocket_query::{BlockFeed, ChainClient, NodeConfig, QueryError, QueryMetrics};
use pocket_store::{Namespace, RedisMetrics, Store, StoreConfig};
use tokio::net::lookup_host;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::keys::KeySource;
use crate::metrics::ProcessMetrics;

/// What both halves work with.
pub struct Parts {
    pub keys: KeySet,
    pub store: Store,
    pub chain: ChainClient,
    pub feed: BlockFeed,
    // The feed outlives what works with it: heights are needed until the last relay is done.
    end_feed: CancellationToken,
    end_probes: CancellationToken,
    following: JoinHandle<()>,
}

impl Parts {
    /// Loads keys, and connects to Redis and the chain; both may be away still.
    pub async fn gather(
        source: &mut KeySource,
        keys: &KeysConfig,
        redis: &RedisConfig,
        node: &PocketNodeConfig,
        metrics: &ProcessMetrics,
    ) -> anyhow::Result<Self> {
        let loaded = source.load_some(keys).await?;
        metrics.keys.loaded(&loaded);
        let (keys, store, chain) = (
            loaded.keys,
            store(redis, metrics.redis.clone()).await?,
            chain(node, metrics.query.clone()).await?,
        );
        let end_feed = CancellationToken::new();
        let (feed, following) = BlockFeed::start(chain.clone(), end_feed.clone());
        Ok(Self {
            keys,
            store,
            chain,
            feed,
            end_feed,
            end_probes: CancellationToken::new(),
            following,
        })
    }

    /// Serves what there is to see on each port until the end.
    pub fn show(&self, ports: Vec<ProbePort>, shown: &Shown) -> anyhow::Result<Vec<ProbeServer>> {
        let serve = |port: ProbePort| Ok(port.serve(shown.clone(), self.end_probes.clone())?);
        ports.into_iter().map(serve).collect()
    }

    /// Ends what was started, after everything that works with it. Until then it can be seen how that ends.
    pub async fn end(self, probes: Vec<ProbeServer>) -> anyhow::Result<()> {
        self.end_probes.cancel();
        for probe in probes {
            probe.stopped().await;
        }
        self.end_feed.cancel();
        Ok(self.following.await?)
    }
}

/// Takes the ports that a configuration names for metrics and probes.
pub async fn probe_ports(servers: &[&ServerConfig]) -> anyhow::Result<Vec<ProbePort>> {
    let mut ports = Vec::new();
    for server in servers.iter().filter(|server| server.enabled) {
        let address = lookup_host(server.address.to_string())
            .await
            .ok()
            .and_then(|mut found| found.next());
        let address = address.with_context(|| format!("{} is no address to listen on", server.address))?;
        let port = ProbePort::bind(address).await;
        ports.push(port.with_context(|| format!("cannot listen on {address}"))?);
    }
    Ok(ports)
}

/// The environment, with what the command line sets above it.
pub fn environment(redis_url: Option<&str>) -> Environment {
    let environment = Environment::of_process();
    match redis_url {
        Some(url) => environment.replacing("redis.url", url, "--redis-url"),
        None => environment,
    }
}

/// Warns of variables that look like ours.
pub fn tell_unknown(variables: &[UnknownVariable]) {
    for variable in variables {
        let (variable, remedy) = (&variable.name, &variable.remedy);
        tracing::warn!(variable, remedy, "a variable of the environment stands for no key");
    }
}

/// What is logged, as configured; the environment's `RUST_LOG` goes first.
pub fn log_level(config: &LoggingConfig) -> String {
    let level = match config.level {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    // Libraries tell of every frame at the lower levels.
    std::env::var("RUST_LOG").unwrap_or_else(|_| format!("{level},hyper=info,h2=info,rustls=info"))
}

/// Starts logging as configured.
pub fn logs(config: &LoggingConfig) -> anyhow::Result<LogGuard> {
    let settings = LogSettings {
        level: log_level(config),
        format: match config.format {
            LogFormat::Json => pocket_observability::LogFormat::Json,
            LogFormat::Text => pocket_observability::LogFormat::Text,
        },
        output: match &config.output {
            LogOutput::Stdout => pocket_observability::LogOutput::Stdout,
            LogOutput::Stderr => pocket_observability::LogOutput::Stderr,
            LogOutput::File(path) => pocket_observability::LogOutput::File(path.clone()),
        },
        queue: config.async_buffer_size as usize,
        lossless: !config.asynchronous,
    };
    Ok(start_logs(&settings)?)
}

/// Where the node is, as configured.
fn node_config(config: &PocketNodeConfig) -> NodeConfig {
    NodeConfig {
        grpc_insecure: config.grpc_insecure,
        query_timeout: config.query_timeout,
        chain_id: config.chain_id.clone(),
        ..NodeConfig::several(
            config.query_node_rpc_urls.iter().map(url::Url::as_str),
            config.query_node_grpc_urls.iter().map(String::as_str),
        )
    }
}

/// A client of the node, which it has not asked yet.
pub fn open_chain(config: &PocketNodeConfig) -> Result<ChainClient, QueryError> {
    ChainClient::new(node_config(config))
}

/// A client of the node; a node on another chain than configured is an error, one that is away is not.
async fn chain(config: &PocketNodeConfig, metrics: QueryMetrics) -> anyhow::Result<ChainClient> {
    let chain = ChainClient::with_metrics(node_config(config), metrics)?;
    match chain.chain_id().await {
        Ok(id) => tracing::info!(chain = %id, "connected to the chain"),
        Err(error @ QueryError::WrongChain { .. }) => return Err(error.into()),
        Err(error) => tracing::warn!(%error, "no chain node answers yet"),
    }
    Ok(chain)
}

/// Redis as configured.
pub fn store_config(config: &RedisConfig) -> StoreConfig {
    let names = config.namespace.clone();
    StoreConfig {
        wait_replicas: config.wait_replicas,
        namespace: Namespace {
            base: names.base_prefix,
            cache: names.cache_prefix,
            events: names.events_prefix,
            streams: names.streams_prefix,
            miner: names.miner_prefix,
            supplier: names.supplier_prefix,
            meter: names.meter_prefix,
            consumer_group: names.consumer_group_prefix,
        },
        ..StoreConfig::at(config.url.expose())
    }
}

/// Redis, which nobody has asked yet.
pub fn open_store(config: &RedisConfig) -> anyhow::Result<Store> {
    open_counted_store(config, RedisMetrics::default())
}

fn open_counted_store(config: &RedisConfig, metrics: RedisMetrics) -> anyhow::Result<Store> {
    Store::with_metrics(store_config(config), metrics).context("redis.url cannot be used")
}

/// Redis; one that is away is not an error.
async fn store(config: &RedisConfig, metrics: RedisMetrics) -> anyhow::Result<Store> {
    let store = open_counted_store(config, metrics)?;
    match store.ping().await {
        Ok(()) => tracing::info!("connected to Redis"),
        Err(error) if error.is_transient() => {
            tracing::warn!(%error, "Redis does not answer yet; is redis.url right and the server running?");
        }
        Err(error) => return Err(error).context("Redis refuses us: look at the user and password in redis.url"),
    }
    Ok(store)
}
