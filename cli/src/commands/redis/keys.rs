//! `relay-miner redis keys`.

use std::collections::BTreeSet;
use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::target::Target;
use super::words::{count, left, seconds};
use crate::output::{Cell, DIM, Output, Progress, Table};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  relay-miner redis keys --stats\n  relay-miner redis keys --pattern 'ha:smst:*'\n\nPatterns:\n  ha:relays:*           streams of mined relays\n  ha:miner:sessions:*   session records\n  ha:smst:*             trees\n  ha:supplier:*         the supplier registry\n  ha:*                  everything"
)]
pub struct Arguments {
    /// Which keys: * stands for any text, ? for any letter [default: all of the namespace]
    #[arg(long)]
    pattern: Option<String>,
    /// Most keys to show; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Show type, time to live and size
    #[arg(long)]
    stats: bool,
}

#[derive(Serialize)]
struct Found {
    patterns: Vec<String>,
    keys: Vec<Key>,
    /// There may be more.
    is_cut: bool,
}

#[derive(Serialize)]
struct Key {
    key: String,
    #[serde(flatten)]
    stats: Option<Stats>,
}

#[derive(Serialize)]
struct Stats {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "ttl_seconds", serialize_with = "seconds")]
    ttl: Option<Duration>,
    bytes: Option<u64>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.keys.first().is_some_and(|key| key.stats.is_some()) {
            let mut table = Table::new(["KEY", "TYPE", "EXPIRES", "BYTES"]);
            for Key { key, stats } in &self.keys {
                let stats = stats.as_ref();
                table.row([
                    key.as_str().into(),
                    Cell::or_dash(stats.map(|stats| &stats.kind)),
                    Cell::or_dash(stats.map(|stats| left(stats.ttl))),
                    Cell::or_dash(stats.and_then(|stats| stats.bytes)),
                ]);
            }
            writeln!(f, "{table}")?;
        } else {
            for key in &self.keys {
                writeln!(f, "{}", key.key)?;
            }
        }
        let more = if self.is_cut {
            "; there may be more, see --limit"
        } else {
            ""
        };
        write!(
            f,
            "{DIM}{} match {}{more}{DIM:#}",
            count(self.keys.len(), "key"),
            self.patterns.join(" ")
        )
    }
}

pub async fn run(target: &Target, arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let store = &target.store;
    let patterns = match &arguments.pattern {
        Some(pattern) => vec![pattern.clone()],
        None => store.keys().all_patterns(),
    };
    let limit = Some(arguments.limit).filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let (names, is_cut) = find(target, &patterns, limit).await?;
    let keys = if arguments.stats {
        let described = store.describe_keys(&names).await?.into_iter().map(|key| Key {
            key: key.key,
            stats: Some(Stats {
                kind: key.kind,
                ttl: key.ttl,
                bytes: key.bytes,
            }),
        });
        described.collect()
    } else {
        names.into_iter().map(|key| Key { key, stats: None }).collect()
    };
    output.print(&Found { patterns, keys, is_cut })?;
    Ok(ExitCode::SUCCESS)
}

/// Not more than `limit`, so that a look at a large Redis is short; whether there may be others.
async fn find(target: &Target, patterns: &[String], limit: usize) -> anyhow::Result<(Vec<String>, bool)> {
    let (mut found, mut progress) = (BTreeSet::new(), Progress::of("keys"));
    for pattern in patterns {
        let mut scan = target.store.scan(pattern);
        while let Some(page) = scan.next().await? {
            found.extend(page);
            if found.len() > limit {
                return Ok((found.into_iter().take(limit).collect(), true));
            }
            progress.tell(found.len() as u64, None);
        }
    }
    Ok((found.into_iter().collect(), false))
}
