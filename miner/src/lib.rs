//! The miner: turns streams of mined relays into trees, claims, proofs and upokt.
//!
//! Touches Redis through `pocket-store` and the chain through `pocket-query` and `pocket-tx`. What a
//! session does next is decided in [`lifecycle`] alone, without effects; the rest carries it out.
//! Each supplier has one [`worker`](self) that owns all of its sessions, under a lease.
//!
//! Every task runs in a span of level trace, which shows each of its steps from one await to the next.

mod announce;
pub mod audit;
mod claim;
mod control;
mod draining;
mod error;
mod inherited;
mod intake;
pub mod lifecycle;
mod memory;
mod metrics;
mod ownership;
mod patience;
mod proof;
mod reader;
mod registry;
mod rehearsal;
mod repair;
mod retiring;
mod seal;
mod session;
mod settlement;
mod silence;
mod status;
mod submit;
mod trees;
mod watch;
mod worker;
mod worth;

use std::time::Duration;

use pocket_config::MinerConfig;
use pocket_keys::LiveKeys;
use pocket_query::{BlockFeed, ChainClient};
use pocket_store::{ServiceFactors, Store};
use pocket_tx::TxSender;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

pub use control::MinerControl;
use status::{Board, Observer};

pub use memory::TreeMemory;
pub use metrics::Metrics;
pub use rehearsal::RehearsalSettings;
pub use status::StatusHandle;
pub use watch::WatchSettings;

/// What a miner works with. Everything is shared: clones are cheap.
#[derive(Clone)]
pub struct Deps {
    /// The chain, to ask.
    pub chain: ChainClient,
    /// The chain's newest block.
    pub feed: BlockFeed,
    /// Redis.
    pub store: Store,
    /// Keys of the suppliers that may be worked here, as they are now.
    pub keys: LiveKeys,
    /// The chain, to write to.
    pub tx: TxSender,
    /// What is counted.
    pub metrics: Metrics,
}

/// How a miner works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of this instance, different from all others that share the Redis.
    pub instance: String,
    /// Most stream entries read at once from one supplier's stream.
    pub batch: usize,
    /// How long a read waits for entries.
    pub block: Duration,
    /// How long a lease lasts.
    pub lease_ttl: Duration,
    /// How often leases are renewed and free suppliers are looked for.
    pub renew_interval: Duration,
    /// How often a supplier's stake is looked up for the registry.
    pub registry_interval: Duration,
    /// How long records of sessions that are over stay in Redis, in seconds.
    pub keep_seconds: u64,
    /// Memory for the trees of sessions that grow.
    pub tree_memory: TreeMemory,
    /// Most claims in a transaction.
    pub claims_a_transaction: usize,
    /// Most proofs in a transaction.
    pub proofs_a_transaction: usize,
    /// Part of an application's stake that a session may use, told to relayers.
    pub service_factors: ServiceFactors,
    /// How long relayers go by them after they were last told.
    pub service_factors_ttl: Duration,
    /// Transactions that are not sent, as if the node refused them: for tests alone.
    pub refused: Refused,
    /// What is watched and warned about.
    pub watch: WatchSettings,
    /// What is checked before a fee is paid.
    pub rehearsal: RehearsalSettings,
}

/// What fails although nothing is wrong, so that operators and tests can see what happens then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Transactions with claims.
    pub claims: bool,
    /// Transactions with proofs.
    pub proofs: bool,
}

/// Memory of all trees between batches, in bytes.
const TREES_HOLD: usize = 256 << 20;
/// Memory of one tree between batches, in bytes: the levels that every batch needs of a million leaves.
const TREE_HOLDS: usize = 32 << 20;

impl Settings {
    /// As a configuration says; `instance` names this process.
    pub fn of(config: &MinerConfig, instance: String) -> Self {
        let batches = |disabled: bool, size: usize| if disabled { 1 } else { size };
        Self {
            instance,
            batch: config.batch_size as usize,
            block: Duration::from_millis(200),
            lease_ttl: config.supplier_claiming.lease_ttl,
            renew_interval: config.supplier_claiming.renew_interval,
            registry_interval: config.supplier_reconcile_interval.unwrap_or(Duration::MAX),
            keep_seconds: config.session_ttl.as_secs(),
            tree_memory: TreeMemory::new(TREES_HOLD, TREE_HOLDS),
            claims_a_transaction: batches(config.transaction.disable_claim_batching, 50),
            proofs_a_transaction: batches(config.transaction.disable_proof_batching, 20),
            service_factors: service_factors(config),
            service_factors_ttl: config.cache_ttl,
            refused: Refused::default(),
            watch: WatchSettings::of(config),
            rehearsal: RehearsalSettings {
                rehearsal: config.rehearsal,
                profitability: config.profitability,
            },
        }
    }
}

/// The part of an application's stake that a session may use, as a configuration says.
pub fn service_factors(config: &MinerConfig) -> ServiceFactors {
    let by_service = config.service_factors.iter();
    ServiceFactors {
        default: config.default_service_factor,
        by_service: by_service
            .map(|(service, factor)| (service.as_str().to_owned(), *factor))
            .collect(),
    }
}

/// A miner at work. Dropped, it stops where it stands, as a killed process does: its leases expire, and
/// whoever takes them goes on from Redis.
#[derive(Debug)]
pub struct Miner {
    status: StatusHandle,
    task: AbortOnDropHandle<()>,
    control: MinerControl,
}

impl Miner {
    /// Starts working, until `cancel`. Redis and the chain may be away: it waits for them.
    pub fn start(settings: Settings, deps: Deps, cancel: CancellationToken) -> Self {
        let control = MinerControl::new(&settings, &deps);
        let (factors, keys) = control.subscribe();
        let board = Board::default();
        let observer = Observer::new(&settings, &deps, board.clone(), cancel.clone());
        let status = observer.handle();
        let work = async move {
            let announcing = announce::run(settings.clone(), deps.clone(), factors, board.clone(), cancel.clone());
            let watching = watch::run(settings.watch.clone(), deps.clone(), cancel.clone());
            let observed = deps.clone();
            let observing = observer.run(&observed, cancel.clone());
            let owning = ownership::run(settings, deps, keys, board, cancel);
            tokio::join!(announcing, watching, observing, owning);
        };
        Self {
            status,
            control,
            task: AbortOnDropHandle::new(tokio::spawn(work.instrument(tracing::trace_span!("miner")))),
        }
    }

    /// What it can be told while it works.
    pub fn control(&self) -> MinerControl {
        self.control.clone()
    }

    /// What it tells of itself.
    pub fn status(&self) -> StatusHandle {
        self.status.clone()
    }

    /// Waits until all work is handed over, after the cancellation.
    pub async fn stopped(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the miner ended badly");
        }
    }
}
