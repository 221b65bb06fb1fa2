//! Making relayers and miners forget what they have cached in Redis.
//!
//! Entries go first and everyone is told last, so that nobody reads again what is about to go.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::process::ExitCode;

use pocket_store::{CacheKind, SupplierEntry, SupplierStatus};
use serde::Serialize;

use super::ask::confirmed;
use super::target::Target;
use super::words::count;
use crate::output::{BOLD, DIM, Output, Progress, WARN};

/// More entries than these are asked about first, as the Go peer does.
const UNASKED: usize = 100;

/// What is to be invalidated.
pub enum Chosen {
    /// Entries of one kind, by their names.
    Some(CacheKind, Vec<String>),
    /// All entries of one kind.
    All(CacheKind),
    /// All that can be asked for again while everyone is at work.
    AllKinds,
}

pub struct Invalidation {
    pub dry_run: bool,
    pub yes: bool,
}

/// What goes, or went.
#[derive(Default, Serialize)]
struct Invalidated {
    /// By kind.
    entries: BTreeMap<String, Vec<String>>,
    /// Registry entries that are well, and locks: left alone.
    kept: u64,
    removed: u64,
    /// Channels that were told.
    told: u64,
    dry_run: bool,
}

impl Invalidated {
    fn count(&self) -> usize {
        self.entries.values().map(Vec::len).sum()
    }
}

impl fmt::Display for Invalidated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dry_run {
            writeln!(f, "{BOLD}{} would be invalidated{BOLD:#}", count(self.count(), "entry"))?;
        } else {
            writeln!(f, "{BOLD}{} invalidated{BOLD:#}", count(self.removed as usize, "entry"))?;
        }
        for (kind, keys) in &self.entries {
            writeln!(f, "  {:>8} {kind}", keys.len())?;
            if self.dry_run {
                for key in keys {
                    writeln!(f, "           {DIM}{key}{DIM:#}")?;
                }
            }
        }
        if self.kept > 0 {
            writeln!(
                f,
                "  {:>8} left alone: registry entries that are well, and locks",
                self.kept
            )?;
        }
        write!(
            f,
            "{}",
            if self.dry_run {
                "nothing was changed"
            } else {
                "relayers and miners were told"
            }
        )
    }
}

impl Invalidation {
    pub async fn run(self, target: &Target, chosen: Chosen, output: Output) -> anyhow::Result<ExitCode> {
        match chosen {
            Chosen::AllKinds => self.all_kinds(target, output).await,
            Chosen::All(kind) => {
                let store = &target.store;
                let pattern = store.keys().cached(kind, "*");
                let head = pattern.trim_end_matches('*').to_owned();
                let keys = store.find_keys([pattern], |_| ()).await?;
                let names = keys.iter().filter_map(|key| key.strip_prefix(&head).map(str::to_owned));
                let names: Vec<String> = names.collect();
                let ask = names.len() > UNASKED || kind == CacheKind::Supplier;
                self.one_kind(target, kind, &names, ask, output).await
            }
            Chosen::Some(kind, names) => {
                let ask = kind == CacheKind::Supplier;
                self.one_kind(target, kind, &names, ask, output).await
            }
        }
    }

    async fn one_kind(
        &self,
        target: &Target,
        kind: CacheKind,
        names: &[String],
        ask: bool,
        output: Output,
    ) -> anyhow::Result<ExitCode> {
        let store = &target.store;
        let keys = names.iter().map(|name| store.keys().cached(kind, name));
        let mut outcome = Invalidated {
            entries: BTreeMap::from([(kind.as_str().to_owned(), keys.collect())]),
            dry_run: self.dry_run,
            ..Invalidated::default()
        };
        if self.dry_run || names.is_empty() {
            output.print(&outcome)?;
            return Ok(ExitCode::SUCCESS);
        }
        if ask && !self.yes {
            let mut question = format!("{} of type {} will go.", count(names.len(), "entry"), kind.as_str());
            if kind == CacheKind::Supplier {
                let _ = write!(
                    question,
                    "\n{WARN}Relayers go by the registry: they may refuse these suppliers' relays until a miner has written\n\
                     it anew. --type all leaves alone what is well.{WARN:#}"
                );
            }
            if !confirmed(&question, "y")? {
                eprintln!("nothing was changed");
                return Ok(ExitCode::FAILURE);
            }
        }
        let mut progress = Progress::of("entries");
        for (done, name) in names.iter().enumerate() {
            outcome.removed += u64::from(store.forget_cached(kind, name).await?);
            store
                .publish(&store.keys().cache_invalidation(kind), &told(kind, name))
                .await?;
            outcome.told += 1;
            progress.tell(done as u64 + 1, Some(names.len() as u64));
        }
        drop(progress);
        output.print(&outcome)?;
        Ok(ExitCode::SUCCESS)
    }

