//! Transactions: decoding, the ante handler's checks, results.

pub mod ante;
pub mod decode;
pub mod gas;

use crate::chain::event::Event;
use crate::chain::refusal::Refusal;

/// How far a transaction is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For the mempool: checked, its messages not executed.
    Check,
    /// In a block.
    Deliver,
    /// Executed on the last state without looking at signatures; nothing is kept.
    Simulate,
}

/// What became of a transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxResult {
    /// 0 is success.
    pub code: u32,
    /// Who registered the code; `undefined` for a failed message.
    pub codespace: String,
    /// Why it failed.
    pub log: String,
    /// The limit that it came with.
    pub gas_wanted: u64,
    /// What it took.
    pub gas_used: u64,
    /// What happened; of a failed transaction only what the ante handler did.
    pub events: Vec<Event>,
}

impl TxResult {
    pub(crate) fn refused(refusal: &Refusal) -> Self {
        Self {
            code: refusal.registered.code,
            codespace: refusal.registered.codespace.to_owned(),
            log: refusal.to_string(),
            ..Self::default()
        }
    }
}
