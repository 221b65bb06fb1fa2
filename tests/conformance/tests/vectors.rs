//! Every golden vector of the project's own copy holds.

use std::path::Path;

#[test]
fn every_golden_vector_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors");
    let report = pocket_conformance::check_folder(&folder).unwrap();
    let failures = report.failures();
    assert!(failures.is_empty(), "{}\n{}", failures.join("\n"), report.summary());
    // A folder that lost its files would pass everything.
    assert_eq!(report.passed(), 3988, "{}", report.summary());
}

#[test]
fn unknown_file_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("unheard_of.json"), "{}").unwrap();
    let report = pocket_conformance::check_folder(folder.path()).unwrap();
    assert_eq!((report.passed(), report.failures().len()), (0, 1));
}
