//! Cases of `tx.json`.

mod keys;
mod transactions;

use std::path::Path;

use serde_json::Value;

use crate::Report;

pub fn check(folder: &Path, file: &Value, report: &mut Report) {
    report.only(
        file,
        &[
            "keys",
            "address_checks",
            "mnemonics",
            "signatures",
            "keyrings",
            "armored",
            "transactions",
        ],
    );
    report.list(file, "keys", keys::key);
    report.list(file, "address_checks", keys::address);
    report.list(file, "mnemonics", keys::mnemonic);
    report.list(file, "signatures", keys::signature);
    report.list(file, "keyrings", |case| keys::keyring(folder, case));
    report.list(file, "armored", keys::armored);
    report.list(file, "transactions", transactions::transaction);
}
