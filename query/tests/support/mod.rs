//! A node that answers as a test tells it to: gRPC, RPC and WebSocket on free loopback ports.

#![allow(dead_code, reason = "each test file uses a part")]

mod grpc;
mod rpc;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pocket_query::{ChainClient, NodeConfig, QueryMetrics, RetryPolicy};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What the node says, and what it was asked.
pub struct Node {
    /// The newest block; the socket announces each change unless `mute`.
    pub head: watch::Sender<i64>,
    /// The height that gRPC answers are read at, if it is not the head.
    pub lag: AtomicI64,
    /// So many gRPC queries fail with `Unavailable` first.
    pub failures: AtomicU32,
    /// The socket accepts subscriptions and says nothing more.
    pub mute: AtomicBool,
    /// The socket refuses connections.
    pub no_socket: AtomicBool,
    /// The node knows the compute units of a height.
    pub knows_compute_units: AtomicBool,
    /// gRPC queries that came in, failed ones too.
    pub asked: AtomicU32,
    /// Subscriptions that were accepted.
    pub subscriptions: AtomicU32,
    /// Each change closes every open socket.
    pub cut: watch::Sender<u32>,
    /// Nothing is answered any more, and nobody is told.
    pub hang: watch::Sender<bool>,
    /// What stands before its gRPC says that it is gone.
    pub is_dead: AtomicBool,
    /// The network that it says it is of.
    pub network: Mutex<String>,
    /// Answers to queries lack what they should have.
    pub nonsense: AtomicBool,
    /// Transactions that its mempool took.
    pub taken: AtomicU32,
    /// What its mempool says; 0 takes everything.
    pub refusal: AtomicU32,
}

impl Node {
    /// Waits while the node hangs.
    pub async fn answers(&self) {
        // The node holds the sender.
        let _ = self.hang.subscribe().wait_for(|hangs| !hangs).await;
    }
}

/// A running node; dropped, it stops.
pub struct World {
    pub node: Arc<Node>,
    pub chain: ChainClient,
    config: NodeConfig,
    stop: DropGuard,
}

impl World {
    pub async fn at_height(height: i64) -> Self {
        let node = Arc::new(Node {
            head: watch::Sender::new(height),
            lag: AtomicI64::new(0),
            failures: AtomicU32::new(0),
            mute: AtomicBool::new(false),
            no_socket: AtomicBool::new(false),
            knows_compute_units: AtomicBool::new(true),
            asked: AtomicU32::new(0),
            subscriptions: AtomicU32::new(0),
            cut: watch::Sender::new(0),
            hang: watch::Sender::new(false),
            is_dead: AtomicBool::new(false),
            network: Mutex::new("pocket".to_owned()),
            nonsense: AtomicBool::new(false),
            taken: AtomicU32::new(0),
            refusal: AtomicU32::new(0),
        });
        let stop = CancellationToken::new();
        let grpc = grpc::serve(node.clone(), stop.clone()).await;
        let rpc = rpc::serve(node.clone(), stop.clone()).await;
        let mut config = NodeConfig::new(format!("http://{rpc}/"), grpc.to_string());
        config.retry = FAST;
        Self {
            node,
            chain: ChainClient::new(config.clone()).unwrap(),
            config,
            stop: stop.drop_guard(),
        }
    }

    /// Another client of the same node.
    pub fn client(&self, change: impl FnOnce(&mut NodeConfig)) -> ChainClient {
        let mut config = self.config.clone();
        change(&mut config);
        ChainClient::new(config).unwrap()
    }

    /// A client of these nodes, in this order.
    pub fn client_of(worlds: &[&Self], change: impl FnOnce(&mut NodeConfig)) -> ChainClient {
        Self::counted_client_of(worlds, QueryMetrics::default(), change)
    }

    /// The same, and what it counts.
    pub fn counted_client_of(
        worlds: &[&Self],
        metrics: QueryMetrics,
        change: impl FnOnce(&mut NodeConfig),
    ) -> ChainClient {
        let urls = |of: fn(&NodeConfig) -> &[String]| worlds.iter().flat_map(move |world| of(&world.config)).cloned();
        let mut config = NodeConfig {
            retry: FAST,
            look_every: Duration::from_millis(20),
            ..NodeConfig::several(urls(|config| &config.rpc_urls), urls(|config| &config.grpc_urls))
        };
        change(&mut config);
        ChainClient::with_metrics(config, metrics).unwrap()
    }

    /// The node dies: its ports are closed, and its RPC's connections with them.
    pub fn die(self) {
        self.node.is_dead.store(true, Ordering::SeqCst);
        drop(self.stop);
    }

    /// `host:port` of its RPC.
    pub fn rpc_name(&self) -> &str {
        self.config.rpc_urls[0]
            .trim_start_matches("http://")
            .trim_end_matches('/')
    }

    pub fn asked(&self) -> u32 {
        self.node.asked.load(Ordering::SeqCst)
    }
}

/// Retries that do not slow a test.
pub const FAST: RetryPolicy = RetryPolicy {
    attempts: 4,
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_millis(2),
};
