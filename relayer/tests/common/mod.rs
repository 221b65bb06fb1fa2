//! A world in a line: chain, Redis, backend, relayer and an application that signs.
#![allow(dead_code)] // Every test file uses a part of it.

pub mod backend;
pub mod client;
pub mod fleet;
pub mod grpc;
pub mod process;
pub mod raw;
pub mod sockets;
pub mod streaming;
pub mod watched;

use std::net::SocketAddr;
use std::time::Duration;

use pocket_config::RelayerConfig;
use pocket_devnet::{Actor, Devnet, DevnetConfig, Localnet};
use pocket_keys::{LiveKeys, SigningKey};
use pocket_metrics::Registry;
use pocket_proto::pocket::session::SessionHeader;
use pocket_query::{BlockFeed, ChainClient, FeedTiming, NodeConfig, RetryPolicy};
use pocket_relayer::{Deps, Relayer, RunningRelayer, StatusHandle};
use pocket_store::{PrivateRedis, PublisherConfig, Store, StoreConfig};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use backend::Backend;
use client::Relay;

/// An address on which nothing listens.
pub const NOWHERE: &str = "127.0.0.1:1";

/// What the world is to be like.
pub struct WorldConfig {
    pub localnet: Localnet,
    /// Text that goes below `services.svc-http`.
    pub service: String,
    pub top_level: String,
    /// Instead of the backend that echoes.
    pub backend: Option<String>,
    /// Text that stands for all of `services.svc-http.backends`.
    pub backends: Option<String>,
    /// A WebSocket backend for `svc-http`.
    pub web_socket: Option<String>,
    /// A gRPC backend for `svc-http`.
    pub grpc: Option<String>,
    pub chain_is_away: bool,
    pub redis_is_away: bool,
    pub publisher: PublisherConfig,
    /// Redis writes to disk before it answers, and so has everything again after a restart.
    pub redis_persists: bool,
    /// Keys and values that Redis has before the relayer starts.
    pub in_redis: Vec<(&'static str, &'static str)>,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self {
            localnet: Localnet::default(),
            service: "validation_mode: eager".to_owned(),
            top_level: String::new(),
            backend: None,
            backends: None,
            web_socket: None,
            grpc: None,
            chain_is_away: false,
            redis_is_away: false,
            publisher: PublisherConfig {
                flush_timeout: Duration::from_millis(300),
                ..PublisherConfig::default()
            },
            redis_persists: false,
            in_redis: Vec::new(),
        }
    }
}

pub struct World {
    pub devnet: Devnet,
    redis: Option<PrivateRedis>,
    redis_port: u16,
    redis_persists: bool,
    pub store: Store,
    pub chain: ChainClient,
    pub feed: BlockFeed,
    pub backend: Backend,
    pub registry: Registry,
    pub folder: TempDir,
    /// The relayer's configuration file.
    pub yaml: String,
    relayer: Option<RunningRelayer>,
    following: JoinHandle<()>,
    stop: CancellationToken,
    address: SocketAddr,
}

impl World {
    pub async fn new() -> Self {
        Self::with(WorldConfig::default()).await
    }

    /// A world whose service is configured with these lines.
    pub async fn with_service(service: &str) -> Self {
        Self::with(WorldConfig {
            service: service.to_owned(),
            ..WorldConfig::default()
        })
        .await
    }

