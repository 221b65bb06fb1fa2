use prometheus::Error;

use crate::Registry;

impl Registry {
    /// One that has what every process tells of itself: version and half, and on Linux processor time, memory, threads
    /// and open files.
    pub fn of_process(version: &str, component: &str) -> Result<Self, Error> {
        let registry = Self::new();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let info = registry.gauges(
            "ha_observability_process_info",
            "1, for its labels: the program's version, and which half of it runs.",
            &["version", "component"],
        )?;
        info.with_label_values(&[version, component]).set(1);
        Ok(registry)
    }
}
