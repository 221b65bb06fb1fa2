//! A chain whose blocks the test makes, a Redis, a relayer that needs no client, and miners.

mod gate;
mod relayer;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use pocket_devnet::{Actor, Devnet, DevnetConfig, Genesis, Localnet};
use pocket_keys::{KeySet, SigningKey};
use pocket_miner::{Deps, Metrics, Miner, Settings};
use pocket_proto::pocket::proof::{Claim, ClaimProofStatus};
use pocket_protocol::claim::ProofRequirement;
use pocket_protocol::{Height, SessionId, SupplierAddress, Windows};
use pocket_query::{BlockFeed, ChainClient, FeedTiming, NodeConfig, RetryPolicy};
use pocket_smst::{Leaf, Tree};
use pocket_store::{LeaseKind, PrivateRedis, SessionRecord, Store, StoreConfig};
use pocket_tx::{TxConfig, TxSender};
use prometheus::Registry;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing_subscriber::EnvFilter;

use gate::Gate;
pub use relayer::{Relayer, session};

/// Longest wait for something that is to happen: far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(5);
pub const LEASE: Duration = Duration::from_millis(700);

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
        let redis = PrivateRedis::start(folder.path(), true).await.unwrap();
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

    /// A miner with the keys of these suppliers.
    pub fn miner(&self, instance: &str, suppliers: &[&str]) -> RunningMiner {
        self.miner_with(instance, suppliers, |_| ())
    }

    pub fn miner_with(&self, instance: &str, suppliers: &[&str], adjust: impl FnOnce(&mut Settings)) -> RunningMiner {
        let cancel = CancellationToken::new();
        let retry = RetryPolicy {
            attempts: 2,
            first_wait: Duration::from_millis(10),
            longest_wait: Duration::from_millis(50),
        };
        let node = NodeConfig {
            retry,
            ..NodeConfig::new(self.rpc.url(), self.grpc.url())
        };
        let chain = ChainClient::new(node).unwrap();
        let timing = FeedTiming {
            poll: Duration::from_millis(20),
            reconnect: retry,
            ..FeedTiming::default()
        };
        let (feed, feed_task) = BlockFeed::start_with(chain.clone(), timing, cancel.clone());
        let keys = KeySet::from_iter(suppliers.iter().map(|name| key(name)));
        let registry = Registry::new();
        let deps = Deps {
            tx: TxSender::new(chain.clone(), keys.clone(), TxConfig::default()),
            chain,
            feed,
            store: Store::new(StoreConfig::at(format!("redis://127.0.0.1:{}", self.redis_port))).unwrap(),
            keys,
            metrics: Metrics::register(&registry).unwrap(),
        };
        let mut settings = Settings {
            instance: instance.to_owned(),
            batch: 100,
            block: Duration::from_millis(50),
            lease_ttl: LEASE,
            renew_interval: Duration::from_millis(50),
            registry_interval: Duration::MAX,
            keep_seconds: 600,
            tree_bytes: 1 << 20,
            claims_a_transaction: 50,
            proofs_a_transaction: 20,
        };
        adjust(&mut settings);
        RunningMiner {
            miner: Miner::start(settings, deps, cancel.clone()),
            cancel,
            registry,
            _feed: AbortOnDropHandle::new(feed_task),
        }
    }

    /// A relayer that tells no watermark before it is asked to.
    pub fn relayer(&self) -> Relayer {
        Relayer::new(self.store.clone())
    }

    /// Ends Redis at once, as a crash does. What it logged stays.
    pub fn stop_redis(&mut self) {
        self.redis = None;
    }

    /// Starts Redis where it was, with what it logged.
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
            text.push_str(&format!("{:?}\n{:?}\n", self.claim(part), self.record(part).await));
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

    /// The root that the claim of a part must have.
    pub fn root_of(&self, part: &Part) -> Vec<u8> {
        let root = Tree::from_leaves(self.served[part].iter().cloned()).root();
        root.as_ref().to_vec()
    }

    /// All events of a kind since the start, by the end of its name.
    pub fn events(&self, kind: &str) -> Vec<pocket_devnet::chain::Event> {
        self.devnet.read(|chain| {
            let blocks = chain.blocks().flat_map(|block| {
                let results = block.results.iter().filter(|result| result.code == 0);
                results.flat_map(|result| &result.events).chain(&block.events)
            });
            let named = blocks.filter(|event| event.kind.rsplit('.').next() == Some(kind));
            named.cloned().collect()
        })
    }

    /// Each part was claimed once with all of its relays, and settled; nothing else was, and nobody is slashed.
    pub fn assert_all_settled(&self) {
        for kind in ["EventSupplierSlashed", "EventClaimExpired", "EventClaimDiscarded"] {
            assert_eq!(self.events(kind), [], "{kind}");
        }
        let (created, settled) = (self.events("EventClaimCreated"), self.events("EventClaimSettled"));
        assert_eq!(created.len(), self.served.len(), "each part is claimed once");
        assert_eq!(settled.len(), self.served.len(), "each claim is settled");
        for (part, leaves) in &self.served {
            let of_part = |event: &&pocket_devnet::chain::Event| {
                event.value("session_id").as_deref() == Some(&part.session)
                    && event.value("supplier_operator_address").as_deref() == Some(&part.supplier)
            };
            let event = settled.iter().find(of_part).expect("the part is settled");
            let expected = Tree::from_leaves(leaves.iter().cloned()).root();
            assert_eq!(event.value("num_relays"), Some(expected.count().to_string()));
            assert_eq!(
                self.claimed_root(part),
                self.root_of(part),
                "the claim is of what was served"
            );
        }
    }

    /// No claim was sent a second time.
    pub fn assert_each_claimed_once(&self) {
        assert_eq!(self.events("EventClaimUpdated"), []);
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

    /// Appends an entry as no relayer does.
    pub async fn append_field(&self, supplier: &str, name: &str, value: &[u8]) {
        let key = self.store.keys().stream(address(supplier).as_str());
        self.raw::<()>(redis::cmd("XADD").arg(key).arg("*").arg(name).arg(value))
            .await;
    }

    pub async fn delete(&self, key: &str) {
        self.raw::<()>(redis::cmd("DEL").arg(key)).await
    }

    /// The stored nodes of a part's tree, by digest in hex.
    pub async fn nodes(&self, part: &Part) -> Vec<(String, Bytes)> {
        let nodes: BTreeMap<String, Bytes> = self.raw(redis::cmd("HGETALL").arg(self.nodes_key(part))).await;
        nodes.into_iter().collect()
    }

    pub async fn remove_node(&self, part: &Part, digest: &str) {
        self.raw::<()>(redis::cmd("HDEL").arg(self.nodes_key(part)).arg(digest))
            .await
    }

    pub async fn write_node(&self, part: &Part, digest: &str, node: &[u8]) {
        self.raw::<()>(redis::cmd("HSET").arg(self.nodes_key(part)).arg(digest).arg(node))
            .await
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

    /// The root of the claim that the chain held last.
    pub fn claimed_root(&self, part: &Part) -> Vec<u8> {
        self.devnet.read(|chain| {
            let mut heights = (0..=chain.height()).rev();
            let claim = heights.find_map(|height| {
                let view = chain.view_at(height)?;
                view.state.claim(&part.session, &part.supplier).cloned()
            });
            claim.expect("there was a claim").root_hash.to_vec()
        })
    }
}

pub struct RunningMiner {
    miner: Miner,
    cancel: CancellationToken,
    registry: Registry,
    _feed: AbortOnDropHandle<()>,
}

impl RunningMiner {
    /// Stops as on SIGTERM.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.miner.stopped().await;
    }

    /// Stops as on SIGKILL: leases stay until they expire.
    pub fn crash(self) {
        drop(self.miner);
        self.cancel.cancel();
    }

    /// A gauge without labels.
    pub fn gauge(&self, name: &str) -> i64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == format!("ha_miner_{name}"));
        family.map_or(0, |family| family.get_metric()[0].get_gauge().get_value() as i64)
    }

    /// Sum of a counter over those series that have all of these label values.
    pub fn counted(&self, name: &str, labels: &[&str]) -> u64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == format!("ha_miner_{name}"));
        let series = family.into_iter().flat_map(|family| family.get_metric());
        let matching = series.filter(|series| {
            let values: Vec<&str> = series.get_label().iter().map(|label| label.value()).collect();
            labels.iter().all(|label| values.contains(label))
        });
        matching.map(|series| series.get_counter().get_value() as u64).sum()
    }
}

fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&Actor::named(name).private_key).unwrap()
}

pub fn address(name: &str) -> SupplierAddress {
    Actor::named(name).address.parse().unwrap()
}

pub fn sha256(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&Sha256::digest(bytes))
}
