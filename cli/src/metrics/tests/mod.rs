//! What the program exports, held against everything that names it: dashboards, alert rules and the documentation.

mod alerts;
mod dashboards;
mod documents;
mod promql;
mod scrape;

use std::collections::BTreeMap;
use std::path::PathBuf;

use pocket_miner::Metrics;
use pocket_observability::{Description, Registry};
use pocket_tx::TxMetrics;

use super::ProcessMetrics;

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The registry of a relayer's process, as it is filled at a start.
fn relayer() -> Registry {
    let registry = ProcessMetrics::of("relayer").unwrap().registry;
    pocket_relayer::describe_metrics(&registry).unwrap();
    registry
}

/// The registry of a miner's process, as it is filled at a start.
fn miner() -> Registry {
    let registry = ProcessMetrics::of("miner").unwrap().registry;
    TxMetrics::register(&registry).unwrap();
    Metrics::register(&registry).unwrap();
    registry
}

/// What either half exports, by name.
fn exported() -> BTreeMap<String, Description> {
    let both = [relayer(), miner()].map(|registry| registry.descriptions());
    let named = |one: Description| (one.name.clone(), one);
    both.into_iter().flatten().map(named).collect()
}

#[test]
fn every_metric_is_named_and_described_as_the_field_does() {
    for (name, one) in exported() {
        let is_ours = name.starts_with("ha_") || name.starts_with("process_");
        assert!(is_ours, "{name}");
        assert!(
            one.help.starts_with(|first: char| !first.is_lowercase()),
            "{name}: {}",
            one.help
        );
        let is_total = name.ends_with("_total");
        assert_eq!(is_total, one.kind == pocket_observability::Kind::Counter, "{name}");
        for label in &one.labels {
            let is_plain = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(is_plain && label != "le" && label != "job", "{name}: {label}");
        }
    }
}

#[test]
fn labels_are_such_as_configuration_and_code_bound() {
    // Sessions, applications, relays, blocks and transactions come and go without end.
    let endless = [
        "session_id",
        "session",
        "application",
        "height",
        "tx",
        "relay",
        "relay_hash",
        "peer",
        "address",
    ];
    for (name, one) in exported() {
        let found = one.labels.iter().find(|label| endless.contains(&label.as_str()));
        assert_eq!(found, None, "{name}");
    }
}
