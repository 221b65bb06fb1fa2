//! One module a command.

pub mod audit;
pub mod demo;
pub mod miner;
pub mod relay;
pub mod relayer;
pub mod version;
