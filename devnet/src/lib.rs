//! A verifying chain in this process, for tests and the demo: what it accepts the real chain accepts.
//!
//! May touch: loopback ports, in [`Devnet`] alone; [`chain`] is pure. Must not touch: disk, the network, and
//! the programs that it is to test.

mod actor;
pub mod chain;
mod devnet;
mod genesis;
mod node;
mod query;
mod relays;
mod server;

pub use actor::Actor;
pub use devnet::{Devnet, DevnetConfig, DevnetError};
pub use genesis::{Genesis, GenesisAccount, Localnet, Params, Tokenomics, coin};
pub use node::{Broadcast, Node, tx_hash};
pub use relays::RelayMaker;
