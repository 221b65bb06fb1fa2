use serde::{Deserialize, Serialize};

use crate::{Chain, Process, Rate, Redis};

/// What a miner tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MinerStatus {
    /// The process.
    pub process: Process,
    /// What `/ready` says.
    pub ready: bool,
    /// Why it is not, in words.
    pub not_ready: Vec<String>,
    /// Its name among those that share the Redis.
    pub instance: String,
    /// Whether it tells blocks to the fleet.
    pub leader: bool,
    /// The chain.
    pub chain: Chain,
    /// Redis.
    pub redis: Redis,
    /// Sums.
    pub totals: MinerTotals,
    /// What may be lost, or is, worst first.
    pub risks: Vec<Risk>,
    /// Suppliers whose keys are held, by address.
    pub suppliers: Vec<Supplier>,
    /// Sessions of its suppliers that are not settled: at risk first, then by what is due next. At most
    /// [`Self::MOST_SESSIONS`].
    pub sessions: Vec<Session>,
    /// Sessions that did not fit.
    pub sessions_left_out: u64,
    /// All sessions by state, those left out too.
    pub states: Vec<StateTotal>,
    /// Sessions that are over, newest first. At most [`Self::MOST_ENDS`].
    pub ends: Vec<End>,
    /// Relayers that share the Redis, by instance.
    pub relayers: Vec<RelayerSeen>,
}

impl MinerStatus {
    /// Most sessions that are told one by one.
    pub const MOST_SESSIONS: usize = 200;
    /// Most ended sessions that are told.
    pub const MOST_ENDS: usize = 50;
}

/// Sums over the suppliers of a miner.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MinerTotals {
    /// Relays taken into trees since the start.
    pub relays: u64,
    /// How fast they come.
    pub relays_per_second: Rate,
    /// Taken in in each of the last 60 seconds, oldest first.
    pub relays_history: Vec<u64>,
    /// Sessions that are not settled.
    pub sessions: u64,
    /// What those are worth that are not lost, in upokt, before caps and shares.
    pub expected_upokt: u64,
    /// Of that, what is at risk.
    pub at_risk_upokt: u64,
    /// Claims that are being made or sent.
    pub claims_under_way: u64,
    /// Proofs that are being made or sent.
    pub proofs_under_way: u64,
    /// Claims in a block, since the start.
    pub claims: u64,
    /// Proofs in a block and found valid, since the start.
    pub proofs: u64,
    /// Sessions that ended without what was due, since the start.
    pub failed: u64,
    /// What settled claims paid to the suppliers and those they share with since the start, in upokt: their part of what the
    /// claims were worth.
    pub earned_upokt: u64,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Money is lost or will be within blocks.
    Critical,
    /// Money will be lost if it goes on.
    Warning,
}

/// Why something may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A session ended without what was due.
    Lost,
    /// The claim window is open, and the tree not sealed.
    NotSealed,
    /// The claim is in no block yet.
    NotClaimed,
    /// The proof is in no block yet.
    NotProved,
    /// The parameters at a session's end are not known.
    NoWindows,
    /// More relays wait in a stream than are taken in within a minute.
    Backlog,
    /// An account cannot pay fees, or not for long.
    Balance,
    /// The stake bears few more missed proofs.
    Stake,
    /// Redis does not answer.
    Redis,
    /// Redis forgets what it is given.
    RedisForgets,
    /// The node does not answer.
    Chain,
    /// A supplier's worker has told nothing for a while.
    Stuck,
}

/// Something that may be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// How bad it is.
    pub severity: Severity,
    /// Why.
    pub cause: Cause,
    /// The same in words, with what to do.
    pub text: String,
    /// The supplier's address, where it is about one.
    #[serde(default)]
    pub supplier: Option<String>,
    /// The session's id, where it is about one.
    #[serde(default)]
    pub session: Option<String>,
    /// What that session is worth.
    #[serde(default)]
    pub upokt: Option<u64>,
}

/// One supplier.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Supplier {
    /// Operator address.
    pub address: String,
    /// Whether this miner works it; others work the rest.
    pub owned: bool,
    /// Its stream, if it is worked here.
    pub stream: Option<Stream>,
    /// Sessions that are not settled.
    pub sessions: u64,
    /// What those are worth that are not lost, in upokt.
    pub expected_upokt: u64,
    /// How fast its relays are taken in.
    pub relays_per_second: Rate,
    /// The operator's account; nothing where it is not watched.
    pub balance: Option<Balance>,
    /// Missed proofs that the stake bears; nothing where it is not known.
    pub missed_proofs_left: Option<u64>,
}

