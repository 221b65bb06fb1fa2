//! The miner against a verifying chain and a real Redis.

mod mining;
mod world;
