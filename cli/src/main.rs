//! `relay-miner`: the command that operators run.
fn main() {}
