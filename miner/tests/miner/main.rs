//! The miner against a verifying chain and a real Redis.

mod damage;
mod draining;
mod mining;
mod restart;
mod sharing;
mod trouble;
mod world;
