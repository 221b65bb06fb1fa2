//! What a process tells of itself: the JSON of `/status`, the page that shows it, and the arithmetic behind both.
//!
//! Touches nothing: plain values, which relayers and miners fill in and whoever looks at them reads. Keys are stable:
//! new ones may come, none changes its meaning (docs/status.md).

mod common;
mod miner;
pub mod page;
mod quantile;
mod relayer;
mod window;

pub use common::{Chain, History, Process, Rate, Redis};
pub use miner::{
    Balance, Cause, End, MinerStatus, MinerTotals, Next, RelayerSeen, Risk, Session, SessionWindows, Severity,
    StateTotal, Step, Stream, Supplier, Work,
};
pub use quantile::{Buckets, Latency};
pub use relayer::{
    Backend, Connections, Meter, Queue, Reason, RelayLog, RelayerStatus, Relays, Served, ServedSupplier, Service,
    ServiceType,
};
pub use window::Window;

use serde::{Deserialize, Serialize};

/// What `/status` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Status {
    /// Of a relayer.
    Relayer(RelayerStatus),
    /// Of a miner.
    Miner(MinerStatus),
}
