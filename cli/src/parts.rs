//! What both halves need, made from their configurations.

use std::sync::Arc;

use anyhow::Context as _;
use pocket_config::{
    Environment, KeysConfig, LogFormat, LogLevel, LogOutput, LoggingConfig, PocketNodeConfig, RedisConfig, ServerConfig,
};
use pocket_keys::Loaded;
use pocket_observability::prometheus::Registry;
use pocket_observability::{LogGuard, LogSettings, ProbeServer, Readiness, start_logs};
use pocket_query::{BlockFeed, ChainClient, NodeConfig, QueryError};
use pocket_store::{Namespace, Store, StoreConfig};
use tokio::net::lookup_host;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::keys::KeySource;

/// What both halves work with.
pub struct Parts {
    pub keys: Loaded,
    pub store: Store,
    pub chain: ChainClient,
    pub feed: BlockFeed,
    // The feed outlives what works with it: heights are needed until the last relay is done.
    end_feed: CancellationToken,
    following: JoinHandle<()>,
}

impl Parts {
    /// Loads keys, and connects to Redis and the chain; both may be away still.
    pub async fn gather(
        source: &mut KeySource,
        keys: &KeysConfig,
        redis: &RedisConfig,
        node: &PocketNodeConfig,
    ) -> anyhow::Result<Self> {
        let (keys, store, chain) = (source.load_some(keys).await?, store(redis).await?, chain(node).await?);
        let end_feed = CancellationToken::new();
        let (feed, following) = BlockFeed::start(chain.clone(), end_feed.clone());
        Ok(Self {
            keys,
            store,
            chain,
            feed,
            end_feed,
            following,
        })
    }

    /// Serves metrics and probes on each address until `cancel`.
    pub async fn probes(
        &self,
        servers: &[&ServerConfig],
        registry: &Registry,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Vec<ProbeServer>> {
        let feed = self.feed.clone();
        let ready: Readiness = Arc::new(move || match feed.height().0 {
            0 => Err("no block of the chain was seen yet".to_owned()),
            _ => Ok(()),
        });
        let mut probes = Vec::new();
        for server in servers.iter().filter(|server| server.enabled) {
            let address = lookup_host(server.address.to_string())
                .await
                .ok()
                .and_then(|mut found| found.next());
            let address = address.with_context(|| format!("{} is no address to listen on", server.address))?;
            let probe = ProbeServer::start(address, registry.clone(), ready.clone(), cancel.clone()).await;
            probes.push(probe.with_context(|| format!("cannot listen on {address}"))?);
        }
        Ok(probes)
    }

    /// Ends what was started, after everything that works with it.
    pub async fn end(self, probes: Vec<ProbeServer>) -> anyhow::Result<()> {
        for probe in probes {
            probe.stopped().await;
        }
        self.end_feed.cancel();
        Ok(self.following.await?)
    }
}

/// The environment, with what the command line sets above it.
pub fn environment(redis_url: Option<&str>) -> Environment {
    let environment = Environment::of_process();
    match redis_url {
        Some(url) => environment.replacing("redis.url", url, "--redis-url"),
        None => environment,
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

/// A client of the node; a node on another chain than configured is an error, one that is away is not.
async fn chain(config: &PocketNodeConfig) -> anyhow::Result<ChainClient> {
    let chain = ChainClient::new(NodeConfig {
        grpc_insecure: config.grpc_insecure,
        query_timeout: config.query_timeout,
        chain_id: config.chain_id.clone(),
        ..NodeConfig::new(config.query_node_rpc_url.as_str(), config.query_node_grpc_url.as_str())
    })?;
    match chain.chain_id().await {
        Ok(id) => tracing::info!(chain = %id, "connected to the chain"),
        Err(error @ QueryError::WrongChain { .. }) => return Err(error.into()),
        Err(error) => tracing::warn!(%error, node = %config.query_node_rpc_url, "the node does not answer yet"),
    }
    Ok(chain)
}

/// Redis; one that is away is not an error.
async fn store(config: &RedisConfig) -> anyhow::Result<Store> {
    let url = config.url.expose();
    let names = config.namespace.clone();
    let store = Store::new(StoreConfig {
        url: url.to_owned(),
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
    })
    .context("redis.url cannot be used")?;
    match store.ping().await {
        Ok(()) => tracing::info!("connected to Redis"),
        Err(error) if error.is_transient() => {
            tracing::warn!(%error, "Redis does not answer yet; is redis.url right and the server running?");
        }
        Err(error) => return Err(error).context("Redis refuses us: look at the user and password in redis.url"),
    }
    Ok(store)
}
