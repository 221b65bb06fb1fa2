//! Checks the golden vectors of the chain's own Go libraries.
//!
//! One module per file under [`files`]; each knows every kind of case in its file, and reports a
//! kind that it does not know as a failure. The vectors' `README.md` explains the fields.

pub mod files;
pub mod read;
mod report;

pub use report::Report;

use std::path::Path;

/// Checks every vector file in `folder`; a JSON file that no module knows is a failure.
pub fn check_folder(folder: &Path) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut names: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    names.sort_by_key(std::fs::DirEntry::file_name);
    for entry in names {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        report.open(&name);
        let text = std::fs::read(&path)?;
        match serde_json::from_slice(&text) {
            Ok(file) => files::check(&name, folder, &file, &mut report),
            Err(error) => report.fail("file", &format!("is not JSON: {error}")),
        }
    }
    Ok(report)
}
