//! `relay-miner redis dedup`.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use pocket_protocol::SessionId;
use serde::Serialize;

use super::target::Target;
use super::words::{left, seconds};
use crate::output::{DIM, Output};

/// Members that are shown.
const SAMPLE: u64 = 10;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  relay-miner redis dedup --session ID")]
pub struct Arguments {
    /// The session
    #[arg(long, value_name = "ID")]
    session: String,
}

#[derive(Serialize)]
struct Dedup {
    session_id: String,
    relays: u64,
    #[serde(rename = "ttl_seconds", serialize_with = "seconds")]
    ttl: Option<Duration>,
    sample: Vec<String>,
}

impl fmt::Display for Dedup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.relays == 0 {
            return write!(
                f,
                "no set for session {}\n{DIM}Only Go relay miners keep one, for minutes: here the tree itself takes a relay once.{DIM:#}",
                self.session_id
            );
        }
        writeln!(f, "{DIM}session{DIM:#}  {}", self.session_id)?;
        writeln!(f, "{DIM}relays{DIM:#}   {}", self.relays)?;
        write!(f, "{DIM}expires{DIM:#}  {}", left(self.ttl))?;
        for hash in &self.sample {
            write!(f, "\n  {hash}")?;
        }
        Ok(())
    }
}

pub async fn run(target: &Target, arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let key = target.store.keys().dedup(&SessionId::from(arguments.session.as_str()));
    let set = target.store.set_sample(&key, SAMPLE).await?;
    let sample = set.iter().flat_map(|set| &set.sample);
    // Raw hashes, or hexadecimal ones.
    let sample = sample.map(|hash| match std::str::from_utf8(hash) {
        Ok(text) => text.to_owned(),
        Err(_) => hex::encode(hash),
    });
    output.print(&Dedup {
        session_id: arguments.session.clone(),
        sample: sample.collect(),
        relays: set.as_ref().map_or(0, |set| set.members),
        ttl: set.and_then(|set| set.ttl),
    })?;
    Ok(ExitCode::SUCCESS)
}
