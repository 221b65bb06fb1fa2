//! Reading the chain: cached gRPC queries, `CometBFT` blocks and their results, and the block feed.
//!
//! May touch: full nodes, one or several that stand in for each other, over gRPC, HTTP and WebSocket. Must not
//! touch: keys, Redis, and rules of claims; it hands transactions on as bytes that others signed.
//!
//! Answers are kept by what fixes them (spec `chain.md` §4): what is asked *at* a committed height
//! never changes; live records are kept for seconds; claims, balances and sequences not at all.

mod cache;
mod client;
mod comet;
mod config;
mod error;
mod feed;
mod grpc;
mod metrics;
mod nodes;
mod records;
mod retry;

pub use client::ChainClient;
pub use comet::{Block, BlockResults, Event, NodeStatus, TxResult};
pub use config::NodeConfig;
pub use error::QueryError;
pub use feed::{BlockFeed, BlockInfo, FeedTiming};
pub use metrics::QueryMetrics;
pub use records::Broadcast;
pub use retry::RetryPolicy;
