//! Chaos: relayers and miners as real processes, that are killed, paused, cut off and refused while they serve.
//!
//! Every round is a session of the devnet. While it lives, something breaks; when it is settled, the devnet's blocks
//! must show that each relay which was answered with success is in exactly one claim, and each claim is proven.
//! [`soak`] does the same for long on the real chain of `tests/localnet`.
//! Touches child processes, loopback ports and a temporary folder of its own.

mod backend;
mod book;
mod chain;
mod deck;
mod fate;
mod fault;
mod fleet;
mod process;
mod proxy;
mod redis_server;
mod run;
mod soak;
mod traffic;
mod verdict;

pub use redis_server::RedisKind;
pub use run::{Outcome, Settings, run};
pub use soak::{Report, SoakSettings, soak};
