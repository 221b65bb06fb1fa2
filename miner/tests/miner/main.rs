//! The miner against a verifying chain and a real Redis.

mod announcing;
mod damage;
mod draining;
mod interrupted;
mod mining;
mod reloading;
mod restart;
mod sharing;
mod trouble;
mod watching;
mod world;
