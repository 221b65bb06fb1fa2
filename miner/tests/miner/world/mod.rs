//! A chain whose blocks the test makes, a Redis, a relayer that needs no client, and miners.

mod checks;
mod cuts;
mod gate;
mod miners;
mod mortal;
mod relayer;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use pocket_devnet::{Actor, Devnet, DevnetConfig, Genesis, Localnet};
use pocket_proto::pocket::proof::{Claim, ClaimProofStatus};
use pocket_protocol::claim::ProofRequirement;
use pocket_protocol::{Height, SessionId, SupplierAddress, Windows};
use pocket_smst::Leaf;
use pocket_store::{LeaseKind, PrivateRedis, SessionRecord, Store, StoreConfig};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};
use tracing_subscriber::EnvFilter;

pub use cuts::{CutAt, Cutter};
use gate::Gate;
pub use miners::RunningMiner;
pub use relayer::{Relayer, session};

/// Longest wait for something that is to happen: far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(5);

/// Sessions of 4 blocks, the first from 1; its claims in blocks 6 to 10, its proofs in 10 to 14.
pub fn localnet() -> Localnet {
    Localnet {
        session_blocks: 4,
        ..Localnet::default()
    }
}

/// A supplier's part in a session: what a relayer made of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    pub supplier: String,
    pub session: String,
    pub end: i64,
}

pub struct World {
    pub devnet: Devnet,
    pub store: Store,
    redis: Option<PrivateRedis>,
    rpc: Gate,
    grpc: Gate,
    pub served: BTreeMap<Part, Vec<Leaf>>,
    folder: tempfile::TempDir,
    redis_port: u16,
}

impl World {
    pub async fn new() -> Self {
        Self::of(&localnet()).await
    }

    pub async fn of(localnet: &Localnet) -> Self {
        Self::from_genesis(localnet.genesis()).await
    }

    pub async fn from_genesis(genesis: Genesis) -> Self {
        Self::start(genesis, false).await
    }

    /// A world whose Redis may be stopped and started again.
    pub async fn durable() -> Self {
        Self::start(localnet().genesis(), true).await
    }

