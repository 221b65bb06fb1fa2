//! `relay-miner redis flush`.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::process::ExitCode;

use clap::ArgGroup;
use serde::Serialize;

use super::ask::confirmed;
use super::target::Target;
use super::words::count;
use crate::output::{BAD, BOLD, DIM, Output, Progress, WARN};

/// Keys that are shown before they go.
const SAMPLE: usize = 20;
/// What has to be typed, as with the Go peer.
const WORD: &str = "DELETE";

#[derive(clap::Args)]
#[command(
    group = ArgGroup::new("which").required(true).args(["pattern", "all"]),
    after_help = "Examples:\n  relay-miner redis flush --pattern 'ha:cache:*' --dry-run\n  relay-miner redis flush --all\n\nRelays that wait in streams, trees and session records are what claims and proofs are made of:\nwithout them answered relays are not paid, and a claim that cannot be proven costs stake."
)]
pub struct Arguments {
    /// Keys that match: * stands for any text, ? for any letter
    #[arg(long)]
    pattern: Option<String>,
    /// All keys of the namespace
    #[arg(long)]
    all: bool,
    /// Do not ask
    #[arg(long, visible_alias = "yes")]
    force: bool,
    /// Say what would be deleted, and delete nothing
    #[arg(long, conflicts_with = "force")]
    dry_run: bool,
}

/// What goes, or went.
#[derive(Serialize)]
struct Flush {
    patterns: Vec<String>,
    /// Keys that were found, by what they are.
    found: BTreeMap<&'static str, usize>,
    sample: Vec<String>,
    deleted: u64,
    dry_run: bool,
}

/// What a key is for, and what it means to lose it.
const KINDS: [(&str, &str); 8] = [
    ("relays", "relays that no tree holds yet are lost, unpaid"),
    (
        "trees",
        "sessions cannot be claimed; claims cannot be proven, which costs stake",
    ),
    (
        "sessions",
        "miners forget sessions that they still have to claim or prove",
    ),
    ("leases", "suppliers change their miner"),
    ("registry", "relayers refuse relays until a miner has written it anew"),
    (
        "meters",
        "applications may spend their budget anew: relays beyond it are not paid",
    ),
    ("cache", "answers of the chain are asked for again"),
    ("others", ""),
];

fn kind(target: &Target, key: &str) -> &'static str {
    let keys = target.store.keys();
    let below = |pattern: String| key.starts_with(pattern.trim_end_matches('*'));
    let kinds = [
        below(keys.streams()),
        below(keys.trees()),
        below(keys.sessions()),
        below(keys.supplier_leases()) || key.starts_with(&keys.leader_lease()),
        below(keys.suppliers()),
        key.starts_with(&format!("{}:meter:", target.meter_prefix)) || key == keys.meter_sessions(),
        below(keys.all_cached()),
        true,
    ];
    let place = kinds.iter().position(|is| *is).expect("the last is always true");
    KINDS[place].0
}

impl Flush {
    fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    fn total(&self) -> usize {
        self.found.values().sum()
    }
}

impl fmt::Display for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return write!(f, "no key matches {}", self.patterns.join(" "));
        }
        if self.deleted > 0 {
            return write!(f, "{BOLD}{} deleted{BOLD:#}", count(self.deleted as usize, "key"));
        }
        writeln!(
            f,
            "{BOLD}{} would be deleted{BOLD:#} ({})",
            count(self.total(), "key"),
            self.patterns.join(" ")
        )?;
        for (name, meaning) in KINDS {
            if let Some(keys) = self.found.get(name) {
                let dash = if meaning.is_empty() { "" } else { ": " };
                writeln!(f, "  {BAD}{keys:>8} {name:<8}{BAD:#}{dash}{meaning}")?;
            }
        }
        for key in &self.sample {
            writeln!(f, "  {DIM}{key}{DIM:#}")?;
        }
        let more = self.total() - self.sample.len();
        if more > 0 {
            writeln!(f, "  {DIM}and {more} more{DIM:#}")?;
        }
        write!(f, "nothing was deleted")
    }
}

pub async fn run(target: &Target, arguments: &Arguments, output: Output) -> anyhow::Result<ExitCode> {
    let store = &target.store;
    let patterns = match &arguments.pattern {
        Some(pattern) => vec![pattern.clone()],
        None => store.keys().all_patterns(),
    };
    let mut progress = Progress::of("keys found");
    let keys = store
        .find_keys(patterns.clone(), |found| progress.tell(found, None))
        .await?;
    drop(progress);
    let mut found = BTreeMap::new();
    for key in &keys {
        *found.entry(kind(target, key)).or_default() += 1;
    }
    let mut flush = Flush {
        patterns,
        found,
        sample: keys.iter().take(SAMPLE).cloned().collect(),
        deleted: 0,
        dry_run: arguments.dry_run,
    };
    if flush.is_empty() || arguments.dry_run {
        output.print(&flush)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.force {
        let mut question = flush.to_string();
        question.truncate(question.trim_end_matches("nothing was deleted").len());
        let miners = store.active_miners().await?;
        if !miners.is_empty() {
            let _ = writeln!(question, "{WARN}miners are at work: {}{WARN:#}", miners.join(", "));
        }
        if !confirmed(&format!("{question}This cannot be taken back."), WORD)? {
            eprintln!("nothing was deleted");
            return Ok(ExitCode::FAILURE);
        }
    }
    let mut progress = Progress::of("keys deleted");
    let all = keys.len() as u64;
    flush.deleted = store.remove_keys(&keys, |done| progress.tell(done, Some(all))).await?;
    drop(progress);
    output.print(&flush)?;
    Ok(ExitCode::SUCCESS)
}
