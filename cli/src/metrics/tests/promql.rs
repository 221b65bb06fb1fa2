//! Whether a query can find what it names: metrics, their labels, and their kinds.

use std::collections::{BTreeMap, BTreeSet};

use pocket_observability::{Description, Kind};
use promql_parser::label::Matchers;
use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};

/// Labels that Prometheus puts on everything it scrapes, as its configuration names the targets.
const TARGET: [&str; 4] = ["instance", "job", "namespace", "pod"];
/// What Prometheus itself tells of each target.
const OF_PROMETHEUS: &str = "up";
/// Functions that are for counters.
const OF_COUNTERS: [&str; 3] = ["rate", "increase", "irate"];
/// Functions that take a range of a gauge.
const OF_GAUGES: [&str; 8] = [
    "avg_over_time",
    "changes",
    "delta",
    "deriv",
    "max_over_time",
    "min_over_time",
    "predict_linear",
    "last_over_time",
];

/// The labels of a result; `None` for a number.
pub type Labels = Option<BTreeSet<String>>;

/// Where a series stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Plain,
    /// Within a function for counters.
    Rated,
    /// Within a function for ranges of gauges.
    Ranged,
}

/// Every series that can be scraped.
pub struct Series(BTreeMap<String, (bool, BTreeSet<String>)>);

impl Series {
    pub fn of(exported: &BTreeMap<String, Description>) -> Self {
        let mut series = BTreeMap::new();
        for one in exported.values() {
            let counts = one.kind != Kind::Gauge;
            for (name, labels) in one.series() {
                series.insert(name, (counts, labels.into_iter().collect()));
            }
        }
        series.insert(OF_PROMETHEUS.to_owned(), (false, BTreeSet::new()));
        Self(series)
    }

    /// The labels that a query's result has, or what it names in vain.
    pub fn check(&self, query: &str) -> Result<Labels, String> {
        let query = query.replace("$__rate_interval", "5m").replace("$__range", "1h");
        let expression = parser::parse(&query).map_err(|error| format!("{query}: {error}"))?;
        self.walk(&expression, Place::Plain)
            .map_err(|error| format!("{query}: {error}"))
    }

