//! The chain as a pure state machine: no async, no clock, no I/O.
//!
//! A block is [`Chain::begin_block`], any number of [`Chain::deliver_tx`], [`Chain::end_block`].
//! Between blocks [`Chain::check_tx`], [`Chain::simulate`] and [`Chain::view`] answer as a node does.

mod bank;
mod claim;
mod context;
mod difficulty;
mod event;
mod execute;
mod figures;
mod proof;
mod refusal;
mod requirement;
pub mod session;
mod settlement;
mod state;
pub mod tx;
mod unbonding;
mod validate;
mod verdict;
mod words;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use pocket_proto::pocket::proof::Claim;
use pocket_protocol::claim::ProofRequirement;
use pocket_protocol::params_history::InvalidParams;
use pocket_protocol::{Height, SharedParams};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::genesis::Genesis;
pub use bank::{Account, Bank, DENOM};
pub use context::{BlockHashes, Context};
pub use event::Event;
pub use execute::SimulationError;
pub use figures::Figures;
pub use refusal::{HandlerError, Refusal, Registered};
pub(crate) use state::is_active;
pub use state::{ClaimKey, State};
pub use tx::TxResult;
pub use tx::decode::{Message, Tx};

/// States of this many last blocks can be queried by height.
const KEPT_STATES: usize = 512;

/// A committed block.
#[derive(Clone, Debug)]
pub struct Block {
    /// From 1.
    pub height: i64,
    /// Follows from the height, the block before and the transactions.
    pub hash: [u8; 32],
    /// Hash of the block before; zeros for block 1.
    pub last_hash: [u8; 32],
    /// As it was given.
    pub time: OffsetDateTime,
    /// In order of execution.
    pub txs: Vec<Bytes>,
    /// One for each transaction.
    pub results: Vec<TxResult>,
    /// What happened at the block's end, with `mode` = `EndBlock`.
    pub events: Vec<Event>,
}

/// A state with its place in time: what a query looks at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The stores.
    pub state: &'a State,
    /// The block they belong to.
    pub context: Context<'a>,
}

impl View<'_> {
    /// Whether a claim must be proven, as the chain would decide now.
    pub fn proof_requirement(&self, claim: &Claim) -> Result<ProofRequirement, Refusal> {
        requirement::requirement(self.state, &self.context, claim)
    }
}

/// The state of the last block, the blocks before, and the block in progress.
#[derive(Clone, Debug)]
pub struct Chain {
    id: String,
    fixed_hashes: BTreeMap<i64, [u8; 32]>,
    hashes: BlockHashes,
    blocks: BTreeMap<i64, Arc<Block>>,
    /// By height, without gaps; the last is the committed one.
    committed: VecDeque<(i64, OffsetDateTime, Arc<State>)>,
    /// Committed state and the mempool's transactions on top.
    mempool: State,
    open: Option<OpenBlock>,
}

#[derive(Clone, Debug)]
struct OpenBlock {
    height: i64,
    time: OffsetDateTime,
    state: State,
    txs: Vec<Bytes>,
    results: Vec<TxResult>,
}

impl Chain {
    /// A chain without blocks.
    pub fn new(genesis: &Genesis) -> Self {
        let state = State::new(genesis);
        Self {
            id: genesis.chain_id.clone(),
            fixed_hashes: genesis.block_hashes.clone(),
            hashes: BlockHashes::new(),
            blocks: BTreeMap::new(),
            mempool: state.clone(),
            committed: VecDeque::from([(0, genesis.time, Arc::new(state))]),
            open: None,
        }
    }

    /// Name of the network.
    pub fn chain_id(&self) -> &str {
        &self.id
    }

    /// Height of the last committed block.
    pub fn height(&self) -> i64 {
        self.last().0
    }

    /// Time of the last committed block.
    pub fn time(&self) -> OffsetDateTime {
        self.last().1
    }

    /// A committed block.
    pub fn block(&self, height: i64) -> Option<&Arc<Block>> {
        self.blocks.get(&height)
    }

    /// All committed blocks, from the first.
    pub fn blocks(&self) -> impl DoubleEndedIterator<Item = &Arc<Block>> {
        self.blocks.values()
    }

