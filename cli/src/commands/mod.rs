//! One module a command.

pub mod all_in_one;
pub mod audit;
pub mod completions;
pub mod demo;
pub mod miner;
pub mod redis;
pub mod relay;
pub mod relayer;
pub mod top;
pub mod validate;
pub mod version;
