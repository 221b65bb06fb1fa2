//! Counts cases and says which failed.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

/// What came of the cases so far.
#[derive(Debug, Default)]
pub struct Report {
    file: String,
    passed: u64,
    failures: Vec<String>,
    per_file: Vec<(String, u64, u64)>,
}

impl Report {
    /// Starts counting for another file.
    pub fn open(&mut self, file: &str) {
        file.clone_into(&mut self.file);
        self.per_file.push((file.to_owned(), 0, 0));
    }

    /// Counts one case. A panic inside `check` is a failure.
    pub fn case(&mut self, name: &str, check: impl FnOnce() -> Result<(), String>) {
        let outcome = catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|_| Err("panicked".to_owned()));
        match outcome {
            Ok(()) => {
                self.passed += 1;
                if let Some(line) = self.per_file.last_mut() {
                    line.1 += 1;
                }
            }
            Err(why) => self.fail(name, &why),
        }
    }

    /// Counts each element of the list `file[key]` as a case, named by its `name`.
    pub fn list(&mut self, file: &Value, key: &str, check: impl Fn(&Value) -> Result<(), String>) {
        let Some(cases) = file[key].as_array() else {
            self.fail(key, "is missing, or not a list");
            return;
        };
        for (index, case) in cases.iter().enumerate() {
            let name = format!("{key}[{index}] {}", case["name"].as_str().unwrap_or_default());
            self.case(&name, || check(case));
        }
    }

    /// Fails for each top-level key of `file` that is neither `description` nor in `known`.
    pub fn only(&mut self, file: &Value, known: &[&str]) {
        for key in file.as_object().into_iter().flat_map(serde_json::Map::keys) {
            if key != "description" && !known.contains(&key.as_str()) {
                self.fail(key, "is a kind of case that this program does not know");
            }
        }
    }

    /// Counts one failure.
    pub fn fail(&mut self, name: &str, why: &str) {
        self.failures.push(format!("{}: {name}: {why}", self.file));
        if let Some(line) = self.per_file.last_mut() {
            line.2 += 1;
        }
    }

    /// Cases that agreed.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// One line per case that did not agree.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// A line per file, and the closing line `N passed, N failed`.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for (file, passed, failed) in &self.per_file {
            let _ = writeln!(text, "{file:24} {passed:6} passed {failed:4} failed");
        }
        let _ = write!(text, "{} passed, {} failed", self.passed, self.failures.len());
        text
    }
}
