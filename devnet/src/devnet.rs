//! A running node on the loopback interface.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use pocket_proto::pocket::proof::Claim;
use pocket_protocol::SharedParams;
use pocket_protocol::params_history::InvalidParams;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::chain::{Block, Chain, Event};
use crate::genesis::Genesis;
use crate::node::Node;
use crate::server::{grpc, http};

/// What to run, and where.
#[derive(Clone, Debug)]
pub struct DevnetConfig {
    /// What the chain starts from.
    pub genesis: Genesis,
    /// From block to block; without it blocks come only with [`Devnet::advance`].
    pub block_time: Option<Duration>,
    /// `CometBFT` RPC on the loopback interface; 0 takes a free port.
    pub rpc_port: u16,
    /// gRPC on the loopback interface; 0 takes a free port.
    pub grpc_port: u16,
}

impl Default for DevnetConfig {
    /// The local network, advanced by hand, on free ports.
    fn default() -> Self {
        Self {
            genesis: Genesis::localnet(),
            block_time: None,
            rpc_port: 0,
            grpc_port: 0,
        }
    }
}

/// Why a devnet did not start.
#[derive(Debug, thiserror::Error)]
#[error("port {port} cannot be used: {source}")]
pub struct DevnetError {
    /// Of the loopback interface.
    pub port: u16,
    /// The system's reason.
    pub source: std::io::Error,
}

/// A node that serves until it is shut down or dropped.
#[derive(Debug)]
pub struct Devnet {
    node: Arc<Node>,
    rpc: SocketAddr,
    grpc: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Devnet {
    /// Makes the first block and opens the ports.
    pub async fn start(config: DevnetConfig) -> Result<Self, DevnetError> {
        let rpc_listener = listen(config.rpc_port).await?;
        let grpc_listener = listen(config.grpc_port).await?;
        let address = |listener: &TcpListener| listener.local_addr().expect("a bound listener has an address");
        let (rpc, grpc) = (address(&rpc_listener), address(&grpc_listener));
        let node = Arc::new(Node::new(&config.genesis));
        node.produce(OffsetDateTime::now_utc());

        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(http::serve(Arc::clone(&node), rpc_listener, stop.clone()));
        let (own, own_stop) = (Arc::clone(&node), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = grpc::serve(own, grpc_listener, own_stop).await {
                tracing::error!(%error, "gRPC stopped");
            }
        });
        if let Some(block_time) = config.block_time {
            tasks.spawn(produce(Arc::clone(&node), block_time, stop.clone()));
        }
        Ok(Self {
            node,
            rpc,
            grpc,
            stop,
            tasks,
        })
    }

    /// Base URL of `CometBFT`'s RPC; its WebSocket is at `/websocket`.
    pub fn rpc_url(&self) -> String {
        format!("http://{}", self.rpc)
    }

    /// URL of the gRPC server, which is plaintext.
    pub fn grpc_url(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// Height of the last block.
    pub fn height(&self) -> i64 {
        self.read(Chain::height)
    }

    /// Makes `blocks` blocks at once; the first holds what waits in the mempool. Gives the last one's height.
    pub fn advance(&self, blocks: u64) -> i64 {
        for _ in 0..blocks {
            self.node.produce(OffsetDateTime::now_utc());
        }
        self.height()
    }

    /// Makes blocks until `height` is committed.
    pub fn advance_to(&self, height: i64) -> i64 {
        while self.height() < height {
            self.advance(1);
        }
        self.height()
    }

    /// Queries that were answered over gRPC: what a client costs its node.
    pub fn queries(&self) -> u64 {
        self.node.queries()
    }

    /// Looks at the chain: state, claims, blocks, events.
    pub fn read<T>(&self, look: impl FnOnce(&Chain) -> T) -> T {
        self.node.read(look)
    }

    /// An account's spendable upokt.
    pub fn balance(&self, address: &str) -> u128 {
        self.read(|chain| chain.view().state.bank.balance(address))
    }

    /// Claims that await settlement.
    pub fn claims(&self) -> Vec<Claim> {
        self.read(|chain| {
            chain
                .view()
                .state
                .claims
                .values()
                .map(|claim| Claim::clone(claim))
                .collect()
        })
    }

    /// All events whose type ends in `kind`, as `EventClaimSettled`, with their heights.
    pub fn events(&self, kind: &str) -> Vec<(i64, Event)> {
        let wanted = |event: &Event| event.kind.rsplit('.').next() == Some(kind);
        self.read(|chain| {
            let found = chain.events().filter(|(_, event)| wanted(event));
            found.map(|(height, event)| (height, event.clone())).collect()
        })
    }

    /// Changes shared parameters in the next block, as governance would; they count from the next session on.
    pub fn change_shared_params(&self, params: SharedParams) -> Result<(), InvalidParams> {
        self.node.change_shared_params(params)
    }

    /// Blocks from now on.
    pub fn subscribe(&self) -> tokio::sync::broadcast::Receiver<Arc<Block>> {
        self.node.subscribe()
    }

    /// Transactions that wait for a block.
    pub fn pending(&self) -> usize {
        self.node.pending()
    }

    /// Refuses the next `count` transactions with claims or proofs at broadcast, as a full mempool does.
    pub fn refuse_next(&self, count: u32) {
        self.node.refuse_next(count);
    }

    /// Stops serving and waits until all connections are closed.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn listen(port: u16) -> Result<TcpListener, DevnetError> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    bound.map_err(|source| DevnetError { port, source })
}

async fn produce(node: Arc<Node>, block_time: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(block_time);
    ticks.tick().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => node.produce(OffsetDateTime::now_utc()),
        };
    }
}
