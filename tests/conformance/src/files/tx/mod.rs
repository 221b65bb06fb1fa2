//! Cases of `tx.json`.

use std::path::Path;

use serde_json::Value;

use crate::Report;

pub fn check(_folder: &Path, file: &Value, report: &mut Report) {
    report.only(file, &[]);
}
