//! Cases of `relay_requests.json`.

use serde_json::Value;

use crate::Report;

pub fn check(file: &Value, report: &mut Report) {
    report.only(file, &[]);
}
