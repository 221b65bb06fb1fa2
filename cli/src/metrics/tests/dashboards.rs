//! Grafana's dashboards under `deploy/grafana`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::promql::Series;
use super::{exported, repository};

/// Every dashboard, with its file's name.
fn dashboards() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(repository("deploy/grafana")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let dashboard = serde_json::from_str(&fs::read_to_string(&path).unwrap());
            found.push((name, dashboard.unwrap()));
        }
    }
    found
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Panels that show something: not the titles of rows.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(dashboard, "panels")
        .iter()
        .filter(|panel| text(panel, "type") != "row")
}

#[test]
fn every_part_of_an_operators_view_has_a_dashboard() {
    let names: BTreeSet<String> = dashboards().into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        BTreeSet::from(["earnings", "miners", "redis", "relayers"].map(|name| format!("{name}.json")))
    );
}

#[test]
fn dashboards_and_panels_have_names_of_their_own() {
    let (mut uids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for (name, dashboard) in dashboards() {
        assert!(!text(&dashboard, "uid").is_empty(), "{name}");
        assert!(uids.insert(text(&dashboard, "uid").to_owned()), "{name}");
        assert!(titles.insert(text(&dashboard, "title").to_owned()), "{name}");
        assert!(dashboard["id"].is_null(), "{name}: Grafana numbers dashboards itself");
        let (mut ids, mut shown) = (BTreeSet::new(), BTreeSet::new());
        for panel in list(&dashboard, "panels") {
            let title = text(panel, "title");
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {title}");
            assert!(shown.insert(title.to_owned()), "{name}: {title}");
        }
    }
}

#[test]
fn panels_say_what_they_show_and_lie_beside_each_other() {
    for (name, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = text(panel, "title");
            assert!(text(panel, "description").ends_with('.'), "{name}: {title}");
            assert!(
                !text(&panel["fieldConfig"]["defaults"], "unit").is_empty(),
                "{name}: {title}"
            );
            assert!(!list(panel, "targets").is_empty(), "{name}: {title}");
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{name}: {title}");
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(taken.insert((x, y)), "{name}: {title} lies over another");
                }
            }
        }
    }
}

#[test]
fn queries_name_what_the_program_exports() {
    let series = Series::of(&exported());
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            let mut references = BTreeSet::new();
            for target in list(panel, "targets") {
                let place = format!("{name}: {}", text(panel, "title"));
                let labels = series.check(text(target, "expr"));
                let labels = labels
                    .unwrap_or_else(|error| panic!("{place}: {error}"))
                    .unwrap_or_default();
                for label in braced(text(target, "legendFormat")) {
                    assert!(labels.contains(label), "{place}: the result has no label {label}");
                }
                assert!(references.insert(text(target, "refId").to_owned()), "{place}");
                assert_eq!(text(&target["datasource"], "uid"), "${datasource}", "{place}");
            }
        }
    }
}

#[test]
fn variables_name_what_the_program_exports() {
    let series = Series::of(&exported());
    for (name, dashboard) in dashboards() {
        let text_of = dashboard.to_string();
        let mut known = BTreeSet::from(["datasource".to_owned()]);
        for variable in list(&dashboard["templating"], "list") {
            let own = text(variable, "name");
            known.insert(own.to_owned());
            if text(variable, "type") == "datasource" {
                continue;
            }
            let query = text(variable, "definition");
            let inner = query
                .strip_prefix("label_values(")
                .and_then(|rest| rest.strip_suffix(')'));
            let (metric, label) = inner.and_then(|inner| inner.split_once(", ")).unwrap();
            assert!(series.has(metric, label), "{name}: {query}");
            assert_eq!(text(&variable["query"], "query"), query, "{name}");
            assert!(
                text_of.contains(&format!("\\\"${own}\\\"")),
                "{name}: nothing uses {own}"
            );
        }
        for used in text_of.split("=~\\\"$").skip(1) {
            let used = used.split("\\\"").next().unwrap();
            assert!(known.contains(used), "{name}: {used}");
        }
    }
}

/// The names in `{{name}}`.
pub fn braced(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{")
        .skip(1)
        .map(|rest| rest.split("}}").next().unwrap_or_default().trim())
}
