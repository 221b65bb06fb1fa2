//! `relay-miner version`.

use std::process::ExitCode;

/// Prints the version.
pub fn run() -> anyhow::Result<ExitCode> {
    println!("relay-miner {}", env!("CARGO_PKG_VERSION"));
    Ok(ExitCode::SUCCESS)
}
