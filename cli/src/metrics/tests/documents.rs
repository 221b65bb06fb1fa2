//! `docs/metrics.md`: what is exported, and what became of the Go peer's metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;

use pocket_observability::{Description, Kind, Registry};

use super::{exported, miner, relayer, repository};

const DOCUMENT: &str = "docs/metrics.md";
/// Set, the tables are written instead of compared.
const UPDATE: &str = "UPDATE_DOCS";
/// The Go peer's metrics: name, type, labels.
const PEER: &str = include_str!("peer.tsv");

fn document() -> String {
    fs::read_to_string(repository(DOCUMENT)).unwrap()
}

fn names(registry: &Registry) -> BTreeSet<String> {
    registry.descriptions().into_iter().map(|one| one.name).collect()
}

fn table<'a>(metrics: impl Iterator<Item = &'a Description>) -> String {
    let mut table = "| name | type | labels | what it means |\n| --- | --- | --- | --- |\n".to_owned();
    for one in metrics {
        let labels: Vec<String> = one.labels.iter().map(|label| format!("`{label}`")).collect();
        let row = format!(
            "| `{}` | {} | {} | {} |\n",
            one.name,
            one.kind,
            labels.join(", "),
            one.help.trim_end_matches('.')
        );
        table.push_str(&row);
    }
    table
}

/// The tables between the document's marks.
fn tables() -> [(&'static str, String); 3] {
    let (relayer, miner, all) = (names(&relayer()), names(&miner()), exported());
    let of = |chosen: &dyn Fn(&str) -> bool| table(all.values().filter(|one| chosen(&one.name)));
    [
        ("both", of(&|name| relayer.contains(name) && miner.contains(name))),
        ("relayers", of(&|name| relayer.contains(name) && !miner.contains(name))),
        ("miners", of(&|name| !relayer.contains(name) && miner.contains(name))),
    ]
}

#[test]
fn documented_metrics_are_those_that_are_exported() {
    let mut text = document();
    for (part, table) in tables() {
        let (from, to) = (format!("<!-- {part} -->\n"), format!("<!-- end of {part} -->"));
        let start = text.find(&from).unwrap() + from.len();
        let end = text.find(&to).unwrap();
        if env::var_os(UPDATE).is_some() {
            text.replace_range(start..end, &table);
            continue;
        }
        assert!(
            text[start..end] == table,
            "set {UPDATE}=1 to write the table; it should be:\n{table}"
        );
    }
    if env::var_os(UPDATE).is_some() {
        fs::write(repository(DOCUMENT), text).unwrap();
    }
}

/// The metrics in the first column of a section's table; `*` stands for any end.
fn listed(section: &str) -> Vec<String> {
    let text = document();
    let body = text.split(&format!("\n## {section}\n")).nth(1).unwrap();
    let rows = body.split("\n## ").next().unwrap_or_default().lines();
    let first = rows.filter_map(|row| row.strip_prefix("| `")?.split(" | ").next());
    let names = first.flat_map(|cell| cell.split('`').step_by(2).map(str::to_owned).collect::<Vec<_>>());
    names.filter(|name| !name.is_empty()).collect()
}

fn is_listed(listed: &[String], name: &str) -> bool {
    listed.iter().any(|one| match one.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => one == name,
    })
}

#[test]
fn every_metric_of_the_go_peer_is_here_or_there_is_a_reason() {
    let (ours, different, absent) = (exported(), listed("Where labels differ"), listed("What is not here"));
    let mut found = BTreeMap::<&str, u32>::new();
    for line in PEER.lines() {
        let [name, kind, labels] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let labels: BTreeSet<&str> = labels.split(',').filter(|label| !label.is_empty()).collect();
        let is_same = |one: &Description| {
            let own: BTreeSet<&str> = one.labels.iter().map(String::as_str).collect();
            one.kind.to_string() == kind && own == labels
        };
        let place = match ours.get(name) {
            None => {
                assert!(is_listed(&absent, name), "{name} is not exported: say why");
                "absent"
            }
            Some(one) if is_same(one) => "same",
            Some(_) => {
                assert!(is_listed(&different, name), "{name} is not as the peer's: say why");
                "different"
            }
        };
        let is_right = place == "absent" || !is_listed(&absent, name);
        assert!(is_right, "{name} is exported, it should not be listed");
        assert_eq!(place == "different", is_listed(&different, name), "{name}");
        *found.entry(place).or_default() += 1;
    }
    println!("{found:?}");
    let peers: BTreeSet<&str> = PEER.lines().filter_map(|line| line.split('\t').next()).collect();
    for name in absent.iter().chain(&different).filter(|name| !name.ends_with('*')) {
        assert!(peers.contains(name.as_str()), "{name} is none of the peer's");
    }
}

#[test]
fn metrics_that_operators_are_told_to_watch_are_there() {
    let series = exported();
    let text = fs::read_to_string(repository("docs/operators.md")).unwrap();
    for word in text.split('`').skip(1).step_by(2) {
        let name = word.split(['{', '[']).next().unwrap_or_default();
        if name.starts_with("ha_") {
            assert!(series.contains_key(name), "{name}");
        }
    }
}

#[test]
fn durations_are_histograms_in_seconds() {
    for (name, one) in exported() {
        if one.kind == Kind::Histogram {
            let unit = name.rsplit('_').next().unwrap_or_default();
            assert!(["seconds", "bytes", "blocks"].contains(&unit), "{name}");
        }
    }
}
