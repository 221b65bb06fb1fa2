//! Serving relays: verify, forward, sign, mine.
//!
//! May touch: the gateway's sockets, the backends, the chain through `query`, Redis through `store`. Must not touch:
//! trees, claims, transactions. The way of a relay is [`pipeline`]'s line of types, each made only by the step before.

mod refusal;
mod rpc_type;
mod target;

pub use refusal::{Invalid, Refusal, Unavailable};
pub use rpc_type::RpcType;
pub use target::{Target, TargetError};
