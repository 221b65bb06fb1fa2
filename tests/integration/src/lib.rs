//! End-to-end tests: the programs together, against the devnet and against the real chain.
//!
//! Touches child processes, loopback ports and temporary folders of its own. The real chain comes from
//! `tests/localnet` and needs Go; everything else needs nothing but `redis-server`.

mod chain;
mod gate;
mod localnet;
mod recording;

pub use chain::{Chain, ChainKind};
pub use gate::Gate;
pub use localnet::{Localnet, LocalnetError, LocalnetSettings};
pub use recording::{RecordedKey, Recording};
