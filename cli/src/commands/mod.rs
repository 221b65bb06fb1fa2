//! One module a command.

pub mod demo;
pub mod miner;
pub mod relay;
pub mod relayer;
pub mod top;
pub mod version;
