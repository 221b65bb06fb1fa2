//! `relay-miner redis cache`.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::ValueEnum;
use pocket_store::{CacheKind, StoredValue};
use serde::Serialize;

use super::invalidate::{Chosen, Invalidation};
use super::target::Target;
use super::words::{count, left, seconds};
use crate::output::{Cell, DIM, Output, Table};

/// Bytes of a value that are shown.
const SHOWN: usize = 500;

#[derive(clap::Args)]
// Each is an option of its own.
#[allow(clippy::struct_excessive_bools)]
#[command(
    after_help = "Examples:\n  relay-miner redis cache --type supplier --list\n  relay-miner redis cache --type application --key pokt1…\n  relay-miner redis cache --type service --invalidate --all --dry-run\n  relay-miner redis cache --type all --invalidate --all\n\nThis program keeps answers of the chain in memory: all types but supplier are what Go relay miners cache.\nThe type all leaves alone what relayers need: registry entries that are well, locks, and all that is no cache."
)]
pub struct Arguments {
    /// What is cached
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    kind: Kind,
    /// One entry: an address or a service's id
    #[arg(long)]
    key: Option<String>,
    /// All entries of the type
    #[arg(long, conflicts_with_all = ["key", "invalidate"])]
    list: bool,
    /// Remove entries and tell relayers and miners so
    #[arg(long)]
    invalidate: bool,
    /// Invalidate all entries of the type
    #[arg(long, requires = "invalidate", conflicts_with = "key")]
    all: bool,
    /// Invalidate the entries that this file names, one a line; # starts a comment
    #[arg(long, value_name = "FILE", requires = "invalidate", conflicts_with_all = ["key", "all"])]
    key_file: Option<PathBuf>,
    /// Say what would be invalidated, and change nothing
    #[arg(long, requires = "invalidate")]
    dry_run: bool,
    /// Do not ask
    #[arg(long, requires = "invalidate")]
    yes: bool,
}

/// What can be named: a kind, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    All,
    One(CacheKind),
}

impl ValueEnum for Kind {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Kind; 8] = {
            let mut all = [Kind::All; 8];
            let mut place = 0;
            while place < CacheKind::ALL.len() {
                all[place] = Kind::One(CacheKind::ALL[place]);
                place += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::All => "all",
            Self::One(kind) => kind.as_str(),
        }))
    }
}

pub async fn run(target: &Target, arguments: Arguments, output: Output) -> anyhow::Result<ExitCode> {
    if arguments.invalidate {
        let chosen = chosen(&arguments)?;
        let invalidation = Invalidation {
            dry_run: arguments.dry_run,
            yes: arguments.yes,
        };
        return invalidation.run(target, chosen, output).await;
    }
    let Kind::One(kind) = arguments.kind else {
        bail!("--type all goes with --invalidate --all alone");
    };
    match arguments.key.as_deref() {
        Some(name) => show(target, kind, name, output).await,
        None if kind.is_single() => show(target, kind, "", output).await,
        None if arguments.list => list(target, kind, output).await,
        None => bail!("say --key to see an entry, --list to see all, or --invalidate"),
    }
}

fn chosen(arguments: &Arguments) -> anyhow::Result<Chosen> {
    let kind = match arguments.kind {
        Kind::All if arguments.all => return Ok(Chosen::AllKinds),
        Kind::All => bail!("--type all goes with --invalidate --all alone"),
        Kind::One(kind) => kind,
    };
    if arguments.all || kind.is_single() {
        return Ok(Chosen::All(kind));
    }
    match (&arguments.key, &arguments.key_file) {
        (Some(name), _) => Ok(Chosen::Some(kind, vec![name.clone()])),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| anyhow::anyhow!("{} cannot be read: {error}", path.display()))?;
            let lines = text.lines().map(str::trim);
            let names = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
            Ok(Chosen::Some(kind, names.map(str::to_owned).collect()))
        }
        (None, None) => bail!("--invalidate goes with --key, --key-file or --all"),
    }
}

#[derive(Serialize)]
struct Entry {
    key: String,
    bytes: usize,
    #[serde(rename = "ttl_seconds", serialize_with = "seconds")]
    ttl: Option<Duration>,
    /// As JSON, if it is, or as text; of bytes in hex.
    value: serde_json::Value,
}

impl Entry {
    fn of(key: String, stored: &StoredValue) -> Self {
        let text = || match std::str::from_utf8(&stored.bytes) {
            Ok(text) => text.into(),
            Err(_) => hex::encode(&stored.bytes).into(),
        };
        Self {
            bytes: stored.bytes.len(),
            ttl: stored.ttl,
            value: serde_json::from_slice(&stored.bytes).unwrap_or_else(|_| text()),
            key,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{DIM}key{DIM:#}      {}", self.key)?;
        writeln!(f, "{DIM}expires{DIM:#}  {}", left(self.ttl))?;
        writeln!(f, "{DIM}bytes{DIM:#}    {}", self.bytes)?;
        let text = match &self.value {
            serde_json::Value::String(text) => text.clone(),
            other => format!("{other:#}"),
        };
        let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(end, _)| end);
        let dots = if end < text.len() { "…" } else { "" };
        write!(f, "{}{dots}", &text[..end])
    }
}

async fn show(target: &Target, kind: CacheKind, name: &str, output: Output) -> anyhow::Result<ExitCode> {
    let key = target.store.keys().cached(kind, name);
    let Some(stored) = target.store.value(&key).await? else {
        bail!("there is no {key}");
    };
    output.print(&Entry::of(key, &stored))?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct List {
    #[serde(rename = "type")]
    kind: &'static str,
    entries: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    key: String,
    #[serde(rename = "ttl_seconds", serialize_with = "seconds")]
    ttl: Option<Duration>,
    bytes: Option<u64>,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["KEY", "EXPIRES", "BYTES"]);
        for entry in &self.entries {
            table.row([
                entry.key.as_str().into(),
                left(entry.ttl).into(),
                Cell::or_dash(entry.bytes),
            ]);
        }
        write!(f, "{table}\n{DIM}{}{DIM:#}", count(self.entries.len(), "entry"))
    }
}

async fn list(target: &Target, kind: CacheKind, output: Output) -> anyhow::Result<ExitCode> {
    let store = &target.store;
    let keys = store.find_keys([store.keys().cached(kind, "*")], |_| ()).await?;
    let entries = store.describe_keys(&keys).await?.into_iter().map(|key| Listed {
        key: key.key,
        ttl: key.ttl,
        bytes: key.bytes,
    });
    output.print(&List {
        kind: kind.as_str(),
        entries: entries.collect(),
    })?;
    Ok(ExitCode::SUCCESS)
}
