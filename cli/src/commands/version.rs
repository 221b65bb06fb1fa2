//! `relay-miner version`.

use std::process::ExitCode;

/// Prints the version.
pub fn run() -> ExitCode {
    println!("relay-miner {}", env!("CARGO_PKG_VERSION"));
    ExitCode::SUCCESS
}
