//! `relay-miner version`.

use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

use crate::output::Output;

#[derive(Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// Prints the version.
pub fn run(output: Output) -> anyhow::Result<ExitCode> {
    output.print(&Version {
        name: "relay-miner",
        version: env!("CARGO_PKG_VERSION"),
    })?;
    Ok(ExitCode::SUCCESS)
}
