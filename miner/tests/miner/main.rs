//! The miner against a verifying chain and a real Redis.

mod announcing;
mod auditing;
mod damage;
mod draining;
mod inherited;
mod interrupted;
mod mining;
mod rehearsal;
mod reloading;
mod restart;
mod sharing;
mod telling;
mod trouble;
mod watching;
mod world;