    async fn all_kinds(&self, target: &Target, output: Output) -> anyhow::Result<ExitCode> {
        let (store, keys) = (&target.store, target.store.keys());
        let mut outcome = Invalidated {
            dry_run: self.dry_run,
            ..Invalidated::default()
        };
        let head = keys.all_cached();
        let head = head.trim_end_matches('*');
        for key in store.find_keys([keys.all_cached()], |_| ()).await? {
            if key.starts_with(&keys.cache_locks()) {
                // Who holds it is about to write; it ends by itself.
                outcome.kept += 1;
                continue;
            }
            let kind = key.strip_prefix(head).and_then(|rest| rest.split(':').next());
            let kind = kind.unwrap_or_default().to_owned();
            outcome.entries.entry(kind).or_default().push(key);
        }
        let mut broken = Vec::new();
        let registry = store.find_keys([keys.suppliers()], |_| ()).await?;
        for (key, stored) in store.values(&registry).await? {
            if is_broken(&stored.bytes) {
                let kind = "supplier (broken)".to_owned();
                outcome.entries.entry(kind).or_default().push(key.clone());
                broken.push((key, stored.bytes));
            } else {
                outcome.kept += 1;
            }
        }
        if self.dry_run {
            output.print(&outcome)?;
            return Ok(ExitCode::SUCCESS);
        }
        if outcome.count() > 0 && !self.yes {
            let question = format!(
                "{} of all types will go; sessions, trees, streams and well registry entries stay.\n\
                 Go relay miners ask the chain for each of them again.",
                count(outcome.count(), "entry")
            );
            if !confirmed(&question, "y")? {
                eprintln!("nothing was changed");
                return Ok(ExitCode::FAILURE);
            }
        }
        let mut progress = Progress::of("entries");
        let kinds = outcome
            .entries
            .iter()
            .filter(|(kind, _)| !kind.starts_with("supplier ("));
        let cached: Vec<String> = kinds.flat_map(|(_, keys)| keys).cloned().collect();
        let all = cached.len() as u64;
        outcome.removed = store
            .remove_keys(&cached, |done| progress.tell(done, Some(all)))
            .await?;
        for (key, was) in broken {
            outcome.removed += u64::from(store.remove_if_unchanged(&key, &was).await?);
        }
        drop(progress);
        // Told even if there was nothing: an earlier attempt may have ended just before it told.
        for channel in channels(target) {
            store.publish(&channel, "{}").await?;
            outcome.told += 1;
        }
        output.print(&outcome)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Channels whose listeners forget everything when they hear `{}`.
fn channels(target: &Target) -> Vec<String> {
    let keys = target.store.keys();
    let listened = CacheKind::ALL
        .into_iter()
        .filter(|kind| *kind != CacheKind::SessionParams);
    let mut channels: Vec<String> = listened.map(|kind| keys.cache_invalidation(kind)).collect();
    channels.push(keys.supplier_params_invalidation());
    channels
}

/// What Go peers expect to hear when one entry is no longer so.
fn told(kind: CacheKind, name: &str) -> String {
    let field = match kind {
        CacheKind::Application | CacheKind::Account => Some("address"),
        CacheKind::Service => Some("service_id"),
        CacheKind::Supplier => Some("operator_address"),
        CacheKind::SharedParams | CacheKind::SessionParams | CacheKind::ProofParams => None,
    };
    let mut told = serde_json::Map::from_iter([("key".to_owned(), name.into())]);
    told.extend(field.map(|field| (field.to_owned(), name.into())));
    serde_json::Value::Object(told).to_string()
}

/// Staked and active without a service: how a Go miner writes an entry before it knows the height. Nobody goes by it.
/// What cannot be read is left alone.
fn is_broken(entry: &[u8]) -> bool {
    serde_json::from_slice::<SupplierEntry>(entry)
        .is_ok_and(|entry| entry.staked && entry.status == SupplierStatus::Active && entry.services.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_told_in_their_own_words() {
        let told = |kind| serde_json::from_str::<serde_json::Value>(&told(kind, "a")).unwrap();
        assert_eq!(
            told(CacheKind::Service),
            serde_json::json!({"key": "a", "service_id": "a"})
        );
        assert_eq!(told(CacheKind::ProofParams), serde_json::json!({"key": "a"}));
    }

    #[test]
    fn entry_without_services_is_broken_only_if_it_should_have_some() {
        let entry = |staked: bool, services: &str| {
            format!(r#"{{"status":"active","staked":{staked},"services":{services},"operator_address":"a"}}"#)
        };
        assert!(is_broken(entry(true, "null").as_bytes()));
        assert!(!is_broken(entry(true, r#"["eth"]"#).as_bytes()));
        assert!(!is_broken(entry(false, "[]").as_bytes()));
        assert!(!is_broken(b"nonsense"));
    }
}
