//! One module per vector file.

mod claims;
mod claims_proofs;
mod difficulty;
mod relay_requests;
mod relays;
mod ring_signatures;
mod rings;
mod sessions;
mod smst;
mod trees;
mod tx;

use std::path::Path;

use serde_json::Value;

use crate::Report;

/// Checks one file; `folder` is where it lies, for the files that lie beside it.
pub fn check(name: &str, folder: &Path, file: &Value, report: &mut Report) {
    match name {
        "claims.json" => claims::check(file, report),
        "claims_proofs.json" => claims_proofs::check(file, report),
        "difficulty.json" => difficulty::check(file, report),
        "relay_requests.json" => relay_requests::check(file, report),
        "relays.json" => relays::check(file, report),
        "ring_signatures.json" => ring_signatures::check(file, report),
        "rings.json" => rings::check(file, report),
        "sessions.json" => sessions::check(file, report),
        "smst.json" => smst::check(file, report),
        "trees.json" => trees::check(file, report),
        "tx.json" => tx::check(folder, file, report),
        _ => report.fail(name, "is a file that this program does not know"),
    }
}
