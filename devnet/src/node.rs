//! A node around the chain: mempool, block production, faults on request.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use pocket_protocol::SharedParams;
use pocket_protocol::params_history::{self, InvalidParams};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use tokio::sync::broadcast;

use crate::chain::{Block, Chain, SimulationError, Tx, TxResult};
use crate::genesis::Genesis;

/// Blocks that a slow subscriber may lag behind before it misses some.
const FEED: usize = 1024;
/// Transactions that the node remembers as seen.
const SEEN: usize = 10_000;

/// SHA-256 of a transaction's bytes.
pub type TxHash = [u8; 32];

/// A chain with a mempool. All methods are short; none waits.
#[derive(Debug)]
pub struct Node {
    inner: Mutex<Inner>,
    feed: broadcast::Sender<Arc<Block>>,
    /// Queries answered over gRPC.
    queries: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    chain: Chain,
    pool: Vec<Bytes>,
    seen: Seen,
    index: HashMap<TxHash, (i64, usize)>,
    refusals: u32,
    /// To be changed in the next block.
    params: Option<SharedParams>,
}

/// What the mempool said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broadcast {
    /// The chain's check: accepted with code 0, refused otherwise.
    Checked(TxResult),
    /// The same bytes were seen before.
    Known,
    /// More bytes than a transaction may have; the limit.
    TooLarge(usize),
    /// The mempool takes no more.
    Full,
}

impl Node {
    /// A node with no block yet.
    pub fn new(genesis: &Genesis) -> Self {
        let inner = Inner {
            chain: Chain::new(genesis),
            pool: Vec::new(),
            seen: Seen::default(),
            index: HashMap::new(),
            refusals: 0,
            params: None,
        };
        Self {
            inner: Mutex::new(inner),
            feed: broadcast::channel(FEED).0,
            queries: AtomicU64::new(0),
        }
    }

    /// Counts a query over gRPC.
    pub fn count_query(&self) {
        self.queries.fetch_add(1, Ordering::Relaxed);
    }

    /// Queries over gRPC until now.
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    /// Looks at the chain.
    pub fn read<T>(&self, look: impl FnOnce(&Chain) -> T) -> T {
        look(&self.lock().chain)
    }

    /// Blocks from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Block>> {
        self.feed.subscribe()
    }

    /// Makes one block of what the mempool holds.
    pub fn produce(&self, time: OffsetDateTime) -> Arc<Block> {
        let mut inner = self.lock();
        let change = inner.params.take();
        let pool = std::mem::take(&mut inner.pool);
        inner.chain.begin_block(time);
        for tx in pool {
            let hash = tx_hash(&tx);
            if inner.chain.deliver_tx(tx).code != 0 {
                inner.seen.forget(&hash);
            }
        }
        if let Some(params) = change {
            // Checked when it was asked for, against rules that do not change.
            let _ = inner.chain.change_shared_params(params);
        }
        let block = inner.chain.end_block();
        for (index, tx) in block.txs.iter().enumerate() {
            inner.index.insert(tx_hash(tx), (block.height, index));
        }
        // Nobody may be listening. Sent under the lock, so that blocks arrive in order.
        let _ = self.feed.send(Arc::clone(&block));
        block
    }

    /// Takes a transaction into the mempool if it passes the checks.
    pub fn broadcast(&self, tx: &Bytes) -> Broadcast {
        let mut inner = self.lock();
        let hash = tx_hash(tx);
        let limit = inner.chain.view().state.params.max_tx_bytes;
        if tx.len() > limit {
            return Broadcast::TooLarge(limit);
        }
        if inner.seen.contains(&hash) {
            return Broadcast::Known;
        }
        if inner.refusals > 0 && brings_claims_or_proofs(tx) {
            inner.refusals -= 1;
            return Broadcast::Full;
        }
        let result = inner.chain.check_tx(tx);
        if result.code == 0 {
            inner.seen.remember(hash);
            inner.pool.push(tx.clone());
        }
        Broadcast::Checked(result)
    }

    /// Tries a transaction on the last state; gives the gas it took.
    pub fn simulate(&self, tx: &Bytes) -> Result<u64, SimulationError> {
        self.lock().chain.simulate(tx)
    }

    /// The block that holds a transaction, and its place there.
    pub fn find(&self, hash: &TxHash) -> Option<(Arc<Block>, usize)> {
        let inner = self.lock();
        let (height, index) = *inner.index.get(hash)?;
        Some((Arc::clone(inner.chain.block(height)?), index))
    }

    /// Refuses the next `count` transactions with claims or proofs, as if the mempool were full.
    pub fn refuse_next(&self, count: u32) {
        self.lock().refusals = count;
    }

    /// Changes shared parameters in the next block, as governance would.
    pub fn change_shared_params(&self, params: SharedParams) -> Result<(), InvalidParams> {
        params_history::check(&params)?;
        self.lock().params = Some(params);
        Ok(())
    }

    /// Transactions that wait for a block.
    pub fn pending(&self) -> usize {
        self.lock().pool.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
}

/// SHA-256 of the bytes.
pub fn tx_hash(tx: &[u8]) -> TxHash {
    Sha256::digest(tx).into()
}

fn brings_claims_or_proofs(tx: &Bytes) -> bool {
    use crate::chain::Message::{CreateClaim, SubmitProof};
    Tx::decode(tx).is_ok_and(|tx| tx.messages.iter().any(|m| matches!(m, CreateClaim(_) | SubmitProof(_))))
}

/// The mempool's memory, which forgets the oldest first.
#[derive(Debug, Default)]
struct Seen {
    hashes: HashSet<TxHash>,
    order: VecDeque<TxHash>,
}

impl Seen {
    fn contains(&self, hash: &TxHash) -> bool {
        self.hashes.contains(hash)
    }

    fn remember(&mut self, hash: TxHash) {
        self.hashes.insert(hash);
        self.order.push_back(hash);
        if self.order.len() > SEEN {
            self.order.pop_front().map(|oldest| self.hashes.remove(&oldest));
        }
    }

    fn forget(&mut self, hash: &TxHash) {
        self.hashes.remove(hash);
        self.order.retain(|known| known != hash);
    }
}
