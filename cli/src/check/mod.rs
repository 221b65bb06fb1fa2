//! Looking at what a configuration speaks of: each finding says what is wrong and what to do.

mod backends;
mod chain;
mod keys;
mod redis;
mod settings;
mod stake;
mod start;

use std::fmt;

use anstyle::Style;
use pocket_config::Problem;
use serde::Serialize;

pub use backends::backends;
pub use chain::chain;
pub use keys::keys;
pub use redis::redis;
pub use settings::settings;
pub use stake::{accounts, services, suppliers};
pub use start::{at_miners_start, at_relayers_start};

use crate::output::{BAD, BOLD, DIM, GOOD, WARN};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It works, but something is, or will be, lost.
    Warning,
    /// It does not work.
    Error,
}

impl Severity {
    fn style(self) -> Style {
        match self {
            Self::Ok => GOOD,
            Self::Warning => WARN,
            Self::Error => BAD,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at: `configuration`, `keys`, `redis`, `chain`, `backend`, `stake`.
    pub about: &'static str,
    /// What was found.
    pub what: String,
    /// What to do about it, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The key of the configuration that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The line of the configuration, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

impl Finding {
    /// Something as it should be.
    pub fn ok(about: &'static str, what: impl Into<String>) -> Self {
        Self::new(Severity::Ok, about, what, None)
    }

    /// Something that will do harm, and what to do.
    pub fn warning(about: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Severity::Warning, about, what, Some(remedy.into()))
    }

    /// Something that does not work, and what to do.
    pub fn error(about: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Severity::Error, about, what, Some(remedy.into()))
    }

    fn new(severity: Severity, about: &'static str, what: impl Into<String>, remedy: Option<String>) -> Self {
        Self {
            severity,
            about,
            what: what.into(),
            remedy,
            key: None,
            line: None,
        }
    }

    /// The same, about a key of the configuration.
    #[must_use]
    pub fn at_key(self, key: impl Into<String>) -> Self {
        Self {
            key: Some(key.into()),
            ..self
        }
    }
}

impl From<&Problem> for Finding {
    fn from(problem: &Problem) -> Self {
        let line = match problem.origin {
            pocket_config::Origin::File { line, .. } => Some(line),
            _ => None,
        };
        let what = match &problem.origin {
            pocket_config::Origin::Given(source) => format!("{source}: {}", problem.what),
            _ => problem.what.clone(),
        };
        Self {
            key: Some(problem.key.clone()).filter(|key| !key.is_empty()),
            line,
            ..Self::error("configuration", what, problem.remedy.clone())
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = self.severity.style();
        let (severity, about) = (self.severity.name(), self.about);
        write!(f, "{style}{severity:7}{style:#}  {about:13}  ")?;
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{BOLD}{key}{BOLD:#}: ")?;
        }
        f.write_str(&self.what)?;
        if let Some(remedy) = &self.remedy {
            write!(f, "\n{:24}{DIM}→{DIM:#} {remedy}", "")?;
        }
        Ok(())
    }
}

/// All that was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The file that was looked at.
    pub file: String,
    /// Whether there is no error.
    pub ok: bool,
    /// Findings that are errors.
    pub errors: usize,
    /// Findings that are warnings.
    pub warnings: usize,
    /// Everything, in the order in which it was looked at.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Counts what was found.
    pub fn new(file: String, findings: Vec<Finding>) -> Self {
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        Self {
            file,
            ok: errors == 0,
            errors,
            warnings,
            findings,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let number = |count: usize, word: &str| match count {
            0 => format!("no {word}s"),
            1 => format!("1 {word}"),
            many => format!("{many} {word}s"),
        };
        let (errors, warnings) = (number(self.errors, "error"), number(self.warnings, "warning"));
        write!(f, "{}: {errors}, {warnings}", self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_is_good_without_errors() {
        let warning = Finding::warning("redis", "it forgets", "make it remember");
        let report = Report::new("r.yaml".to_owned(), vec![Finding::ok("keys", "1 key"), warning.clone()]);
        assert!(report.ok && report.warnings == 1);
        let wrong = Finding::error("chain", "it is away", "start it").at_key("pocket_node");
        let report = Report::new("r.yaml".to_owned(), vec![warning, wrong]);
        assert!(!report.ok && report.errors == 1);
        let text = anstream::adapter::strip_str(&report.to_string()).to_string();
        assert_eq!(
            text,
            "warning  redis          it forgets\n                        → make it remember\n\
             error    chain          pocket_node: it is away\n                        → start it\n\
             r.yaml: 1 error, 1 warning"
        );
    }
}
