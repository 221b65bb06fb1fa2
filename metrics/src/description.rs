use std::fmt;

use prometheus::proto::MetricType;

/// What kind of series a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Only grows, but for restarts. Read it with `rate` or `increase`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size: `_bucket` with the label `le`, `_sum` and `_count`.
    Histogram,
}

impl Kind {
    pub(crate) fn of(kind: MetricType) -> Self {
        match kind {
            MetricType::COUNTER => Self::Counter,
            MetricType::HISTOGRAM => Self::Histogram,
            _ => Self::Gauge,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// A metric as it was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its full name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// The names of its labels, in their order.
    pub labels: Vec<String>,
    /// What it means, in a sentence.
    pub help: String,
}

impl Description {
    /// The names under which it is scraped, with the labels of each.
    pub fn series(&self) -> Vec<(String, Vec<String>)> {
        let name = |suffix: &str| (format!("{}{suffix}", self.name), self.labels.clone());
        if self.kind != Kind::Histogram {
            return vec![name("")];
        }
        let mut bucket = name("_bucket");
        bucket.1.push("le".to_owned());
        vec![bucket, name("_sum"), name("_count")]
    }
}
