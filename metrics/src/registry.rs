use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Error, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts,
};

use crate::{Description, Kind};

/// All metrics of a process. Clones are one registry.
///
/// A collector registers a family under its full name, once; the same name again is an error.
#[derive(Clone, Default)]
pub struct Registry {
    collectors: prometheus::Registry,
    // Locked at registration and to list, never to count.
    described: Arc<Mutex<BTreeMap<String, Description>>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("metrics", &self.described.lock().len())
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a collector in, and notes what it collects.
    pub fn register(&self, collector: Box<dyn Collector>) -> Result<(), Error> {
        // A family without a series tells its kind too.
        let families = collector.collect();
        let kind = |name: &str| {
            let family = families.iter().find(|family| family.name() == name);
            family.map_or(Kind::Gauge, |family| Kind::of(family.get_field_type()))
        };
        let descriptions: Vec<Description> = collector
            .desc()
            .into_iter()
            .map(|described| Description {
                name: described.fq_name.clone(),
                kind: kind(&described.fq_name),
                labels: described.variable_labels.clone(),
                help: described.help.clone(),
            })
            .collect();
        self.collectors.register(collector)?;
        let mut described = self.described.lock();
        described.extend(descriptions.into_iter().map(|one| (one.name.clone(), one)));
        Ok(())
    }

    /// Every metric that was registered, by name, also those that have counted nothing yet.
    pub fn descriptions(&self) -> Vec<Description> {
        self.described.lock().values().cloned().collect()
    }

    /// What was counted so far, of metrics that have a series.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.collectors.gather()
    }

    /// A counter without labels.
    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.keep(IntCounter::new(name, help)?)
    }

    /// Counters by labels.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// A level without labels.
    pub fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.keep(IntGauge::new(name, help)?)
    }

    /// Levels by labels.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A level with fractions, without labels.
    pub fn float_gauge(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        self.keep(Gauge::new(name, help)?)
    }

    /// Levels with fractions, by labels.
    pub fn float_gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, Error> {
        self.keep(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A histogram without labels. `buckets` are upper bounds, rising.
    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.keep(Histogram::with_opts(options)?)
    }

    /// Histograms by labels. `buckets` are upper bounds, rising.
    pub fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec, Error> {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.keep(HistogramVec::new(options, labels)?)
    }

    fn keep<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, Error> {
        self.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_described_before_anything_is_counted() {
        let registry = Registry::new();
        registry.counters("b_total", "Of b.", &["x", "y"]).unwrap();
        registry.histograms("a_seconds", "Of a.", &["x"], &[0.1, 1.0]).unwrap();
        registry.float_gauge("c", "Of c.").unwrap();
        assert_eq!(registry.gather().len(), 1, "only what has no labels has a series");
        let [a, b, c] = registry.descriptions().try_into().unwrap();
        assert_eq!((a.name.as_str(), a.kind), ("a_seconds", Kind::Histogram));
        let [bucket, sum, count] = a.series().try_into().unwrap();
        assert_eq!(
            bucket,
            ("a_seconds_bucket".to_owned(), vec!["x".to_owned(), "le".to_owned()])
        );
        assert_eq!((sum.0.as_str(), count.0.as_str()), ("a_seconds_sum", "a_seconds_count"));
        assert_eq!(
            (b.kind, b.labels, b.help.as_str()),
            (Kind::Counter, vec!["x".to_owned(), "y".to_owned()], "Of b.")
        );
        assert_eq!((c.kind, c.labels.len()), (Kind::Gauge, 0));
    }

    #[test]
    fn name_is_registered_once() {
        let registry = Registry::new();
        registry.counter("a_total", "Of a.").unwrap();
        assert!(registry.clone().counter("a_total", "Of a.").is_err());
        assert_eq!(registry.descriptions().len(), 1);
    }

    #[test]
    fn process_tells_of_itself() {
        let registry = Registry::of_process("0.1.0", "relayer").unwrap();
        let families = registry.gather();
        let info = families
            .iter()
            .find(|family| family.name() == "ha_observability_process_info");
        let labels: Vec<_> = info.unwrap().get_metric()[0]
            .get_label()
            .iter()
            .map(prometheus::proto::LabelPair::value)
            .collect();
        assert_eq!(labels, ["relayer", "0.1.0"]);
        let cpu = registry
            .descriptions()
            .into_iter()
            .find(|one| one.name == "process_cpu_seconds_total");
        assert_eq!(cpu.unwrap().kind, Kind::Counter);
    }
}