    async fn start(genesis: Genesis, persist: bool) -> Self {
        // What the log says is shown with a test that fails, if RUST_LOG asks for it.
        let log = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::from_default_env())
            .with_ansi(false);
        let _ = log.with_test_writer().try_init();
        let config = DevnetConfig {
            genesis,
            ..DevnetConfig::default()
        };
        let devnet = Devnet::start(config).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let redis = PrivateRedis::start(folder.path(), persist).await.unwrap();
        Self {
            store: Store::new(StoreConfig::at(redis.url())).unwrap(),
            rpc: Gate::to(&devnet.rpc_url()).await,
            grpc: Gate::to(&devnet.grpc_url()).await,
            redis_port: redis.port(),
            redis: Some(redis),
            served: BTreeMap::new(),
            devnet,
            folder,
        }
    }

    /// Where Redis listens.
    pub fn redis_port(&self) -> u16 {
        self.redis_port
    }

    /// A relayer that tells no watermark before it is asked to.
    pub fn relayer(&self) -> Relayer {
        Relayer::new(self.store.clone())
    }

    /// Ends Redis at once, as a crash does. What it logged stays.
    pub fn stop_redis(&mut self) {
        self.redis = None;
    }

    /// Starts the Redis of a durable world where it was, with what it logged.
    pub async fn start_redis(&mut self) {
        let redis = PrivateRedis::start_on(self.redis_port, self.folder.path(), true).await;
        self.redis = Some(redis.unwrap());
    }

    /// Waits until `fact` holds.
    pub async fn until<F: Future<Output = bool>>(&self, what: &str, mut fact: impl FnMut() -> F) {
        let deadline = Instant::now() + PATIENCE;
        while !fact().await {
            if Instant::now() > deadline {
                let state = self.describe().await;
                panic!("waited in vain at height {}: {what}\n{state}", self.devnet.height());
            }
            sleep(LOOK).await;
        }
    }

    async fn describe(&self) -> String {
        let mut text = String::new();
        for part in self.served.keys() {
            let record = self.record(part).await;
            writeln!(text, "{:?}\n{record:?}", self.claim(part)).expect("a string takes all");
        }
        text
    }

    pub fn windows(&self, part: &Part) -> Windows {
        self.devnet.read(|chain| chain.view().state.windows(part.end))
    }

    /// The chain's claim, while it has one.
    pub fn claim(&self, part: &Part) -> Option<Claim> {
        self.devnet.read(|chain| {
            let claim = chain.view().state.claim(&part.session, &part.supplier).cloned();
            claim.map(|claim| Claim::clone(&claim))
        })
    }

    /// The session's record in Redis.
    pub async fn record(&self, part: &Part) -> Option<SessionRecord> {
        let supplier: SupplierAddress = part.supplier.parse().unwrap();
        let session = SessionId::from(part.session.as_str());
        self.store.session(&supplier, &session).await.ok().flatten()
    }

    pub async fn state(&self, part: &Part) -> &'static str {
        self.record(part).await.map_or("none", |record| record.state.as_str())
    }

    pub async fn until_state(&self, part: &Part, states: &[&str]) {
        let what = format!("a session becomes {states:?}");
        self.until(&what, || async { states.contains(&self.state(part).await) })
            .await;
    }

    /// Waits until a transaction waits for a block.
    pub async fn until_sent(&self) {
        self.until("a transaction is sent", || async { self.devnet.pending() > 0 })
            .await;
    }

    /// Waits until a miner has seen the newest block.
    pub async fn until_seen_by(&self, miner: &RunningMiner) {
        self.until("the newest block is seen", || async {
            miner.gauge("current_block_height") == self.devnet.height()
        })
        .await;
    }

    /// Who works a supplier.
    pub async fn owner(&self, supplier: &str) -> Option<String> {
        let kind = LeaseKind::Supplier(address(supplier));
        self.store.lease_holder(&kind).await.unwrap()
    }

    pub async fn until_owned(&self, supplier: &str, owner: &str) {
        let what = format!("{supplier} is worked by {owner}");
        self.until(&what, || async { self.owner(supplier).await.as_deref() == Some(owner) })
            .await;
    }

    /// Waits until everything that was served is in trees.
    pub async fn until_taken_in(&self) {
        for supplier in self.served.keys().map(|part| part.supplier.parse().unwrap()) {
            self.until("the stream is empty", || async {
                matches!(self.store.stream_length(&supplier).await, Ok(0))
            })
            .await;
        }
    }

    /// Makes blocks until `height`, giving the miner at each height the time to send what it can send then.
    pub async fn walk_to(&self, height: i64) {
        while self.devnet.height() < height {
            self.until("claims and proofs that are due are sent", || async {
                self.devnet.pending() > 0 || self.served.keys().all(|part| !self.is_due(part))
            })
            .await;
            self.devnet.advance(1);
        }
    }

    /// Makes blocks until all that was served is settled.
    pub async fn walk_to_settlement(&self) {
        let last = self.served.keys().map(|part| self.windows(part).settlement()).max();
        self.walk_to(last.unwrap().0).await;
        for part in self.served.keys() {
            self.until("a settlement is seen", || async {
                self.record(part)
                    .await
                    .is_some_and(|record| record.settlement.is_some())
            })
            .await;
        }
    }

    /// Whether the miner could send a claim or must send a proof now.
    fn is_due(&self, part: &Part) -> bool {
        let (windows, next) = (self.windows(part), Height(self.devnet.height() + 1));
        let Some(claim) = self.claim(part) else {
            return next.0 > windows.claim_open.0 && windows.accepts_claim(next);
        };
        let required = || {
            let requirement = self.devnet.read(|chain| chain.view().proof_requirement(&claim));
            requirement.unwrap() != ProofRequirement::NotRequired
        };
        let validated = claim.proof_validation_status() == ClaimProofStatus::Validated;
        next.0 > windows.proof_open.0 && next <= windows.proof_close && !validated && required()
    }

    /// Cuts the miners off from the chain.
    pub fn shut_chain(&self) {
        self.rpc.shut();
        self.grpc.shut();
    }

    pub fn open_chain(&self) {
        self.rpc.open();
        self.grpc.open();
    }

    /// Listens on the channel of blocks.
    pub async fn told_blocks(&self) -> redis::aio::PubSub {
        self.listen(&self.store.keys().blocks()).await
    }

    /// What Redis has at a key.
    pub async fn value(&self, key: &str) -> Bytes {
        self.raw(redis::cmd("GET").arg(key)).await
    }

    /// Listens on a channel.
    pub async fn listen(&self, channel: &str) -> redis::aio::PubSub {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.redis_port)).unwrap();
        let mut told = client.get_async_pubsub().await.unwrap();
        told.subscribe(channel).await.unwrap();
        told
    }

    /// Who tells blocks.
    pub async fn leader(&self) -> Option<String> {
        self.store.lease_holder(&LeaseKind::Leader).await.unwrap()
    }

    /// A block as the node tells it.
    pub async fn chain_block(&self, height: i64) -> std::sync::Arc<pocket_query::Block> {
        self.chain().block(Height(height)).await.unwrap()
    }

    /// The chain, asked as by nobody before.
    pub fn chain(&self) -> pocket_query::ChainClient {
        let node = pocket_query::NodeConfig::new(self.rpc.url(), self.grpc.url());
        pocket_query::ChainClient::new(node).unwrap()
    }

    /// Appends an entry as no relayer does.
    pub async fn append_field(&self, supplier: &str, name: &str, value: &[u8]) {
        let key = self.store.keys().stream(address(supplier).as_str());
        self.raw::<()>(redis::cmd("XADD").arg(key).arg("*").arg(name).arg(value))
            .await;
    }

    /// Ends all leases on a supplier and the leader's, as time does.
    pub async fn expire_leases(&self, supplier: &str) {
        let keys = self.store.keys();
        self.delete(&keys.supplier_lease(&address(supplier))).await;
        self.delete(&keys.leader_lease()).await;
    }

    pub async fn delete(&self, key: &str) {
        self.raw::<()>(redis::cmd("DEL").arg(key)).await;
    }

    /// The stored nodes of a part's tree, by digest in hex.
    pub async fn nodes(&self, part: &Part) -> Vec<(String, Bytes)> {
        let nodes: BTreeMap<String, Bytes> = self.raw(redis::cmd("HGETALL").arg(self.nodes_key(part))).await;
        nodes.into_iter().collect()
    }

    pub async fn remove_node(&self, part: &Part, digest: &str) {
        self.raw::<()>(redis::cmd("HDEL").arg(self.nodes_key(part)).arg(digest))
            .await;
    }

    pub async fn write_node(&self, part: &Part, digest: &str, node: &[u8]) {
        self.raw::<()>(redis::cmd("HSET").arg(self.nodes_key(part)).arg(digest).arg(node))
            .await;
    }

    fn nodes_key(&self, part: &Part) -> String {
        let (supplier, session) = (part.supplier.parse().unwrap(), part.session.as_str().into());
        self.store.keys().tree_nodes(&supplier, &session)
    }

    /// Sends a command that no part of the program sends.
    async fn raw<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.redis_port)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        command.query_async(&mut connection).await.unwrap()
    }
}

pub fn address(name: &str) -> SupplierAddress {
    Actor::named(name).address.parse().unwrap()
}

pub fn sha256(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&Sha256::digest(bytes))
}
