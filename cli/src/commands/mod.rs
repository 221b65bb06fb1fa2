//! One module a command.

pub mod miner;
pub mod relayer;
pub mod version;
