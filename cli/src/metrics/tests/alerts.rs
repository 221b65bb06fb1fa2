//! Prometheus' rules in `deploy/prometheus/alerts.yaml`, and the runbooks that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::Deserialize;

use super::dashboards::braced;
use super::promql::Series;
use super::{exported, repository};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(rename = "for")]
    lasting: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

const RUNBOOKS: &str = "docs/runbooks.md";
/// What each runbook says, in this order.
const PARTS: [&str; 4] = ["**Meaning.**", "**Impact.**", "**Look at.**", "**Do.**"];

fn rules() -> Vec<Rule> {
    let text = fs::read_to_string(repository("deploy/prometheus/alerts.yaml")).unwrap();
    let rules: Rules = serde_saphyr::from_str(&text).unwrap();
    let mut names = BTreeSet::new();
    for group in &rules.groups {
        assert!(names.insert(&group.name), "{}", group.name);
    }
    rules.groups.into_iter().flat_map(|group| group.rules).collect()
}

/// The sections of the runbooks, by title.
fn runbooks() -> BTreeMap<String, String> {
    let text = fs::read_to_string(repository(RUNBOOKS)).unwrap();
    let sections = text.split("\n## ").skip(1).map(|section| {
        let (title, body) = section.split_once('\n').unwrap();
        (title.trim().to_owned(), body.to_owned())
    });
    sections.collect()
}

#[test]
fn rules_name_what_the_program_exports() {
    let series = Series::of(&exported());
    for Rule {
        alert,
        expr,
        annotations,
        ..
    } in rules()
    {
        let labels = series.check(&expr).unwrap_or_else(|error| panic!("{alert}: {error}"));
        let labels = labels.unwrap_or_default();
        for text in annotations.values() {
            for used in braced(text).filter_map(|used| used.strip_prefix("$labels.")) {
                assert!(labels.contains(used), "{alert}: the result has no label {used}");
            }
        }
    }
}

#[test]
fn rules_say_how_bad_it_is_and_where_to_read_on() {
    let mut names = BTreeSet::new();
    for rule in rules() {
        let alert = rule.alert;
        assert!(names.insert(alert.clone()), "{alert} is there twice");
        let severity = rule.labels.get("severity").map(String::as_str);
        assert!(matches!(severity, Some("critical" | "warning")), "{alert}");
        for text in ["summary", "description"] {
            assert!(
                rule.annotations.get(text).is_some_and(|text| text.ends_with('.')),
                "{alert}: {text}"
            );
        }
        let url = rule.annotations.get("runbook_url").unwrap();
        assert!(
            url.ends_with(&format!("{RUNBOOKS}#{}", alert.to_lowercase())),
            "{alert}: {url}"
        );
        // What is true for one scrape alone should not wake anybody, unless it is counted.
        let is_counted = ["increase(", "changes("]
            .iter()
            .any(|counted| rule.expr.contains(counted));
        assert!(rule.lasting.is_some() || is_counted, "{alert}");
    }
}

#[test]
fn every_alert_has_its_runbook_and_every_runbook_its_alert() {
    let alerts: BTreeSet<String> = rules().into_iter().map(|rule| rule.alert).collect();
    let runbooks = runbooks();
    let titles: BTreeSet<String> = runbooks.keys().cloned().collect();
    assert_eq!(alerts, titles);
    for (title, body) in runbooks {
        let places: Vec<Option<usize>> = PARTS.iter().map(|part| body.find(part)).collect();
        assert!(
            places.iter().all(Option::is_some) && places.is_sorted(),
            "{title}: {PARTS:?}"
        );
    }
}

#[test]
fn runbooks_name_metrics_that_are_there() {
    let series = exported();
    for (title, body) in runbooks() {
        for word in body.split('`').skip(1).step_by(2) {
            let name = word.split(['{', '[']).next().unwrap_or_default();
            if name.starts_with("ha_") && !name.contains(' ') {
                assert!(series.contains_key(name), "{title}: {name}");
            }
        }
    }
}