    pub async fn with(config: WorldConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let genesis = config.localnet.genesis();
        let devnet = Devnet::start(DevnetConfig {
            genesis,
            ..DevnetConfig::default()
        })
        .await
        .unwrap();
        devnet.advance_to(3);
        let redis = PrivateRedis::start(folder.path(), config.redis_persists).await.unwrap();
        for (key, value) in &config.in_redis {
            watched::ask::<String>(&redis, &["SET", key, value]).await;
        }
        let backend = Backend::start().await;

        let (rpc_url, grpc_url) = if config.chain_is_away {
            (format!("http://{NOWHERE}"), format!("http://{NOWHERE}"))
        } else {
            (devnet.rpc_url(), devnet.grpc_url())
        };
        let mut node = NodeConfig::new(rpc_url, grpc_url);
        node.retry = RetryPolicy {
            attempts: 1,
            ..node.retry
        };
        let chain = ChainClient::new(node).unwrap();
        let redis_url = if config.redis_is_away {
            format!("redis://{NOWHERE}")
        } else {
            redis.url()
        };
        let store = Store::new(StoreConfig::at(redis_url)).unwrap();
        let stop = CancellationToken::new();
        let timing = FeedTiming {
            poll: Duration::from_millis(20),
            ..FeedTiming::default()
        };
        let (feed, following) = BlockFeed::start_with(chain.clone(), timing, stop.child_token());

        let backend_url = config.backend.clone().unwrap_or_else(|| backend.url());
        let yaml = relayer_yaml(&redis.url(), &backend_url, &config);
        let relayer_config = RelayerConfig::from_str("relayer.yaml", &yaml).unwrap();
        let keys = [1, 2].map(|n| key(&format!("supplier{n}")));
        let registry = Registry::new();
        let deps = Deps {
            chain: chain.clone(),
            feed: feed.clone(),
            store: store.clone(),
            keys: LiveKeys::from_iter(keys),
            registry: registry.clone(),
            publisher: config.publisher,
        };
        let relayer = Relayer::start(&relayer_config, deps, stop.child_token()).await.unwrap();
        let address = relayer.local_addr();
        let chain_is_away = config.chain_is_away;
        let world = Self {
            devnet,
            redis_port: redis.port(),
            redis_persists: config.redis_persists,
            redis: Some(redis),
            store,
            chain,
            feed,
            backend,
            registry,
            folder,
            yaml,
            relayer: Some(relayer),
            following,
            stop,
            address,
        };
        if !chain_is_away {
            world.wait_for_height(world.devnet.height()).await;
        }
        world
    }

    /// What the relayer tells of itself.
    pub fn status(&self) -> StatusHandle {
        self.relayer.as_ref().unwrap().status()
    }

    /// Asks the relayer to end; it goes on with what it has begun.
    pub fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// `http://` address of the relay port.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The current session of `app1` and `svc-http`, as the chain has it.
    pub async fn session(&self) -> SessionHeader {
        self.session_of("app1", "svc-http").await
    }

    pub async fn session_of(&self, app: &str, service: &str) -> SessionHeader {
        let node = NodeConfig::new(self.devnet.rpc_url(), self.devnet.grpc_url());
        let chain = ChainClient::new(node).unwrap();
        let height = pocket_protocol::Height(self.devnet.height());
        let session = chain
            .session(&Actor::named(app).address, service, height)
            .await
            .unwrap();
        session.header.clone().unwrap()
    }

    /// A good relay of the current session: `gateway1` for `app1`, to `supplier1`.
    pub async fn relay(&self) -> Relay {
        Relay::new(self.session().await, "supplier1")
    }

    /// Makes blocks until `height`, and waits until the relayer has seen it.
    pub async fn advance_to(&self, height: i64) {
        self.devnet.advance_to(height);
        self.wait_for_height(height).await;
    }

    async fn wait_for_height(&self, height: i64) {
        let mut blocks = self.feed.subscribe();
        blocks.wait_for(|block| block.height.0 >= height).await.unwrap();
    }

    /// Ends the relayer and gives what it published for a supplier: all of it is in Redis then.
    pub async fn published(&mut self, supplier: &str) -> Vec<pocket_proto::pocket::ha::MinedRelayMessage> {
        if let Some(relayer) = self.relayer.take() {
            relayer.shutdown().await;
        }
        watched::stream(self.redis.as_ref().unwrap(), &self.store, supplier).await
    }

    /// Another relayer of the same fleet: its own process but for chain client and block feed.
    pub async fn another(&self) -> (RunningRelayer, String) {
        let deps = Deps {
            chain: self.chain.clone(),
            feed: self.feed.clone(),
            store: self.store.clone(),
            keys: LiveKeys::from_iter([1, 2].map(|n| key(&format!("supplier{n}")))),
            registry: Registry::new(),
            publisher: PublisherConfig::default(),
        };
        let config = RelayerConfig::from_str("relayer.yaml", &self.yaml).unwrap();
        let relayer = Relayer::start(&config, deps, self.stop.child_token()).await.unwrap();
        let url = format!("http://{}", relayer.local_addr());
        (relayer, url)
    }