/// Relays on their way from relayers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stream {
    /// Entries that no tree holds yet.
    pub length: u64,
    /// Of those, the ones that were read already.
    pub pending: u64,
}

/// An account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Balance {
    /// What is on it.
    pub upokt: u64,
    /// `good`, `low` or `critical`, by `balance_monitor` of the configuration.
    pub health: String,
}

/// A session that is not settled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    /// Its id.
    pub session: String,
    /// The supplier's address.
    pub supplier: String,
    /// The service's id.
    pub service: String,
    /// The application's address.
    pub application: String,
    /// First block.
    pub start: i64,
    /// Last block.
    pub end: i64,
    /// As in Redis: `active`, `claiming`, `claimed`, `proving`, `proved`, `probabilistic_proved`, `claim_skipped`,
    /// `claim_window_closed`, `claim_tx_error`, `claim_missing`, `proof_window_closed`, `proof_tx_error`.
    pub state: String,
    /// Leaves of its tree.
    pub relays: u64,
    /// Their sum.
    pub compute_units: u64,
    /// What a claim for them is worth, before caps and shares; nothing until the chain has told price and difficulty.
    pub expected_upokt: Option<u64>,
    /// Its windows; nothing until it has ended and the parameters are known.
    pub windows: Option<SessionWindows>,
    /// What the chain's height decides next; nothing when no block does.
    pub next: Option<Next>,
    /// What is being done for it now.
    pub work: Option<Work>,
    /// The worst of its risks.
    pub risk: Option<Severity>,
    /// Why it ended as it did, or why what was tried last did not work.
    pub reason: Option<String>,
    /// Hash of the claim's transaction, upper-case hex.
    pub claim_tx: Option<String>,
    /// Hash of the proof's transaction.
    pub proof_tx: Option<String>,
}

/// Heights of a session's windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionWindows {
    /// First block that accepts the claim.
    pub claim_open: i64,
    /// Last one.
    pub claim_close: i64,
    /// First block that accepts the proof.
    pub proof_open: i64,
    /// Last one; at its end the claim is settled.
    pub proof_close: i64,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// What it is.
    pub step: Step,
    /// The block that decides it.
    pub height: i64,
    /// Blocks until then.
    pub blocks_left: i64,
}

/// A moment in a session's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The session ends.
    SessionEnds,
    /// The claim window opens.
    ClaimOpens,
    /// It closes.
    ClaimCloses,
    /// The proof window opens.
    ProofOpens,
    /// It closes.
    ProofCloses,
    /// The claim is settled.
    Settles,
}

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// A claim is being made, sent or looked for.
    Claim,
    /// A proof is.
    Proof,
}

/// Sessions in one state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StateTotal {
    /// As in [`Session::state`].
    pub state: String,
    /// How many.
    pub sessions: u64,
    /// Their relays.
    pub relays: u64,
    /// What those relays are worth; with a state that means loss, what was lost.
    pub upokt: u64,
}

/// A session that is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct End {
    /// Its id.
    pub session: String,
    /// The supplier's address.
    pub supplier: String,
    /// The service's id.
    pub service: String,
    /// Its relays.
    pub relays: u64,
    /// Their compute units.
    pub compute_units: u64,
    /// The state in which it ended, as in [`Session::state`].
    pub state: String,
    /// What the chain did with the claim: `settled_proven`, `settled_unproven`, `expired`, `discarded`; `absent` when
    /// there was none, `unknown` when nobody has that block any more.
    pub settlement: String,
    /// Block of the settlement.
    pub height: i64,
    /// What the chain says the claim was worth, or what we say where it does not.
    pub upokt: Option<u64>,
    /// Why it did not end well.
    pub reason: Option<String>,
}

/// A relayer of the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RelayerSeen {
    /// Its name.
    pub instance: String,
    /// Whether its last word still counts. One that is silent is waited for, for seconds.
    pub live: bool,
    /// The height it had seen.
    pub height: Option<i64>,
    /// Least end height of a session that it may still have relays of.
    pub open_from: Option<i64>,
}
