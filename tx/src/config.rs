//! How transactions are made.

use crate::GasPrice;

/// How the chain keeps a transaction from being run twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By the account's sequence: one after the other, valid up to a block height.
    Ordered,
    /// By a timestamp that no other transaction of the signer has, at most ten minutes ahead.
    Unordered,
}

/// Gas, price and form of every transaction (spec `chain.md` §7.2, §7.5). The chain's id is the node's,
/// see `pocket_query::ChainClient::chain_id`.
#[derive(Clone, Debug)]
pub struct TxConfig {
    /// A fixed gas limit; `None` simulates each transaction first.
    pub gas_limit: Option<u64>,
    /// What one unit of gas costs.
    pub gas_price: GasPrice,
    /// The simulated gas is multiplied by this; messages may meet another state than the simulation.
    pub gas_adjustment: f64,
    /// At most 256 characters, readable by everyone.
    pub memo: String,
    /// Ordered or not.
    pub mode: Mode,
}

impl Default for TxConfig {
    fn default() -> Self {
        Self {
            gas_limit: None,
            gas_price: GasPrice::default(),
            gas_adjustment: 1.7,
            memo: String::new(),
            mode: Mode::Ordered,
        }
    }
}
