//! Relayer and miner as operators run them: their files are changed and signals sent while they work, and what they say
//! is searched for keys.

mod miner;
mod relayer;
mod secrets;
mod world;
