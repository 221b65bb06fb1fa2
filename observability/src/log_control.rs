//! Changing what is logged while the program runs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;

use crate::LogError;

type Replace = dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync;

/// Sets the level of the log, as a whole or by module. Clones set the same log.
#[derive(Clone)]
pub struct LogControl {
    replace: Arc<Replace>,
    level: Arc<Mutex<String>>,
}

impl LogControl {
    pub(crate) fn new(level: &str, replace: impl Fn(EnvFilter) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self {
            replace: Arc::new(replace),
            level: Arc::new(Mutex::new(level.to_owned())),
        }
    }

    /// Whether [`Self::set`] would take a level.
    pub fn check(level: &str) -> Result<(), LogError> {
        filter(level).map(drop)
    }

    /// Logs at another level from the next line on: `error`, `warn`, `info`, `debug`, `trace`, or one of these by module,
    /// such as `info,pocket_relayer=debug`. One that cannot be read changes nothing.
    pub fn set(&self, level: &str) -> Result<(), LogError> {
        let filter = filter(level)?;
        // Held while the filter is replaced, so that text and filter stay together.
        let mut known = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        (self.replace)(filter).map_err(|reason| LogError::Level {
            level: level.to_owned(),
            reason,
        })?;
        level.clone_into(&mut known);
        Ok(())
    }

    /// The level as it was set last.
    pub fn level(&self) -> String {
        self.level.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(crate) fn filter(level: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(level).map_err(|error| LogError::Level {
        level: level.to_owned(),
        reason: error.to_string(),
    })
}

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogControl").field(&self.level()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_that_cannot_be_read_changes_nothing() {
        let set = Arc::new(Mutex::new(Vec::new()));
        let seen = set.clone();
        let control = LogControl::new("info", move |filter| {
            seen.lock().unwrap().push(filter.to_string());
            Ok(())
        });
        assert!(control.set("pocket_relayer=loud").is_err());
        assert_eq!(control.level(), "info");
        control.set("warn,pocket_relayer=debug").unwrap();
        assert_eq!(control.level(), "warn,pocket_relayer=debug");
        assert_eq!(set.lock().unwrap().len(), 1);
    }
}
