//! `relay-miner redis leader`.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::target::Target;
use super::words::{left, seconds};
use crate::output::{BOLD, DIM, Output, WARN};

#[derive(Serialize)]
struct Leadership {
    key: String,
    /// `None`: nobody leads.
    leader: Option<String>,
    #[serde(rename = "ttl_seconds", serialize_with = "seconds")]
    ttl: Option<Duration>,
}

impl fmt::Display for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.leader {
            Some(leader) => write!(
                f,
                "{DIM}leader{DIM:#}  {BOLD}{leader}{BOLD:#}\n{DIM}lease{DIM:#}   ends in {}\n{DIM}key{DIM:#}     {}",
                left(self.ttl),
                self.key
            ),
            None => write!(
                f,
                "{WARN}no leader{WARN:#}: no miner runs, or none has taken the lead yet\n{DIM}key{DIM:#}  {}",
                self.key
            ),
        }
    }
}

pub async fn run(target: &Target, output: Output) -> anyhow::Result<ExitCode> {
    let key = target.store.keys().leader_lease();
    let held = target.store.value(&key).await?;
    let ttl = held.as_ref().and_then(|held| held.ttl);
    output.print(&Leadership {
        key,
        leader: held.map(|held| instance(&String::from_utf8_lossy(&held.bytes)).to_owned()),
        ttl,
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Who holds a lease, without the number of the acquisition that this program's miners write behind their name.
pub fn instance(token: &str) -> &str {
    token.rsplit_once('#').map_or(token, |(instance, _)| instance)
}