    /// Whether something of this name can be scraped.
    pub fn knows(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a metric has a label.
    pub fn has(&self, name: &str, label: &str) -> bool {
        self.0
            .get(name)
            .is_some_and(|(_, labels)| labels.contains(label) || TARGET.contains(&label))
    }

    fn walk(&self, expression: &Expr, place: Place) -> Result<Labels, String> {
        match expression {
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(None),
            Expr::Paren(inner) => self.walk(&inner.expr, place),
            Expr::Unary(inner) => self.walk(&inner.expr, place),
            Expr::VectorSelector(selector) => self.select(selector, place).map(Some),
            Expr::MatrixSelector(selector) if place == Place::Plain => Err(format!("{} is a range", selector.vs)),
            Expr::MatrixSelector(selector) => self.select(&selector.vs, place).map(Some),
            Expr::Aggregate(aggregate) => {
                let inner = self.walk(&aggregate.expr, place)?.ok_or("a number is aggregated")?;
                let keeps = ["topk", "bottomk"].contains(&aggregate.op.to_string().as_str());
                Ok(Some(match &aggregate.modifier {
                    None if keeps => inner,
                    None => BTreeSet::new(),
                    Some(LabelModifier::Include(by)) => all_of(&by.labels, &inner)?,
                    Some(LabelModifier::Exclude(without)) => {
                        let gone = all_of(&without.labels, &inner)?;
                        inner.difference(&gone).cloned().collect()
                    }
                }))
            }
            Expr::Call(call) => self.call(call.func.name, &call.args.args),
            Expr::Binary(binary) => {
                let (left, right) = (self.walk(&binary.lhs, place)?, self.walk(&binary.rhs, place)?);
                let (left, right) = match (left, right) {
                    (Some(left), Some(right)) => (left, right),
                    (one, other) => return Ok(one.or(other)),
                };
                let matching = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
                match matching {
                    Some(LabelModifier::Include(on)) => {
                        all_of(&on.labels, &left)?;
                        all_of(&on.labels, &right)?;
                        Ok(Some(left))
                    }
                    Some(LabelModifier::Exclude(_)) => Err("say `on`, not `ignoring`".to_owned()),
                    None if left == right => Ok(Some(left)),
                    None => Err(format!("never match: {left:?} and {right:?}")),
                }
            }
            other => Err(format!("not understood here: {other:?}")),
        }
    }

    fn call(&self, function: &str, arguments: &[Box<Expr>]) -> Result<Labels, String> {
        let place = if OF_COUNTERS.contains(&function) {
            Place::Rated
        } else if OF_GAUGES.contains(&function) {
            Place::Ranged
        } else {
            Place::Plain
        };
        let mut found = None;
        for argument in arguments {
            found = found.or(self.walk(argument, place)?);
        }
        match function {
            "histogram_quantile" => {
                let mut labels = found.ok_or("histogram_quantile needs buckets")?;
                if !labels.remove("le") {
                    return Err("histogram_quantile needs the label le".to_owned());
                }
                Ok(Some(labels))
            }
            "absent" | "time" | "vector" => Ok(Some(BTreeSet::new())),
            "abs" | "clamp_max" | "clamp_min" | "max" | "round" => Ok(found),
            _ if place != Place::Plain => Ok(found),
            other => Err(format!("the function {other} is not known here")),
        }
    }

    fn select(&self, selector: &VectorSelector, place: Place) -> Result<BTreeSet<String>, String> {
        let name = selector.name.as_deref().ok_or("a metric without a name")?;
        let (counts, labels) = self.0.get(name).ok_or_else(|| format!("nothing exports {name}"))?;
        let is_right = match place {
            Place::Rated => *counts,
            Place::Plain | Place::Ranged => !counts,
        };
        if !is_right {
            return Err(format!(
                "{name} is of the other kind: rates are of counters, levels of gauges"
            ));
        }
        let mut labels = labels.clone();
        labels.extend(TARGET.map(str::to_owned));
        let Matchers { matchers, .. } = &selector.matchers;
        for matcher in matchers {
            if !labels.contains(&matcher.name) {
                return Err(format!("{name} has no label {}", matcher.name));
            }
        }
        Ok(labels)
    }
}

fn all_of(names: &[String], labels: &BTreeSet<String>) -> Result<BTreeSet<String>, String> {
    match names.iter().find(|name| !labels.contains(*name)) {
        Some(missing) => Err(format!("there is no label {missing}")),
        None => Ok(names.iter().cloned().collect()),
    }
}

fn series() -> Series {
    let described = |name: &str, kind, labels: &[&str]| Description {
        name: name.to_owned(),
        kind,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        help: String::new(),
    };
    let all = [
        described("a_total", Kind::Counter, &["x"]),
        described("b", Kind::Gauge, &["x", "y"]),
        described("c_seconds", Kind::Histogram, &["x"]),
    ];
    Series::of(&all.into_iter().map(|one| (one.name.clone(), one)).collect())
}

#[test]
fn queries_that_find_something_pass() {
    let series = series();
    for good in [
        "sum by (x) (rate(a_total{x=\"1\"}[5m]))",
        "histogram_quantile(0.99, sum by (x, le) (rate(c_seconds_bucket[$__rate_interval])))",
        "sum by (x) (rate(c_seconds_sum[5m])) / sum by (x) (rate(c_seconds_count[5m]))",
        "max by (y) (b) > 0 and on (y) b{x!=\"\"} < 3",
        "absent(up{job=\"relayer\"})",
        "topk(3, b)",
        "max_over_time(b[1h]) == 0",
    ] {
        series.check(good).unwrap();
    }
    let labels = series.check("sum by (x) (rate(a_total[5m]))").unwrap();
    assert_eq!(labels, Some(BTreeSet::from(["x".to_owned()])));
}

#[test]
fn queries_that_find_nothing_are_told_apart() {
    let series = series();
    for bad in [
        "d",
        "b{z=\"1\"}",
        "sum by (z) (b)",
        "a_total",
        "rate(b[5m])",
        "rate(c_seconds[5m])",
        "histogram_quantile(0.99, sum by (x) (rate(c_seconds_bucket[5m])))",
        "histogram_quantile(0.99, sum by (x, le) (rate(c_seconds_sum[5m])))",
        "sum by (x) (rate(a_total[5m])) / sum(b)",
        "b and on (z) b",
        "sum by (x) (rate(a_total[5m])",
    ] {
        assert!(series.check(bad).is_err(), "{bad}");
    }
}