    /// What the relayer can be told while it serves.
    pub fn control(&self) -> pocket_relayer::RelayerControl {
        self.relayer.as_ref().unwrap().control()
    }

    /// What Redis answers to a command.
    pub async fn redis<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        watched::ask(self.redis.as_ref().unwrap(), words).await
    }

    /// Kills Redis; what it held is gone.
    pub fn stop_redis(&mut self) {
        self.redis = None;
    }

    /// Another Redis at the old one's address, empty unless it persists.
    pub async fn start_redis_again(&mut self) {
        self.redis = Some(
            PrivateRedis::start_on(self.redis_port, self.folder.path(), self.redis_persists)
                .await
                .unwrap(),
        );
    }

    pub async fn connect(&self) -> redis::aio::MultiplexedConnection {
        watched::connect(self.redis.as_ref().unwrap()).await
    }

    /// What Redis holds for a supplier now.
    pub async fn in_redis(&self, supplier: &str) -> Vec<pocket_proto::pocket::ha::MinedRelayMessage> {
        watched::stream(self.redis.as_ref().unwrap(), &self.store, supplier).await
    }

    /// Waits until Redis holds this many relays for `supplier1`.
    pub async fn wait_until_published(&self, count: usize) {
        while watched::stream(self.redis.as_ref().unwrap(), &self.store, "supplier1")
            .await
            .len()
            < count
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How often a histogram was fed.
    pub fn observed(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        watched::observed(&self.registry, name, labels)
    }

    /// A gauge's value over all labels that contain `labels`.
    pub fn gauge_of(&self, name: &str, labels: &[(&str, &str)]) -> i64 {
        watched::gauge_of(&self.registry, name, labels)
    }

    /// Waits until a gauge or counter is what is wanted.
    pub async fn wait_until(&self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A counter's value over all labels that contain `labels`.
    pub fn counted(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        watched::counter(&self.registry, name, labels)
    }

    /// A gauge's value.
    pub fn gauge(&self, name: &str) -> i64 {
        watched::gauge(&self.registry, name)
    }

    pub async fn end(mut self) {
        if let Some(relayer) = self.relayer.take() {
            relayer.shutdown().await;
        }
        self.stop.cancel();
        self.following.await.unwrap();
        self.devnet.shutdown().await;
    }
}

pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&Actor::named(name).private_key).unwrap()
}

fn relayer_yaml(redis: &str, backend: &str, config: &WorldConfig) -> String {
    let service = config.service.replace('\n', "\n    ");
    let own = config.backends.as_ref().map(|text| text.replace('\n', "\n      "));
    let web_socket = config.web_socket.as_ref();
    let web_socket = web_socket.map_or(String::new(), |url| format!("websocket:\n        url: {url}"));
    let grpc = config.grpc.as_ref();
    let grpc = grpc.map_or(String::new(), |url| format!("grpc:\n        url: {url}"));
    let backends = own.unwrap_or_else(|| {
        format!(
            "jsonrpc:
        url: {backend}
      rest:
        url: {backend}/rest
        headers:
          X-Configured: yes
      {web_socket}
      {grpc}"
        )
    });
    format!(
        "listen_addr: 127.0.0.1:0
redis:
  url: {redis}
pocket_node:
  query_node_rpc_url: http://{NOWHERE}
  query_node_grpc_url: {NOWHERE}
keys:
  keys_file: unused.yaml
metrics:
  enabled: false
pprof:
  enabled: false
health_check:
  enabled: false
{top_level}
services:
  svc-http:
    {service}
    backends:
      {backends}
  svc-comet:
    validation_mode: eager
    default_backend: cometbft
    backends:
      cometbft:
        url: {backend}
",
        top_level = config.top_level,
    )
}