    /// The last committed state.
    pub fn view(&self) -> View<'_> {
        let (height, time, state) = self.last();
        View {
            state,
            context: self.context(*height, *time),
        }
    }

    /// The state after a block; none if it is not committed yet, or too old.
    pub fn view_at(&self, height: i64) -> Option<View<'_>> {
        let first = self.committed.front().expect("there is always a committed state").0;
        let index = usize::try_from(height.checked_sub(first)?).ok()?;
        let (height, time, state) = self.committed.get(index)?;
        Some(View {
            state,
            context: self.context(*height, *time),
        })
    }

    /// Starts the next block. Time never goes back.
    ///
    /// # Panics
    /// When a block is in progress.
    pub fn begin_block(&mut self, time: OffsetDateTime) {
        assert!(self.open.is_none(), "the block in progress must end first");
        let (last, last_time, state) = self.last();
        let open = OpenBlock {
            height: last + 1,
            time: time.max(*last_time),
            state: State::clone(state),
            txs: Vec::new(),
            results: Vec::new(),
        };
        self.open = Some(open);
    }

    /// Height of the block in progress.
    pub fn open_height(&self) -> Option<i64> {
        self.open.as_ref().map(|open| open.height)
    }

    /// Executes a transaction in the block in progress.
    ///
    /// # Panics
    /// When no block is in progress.
    pub fn deliver_tx(&mut self, bytes: Bytes) -> TxResult {
        let open = self.open.as_mut().expect("a transaction needs a block");
        let context = Context {
            chain_id: &self.id,
            height: open.height,
            time: open.time,
            hashes: &self.hashes,
        };
        let result = execute::deliver(&mut open.state, &context, &bytes);
        open.txs.push(bytes);
        open.results.push(result.clone());
        result
    }

    /// Executes one message in the block in progress, as if a transaction had brought it. A message that
    /// fails changes nothing.
    ///
    /// # Panics
    /// When no block is in progress.
    pub fn deliver_message(&mut self, message: &Message) -> Result<Vec<Event>, HandlerError> {
        let open = self.open.as_mut().expect("a message needs a block");
        let context = Context {
            chain_id: &self.id,
            height: open.height,
            time: open.time,
            hashes: &self.hashes,
        };
        let mut state = open.state.clone();
        let events = execute::message(&mut state, &context, message)?;
        open.state = state;
        Ok(events)
    }

    /// Changes shared parameters by governance in the block in progress; they count from the next session on.
    ///
    /// # Panics
    /// When no block is in progress.
    pub fn change_shared_params(&mut self, params: SharedParams) -> Result<(), InvalidParams> {
        let open = self.open.as_mut().expect("a change needs a block");
        open.state.shared.record(params, Height(open.height))
    }

    /// Everything that happened in all blocks, with its height: in transactions, then at the block's end.
    pub fn events(&self) -> impl Iterator<Item = (i64, &Event)> {
        self.blocks.values().flat_map(|block| {
            let in_txs = block.results.iter().flat_map(|result| &result.events);
            in_txs.chain(&block.events).map(|event| (block.height, event))
        })
    }

    /// Ends the block in progress and commits it. The mempool starts anew.
    ///
    /// # Panics
    /// When no block is in progress.
    pub fn end_block(&mut self) -> Arc<Block> {
        let mut open = self.open.take().expect("only a block in progress can end");
        let hash = self.hash_of(&open);
        let last_hash = self.hashes.get(&(open.height - 1)).copied().unwrap_or_default();
        self.hashes.insert(open.height, hash);
        let context = Context {
            chain_id: &self.id,
            height: open.height,
            time: open.time,
            hashes: &self.hashes,
        };
        let events = execute::end_block(&mut open.state, &context);
        let block = Arc::new(Block {
            height: open.height,
            hash,
            last_hash,
            time: open.time,
            txs: open.txs,
            results: open.results,
            events: events.into_iter().map(|event| event.last("mode", "EndBlock")).collect(),
        });
        self.mempool = open.state.clone();
        self.committed.push_back((open.height, open.time, Arc::new(open.state)));
        if self.committed.len() > KEPT_STATES {
            self.committed.pop_front();
        }
        self.blocks.insert(block.height, Arc::clone(&block));
        block
    }

    /// Checks a transaction for the mempool, on top of those that were accepted since the last block.
    pub fn check_tx(&mut self, bytes: &Bytes) -> TxResult {
        let (height, time, _) = *self.last();
        let context = Context {
            chain_id: &self.id,
            height,
            time,
            hashes: &self.hashes,
        };
        execute::check(&mut self.mempool, &context, bytes)
    }

    /// Runs a transaction on top of those that the mempool accepted, as a node does, without checking signatures, and
    /// tells what gas it took.
    pub fn simulate(&self, bytes: &Bytes) -> Result<u64, SimulationError> {
        execute::simulate(&self.mempool, &self.view().context, bytes)
    }

    fn last(&self) -> &(i64, OffsetDateTime, Arc<State>) {
        self.committed.back().expect("there is always a committed state")
    }

    fn context(&self, height: i64, time: OffsetDateTime) -> Context<'_> {
        Context {
            chain_id: &self.id,
            height,
            time,
            hashes: &self.hashes,
        }
    }

    fn hash_of(&self, open: &OpenBlock) -> [u8; 32] {
        if let Some(fixed) = self.fixed_hashes.get(&open.height) {
            return *fixed;
        }
        let mut hasher = Sha256::new_with_prefix(&self.id);
        hasher.update(open.height.to_be_bytes());
        hasher.update(self.hashes.get(&(open.height - 1)).copied().unwrap_or_default());
        open.txs.iter().for_each(|tx| hasher.update(Sha256::digest(tx)));
        hasher.finalize().into()
    }
}
