//! `conformance [FOLDER]`: checks every golden vector file in a folder, by default the project's own.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors");
    let folder = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from(own), PathBuf::from);
    let report = pocket_conformance::check_folder(&folder)?;
    for failure in report.failures() {
        println!("FAILED {failure}");
    }
    println!("{}", report.summary());
    Ok(if report.failures().is_empty() && report.passed() > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
