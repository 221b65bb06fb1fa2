use std::io;

use parking_lot::Mutex;
use pocket_client::{
    ClientConfig, Mode, RelayClient, SampleBackend, SampleBackendConfig, Sessions, Signatory, SigningStyle,
    SupplierChoice,
};
use pocket_config::{ConfigError, MinerConfig, RelayerConfig};
use pocket_devnet::DevnetError;
use pocket_miner::Miner;
use pocket_observability::{Registry, prometheus};
use pocket_query::{BlockFeed, ChainClient, NodeConfig, QueryError, QueryMetrics};
use pocket_relayer::{Relayer, RelayerError, RunningRelayer};
use pocket_store::{PrivateRedis, PrivateRedisError, PublisherConfig, RedisMetrics, Store, StoreConfig, StoreError};
use pocket_tx::{TxConfig, TxMetrics, TxSender};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::World;

/// Why a set-up does not come to work, or stops working.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// No Redis of our own.
    #[error(transparent)]
    Redis(#[from] PrivateRedisError),
    /// A temporary folder, or a port of the sample backend.
    #[error("the system: {0}")]
    System(#[from] io::Error),
    /// The devnet's ports.
    #[error("the devnet: {0}")]
    Devnet(#[from] DevnetError),
    /// The configuration that the stage wrote itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The relayer did not start.
    #[error("the relayer: {0}")]
    Relayer(#[from] RelayerError),
    /// Metrics of two miners in one registry.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The client that sends relays.
    #[error("the client: {0}")]
    Client(#[from] pocket_client::ClientError),
    /// Redis.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// The chain.
    #[error("the chain: {0}")]
    Chain(#[from] QueryError),
    /// The world has no service for it.
    #[error("no service is served to ask for {0}")]
    NoService(Mode),
    /// Relays were to be sent, but the chain made no block.
    #[error("the chain has made no block for {0} seconds")]
    Stalled(u64),
}

/// A supplier's whole set-up in this process, against a chain that is there already: a Redis of its own, a sample
/// backend, a relayer and a miner. Nothing of it is left when it is stopped or dropped, but for the tasks of relayer
/// and miner, which only [`Stage::stop`] waits for.
pub struct Stage {
    world: World,
    chain: ChainClient,
    feed: BlockFeed,
    store: Store,
    relayer: Option<RunningRelayer>,
    relayer_url: Url,
    miner: Option<Miner>,
    // Behind locks so that a run in progress can be disturbed.
    backend: Mutex<Option<SampleBackend>>,
    redis: Mutex<Option<PrivateRedis>>,
    following: JoinHandle<()>,
    cancel: CancellationToken,
    metrics: Registry,
    // Last of all: the others have files in it.
    folder: TempDir,
}

impl Stage {
    /// Starts everything.
    pub async fn start(world: World) -> Result<Self, StageError> {
        let folder = tempfile::tempdir()?;
        let redis = PrivateRedis::start(folder.path(), true).await?;
        let url = redis.url();
        Self::begin(world, &url, Some(redis), folder).await
    }

    /// Starts everything else on a Redis that is there already, with what it holds.
    pub async fn start_at(world: World, redis_url: &str) -> Result<Self, StageError> {
        Self::begin(world, redis_url, None, tempfile::tempdir()?).await
    }

    async fn begin(
        world: World,
        redis_url: &str,
        redis: Option<PrivateRedis>,
        folder: TempDir,
    ) -> Result<Self, StageError> {
        let backend = SampleBackend::start(SampleBackendConfig::default()).await?;
        let (relayer_config, miner_config) = configs(&world, redis_url, &backend)?;

        let mut node = NodeConfig::several(world.rpc_url.split(','), world.grpc_url.split(','));
        node.chain_id = Some(world.chain_id.clone());
        let metrics = Registry::new();
        let chain = ChainClient::with_metrics(node, QueryMetrics::register(&metrics)?)?;
        let store = Store::with_metrics(StoreConfig::at(redis_url), RedisMetrics::register(&metrics)?)?;
        let cancel = CancellationToken::new();
        let (feed, following) = BlockFeed::start(chain.clone(), cancel.child_token());

        let tx = TxMetrics::register(&metrics)?;
        let miner_deps = pocket_miner::Deps {
            chain: chain.clone(),
            feed: feed.clone(),
            store: store.clone(),
            keys: world.suppliers.clone().into(),
            tx: TxSender::with_metrics(chain.clone(), world.suppliers.clone(), TxConfig::default(), tx),
            metrics: pocket_miner::Metrics::register(&metrics)?,
        };
        let relayer_deps = pocket_relayer::Deps {
            chain: chain.clone(),
            feed: feed.clone(),
            store: store.clone(),
            keys: world.suppliers.clone().into(),
            registry: metrics.clone(),
            publisher: PublisherConfig::default(),
        };
        let settings = pocket_miner::Settings::of(&miner_config, "stage".to_owned());
        let miner = Miner::start(settings, miner_deps, cancel.child_token());
        let relayer = Relayer::start(&relayer_config, relayer_deps, cancel.child_token()).await?;
        let relayer_url = format!("http://{}", relayer.local_addr());
        Ok(Self {
            world,
            chain,
            feed,
            store,
            relayer_url: relayer_url.parse().expect("an address makes a URL"),
            relayer: Some(relayer),
            miner: Some(miner),
            backend: Mutex::new(Some(backend)),
            redis: Mutex::new(redis),
            following,
            cancel,
            metrics,
            folder,
        })
    }

    /// The chain and its actors.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The chain, asked.
    pub fn chain(&self) -> &ChainClient {
        &self.chain
    }

    /// The chain's height.
    pub fn feed(&self) -> &BlockFeed {
        &self.feed
    }

    /// Redis.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// All that is counted here, of both halves.
    pub fn metrics(&self) -> &Registry {
        &self.metrics
    }

    /// Where relays are sent to.
    pub fn relayer_url(&self) -> &Url {
        &self.relayer_url
    }

    /// A client for JSON-RPC that signs as the gateway and sends to all suppliers in turn.
    pub fn client(&self) -> Result<RelayClient, StageError> {
        self.client_of(Mode::JsonRpc)
    }

    /// A client of the service in which the mode is asked for.
    pub fn client_of(&self, mode: Mode) -> Result<RelayClient, StageError> {
        let service = self.world.service_of(mode).ok_or(StageError::NoService(mode))?;
        let sessions = Sessions::on_chain(
            self.chain.clone(),
            self.feed.clone(),
            Signatory::gateway(&self.world.gateway, service.application.clone()),
            service.id.clone(),
            SupplierChoice::All,
            SigningStyle::Fast,
        );
        let config = ClientConfig::new(self.relayer_url.clone(), service.id.clone());
        Ok(RelayClient::new(&config, sessions)?)
    }

    /// Relays that the miner knows of or will: leaves in the suppliers' trees, and stream entries on their way there.
    pub async fn mined(&self) -> Result<u64, StoreError> {
        let mut mined = 0;
        for supplier in self.world.suppliers.addresses() {
            mined += self.store.stream_length(supplier).await?;
            let sessions = self.store.sessions(supplier).await?;
            mined += sessions.iter().map(|session| session.relays).sum::<u64>();
        }
        Ok(mined)
    }

    /// Where the sample backend is, until it is ended.
    pub fn backend_url(&self) -> Option<String> {
        self.backend.lock().as_ref().map(SampleBackend::url)
    }

    /// Ends the backend: relays have nowhere to go.
    pub fn stop_backend(&self) {
        *self.backend.lock() = None;
    }

    /// Ends Redis at once, as a crash would. What it had confirmed is on disk.
    pub fn kill_redis(&self) -> Option<u16> {
        self.redis.lock().take().map(|redis| redis.port())
    }

    /// Starts Redis again where it was, with what it had.
    pub async fn revive_redis(&self, port: u16) -> Result<(), StageError> {
        let redis = PrivateRedis::start_on(port, self.folder.path(), true).await?;
        *self.redis.lock() = Some(redis);
        Ok(())
    }

    /// Ends everything in order: what the relayer has answered is handed over, the miner finishes its batch.
    pub async fn stop(mut self) {
        if let Some(relayer) = self.relayer.take() {
            relayer.shutdown().await;
        }
        self.cancel.cancel();
        if let Some(miner) = self.miner.take() {
            miner.stopped().await;
        }
        self.stop_backend();
        if let Err(error) = (&mut self.following).await {
            tracing::error!(%error, "the block feed ended badly");
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// What an operator would write, so that the stage goes through the same door.
fn configs(world: &World, redis: &str, backend: &SampleBackend) -> Result<(RelayerConfig, MinerConfig), ConfigError> {
    let World {
        rpc_url,
        grpc_url,
        chain_id,
        ..
    } = world;
    // The keys are handed over in memory; the file is named because one must be.
    let common = format!(
        "redis: {{ url: {redis} }}
pocket_node:
  query_node_rpc_url: {rpc_url}
  query_node_grpc_url: {grpc_url}
  grpc_insecure: true
  chain_id: {chain_id}
keys: {{ keys_file: keys.yaml }}
metrics: {{ enabled: false }}
pprof: {{ enabled: false }}
"
    );
    let mut relayer = format!(
        "{common}health_check: {{ enabled: false }}
listen_addr: 127.0.0.1:0
services:
"
    );
    let (http, sockets) = (backend.url(), backend.socket_url());
    let backends = ["jsonrpc", "rest", "cometbft", "grpc"].map(|kind| format!("{kind}: {{ url: \"{http}\" }}"));
    let backends = format!("{}, websocket: {{ url: \"{sockets}\" }}", backends.join(", "));
    for service in &world.services {
        relayer.extend(["  ", service.id.as_str(), ": { backends: { ", &backends, " } }\n"]);
    }
    Ok((
        RelayerConfig::from_str("the stage's relayer", &relayer)?,
        MinerConfig::from_str("the stage's miner", &common)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn configurations_are_ones_that_an_operator_could_write() {
        let world = World::localnet("http://127.0.0.1:1", "http://127.0.0.1:2", 2);
        let backend = SampleBackend::start(SampleBackendConfig::default()).await.unwrap();
        let (relayer, miner) = configs(&world, "redis://127.0.0.1:3", &backend).unwrap();
        for service in &world.services {
            assert_eq!(relayer.services[&service.id].backends.len(), 5);
        }
        assert_eq!(relayer.pocket_node, miner.pocket_node);
        assert_eq!(miner.pocket_node.query_node_grpc_urls, ["127.0.0.1:2"]);
    }
}
