//! Writing to the chain: building, signing, sending and finding transactions (spec `chain.md` §7).
//!
//! May touch: the node, through `pocket-query`, and keys, through `pocket-keys`. Must not touch: Redis,
//! and what the messages say; it sorts the chain's refusals by what can be done about them.
//!
//! Transactions are signed in `SIGN_MODE_DIRECT`. One is in flight to the mempool per signer, so that
//! ordered sequences have no gaps; different signers do not wait for each other.

mod account;
mod config;
mod document;
mod error;
mod gas;
mod inclusion;
mod metrics;
mod refusal;
mod sender;

pub use config::{Mode, TxConfig};
pub use document::{Document, Parts, Validity, tx_hash};
pub use error::TxError;
pub use gas::{GasPrice, GasPriceError};
pub use inclusion::Inclusion;
pub use metrics::TxMetrics;
pub use refusal::{ChainRefusal, Remedy, message_index};
pub use sender::{Sent, TxSender};
