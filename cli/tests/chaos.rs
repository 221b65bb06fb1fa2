//! A few rounds of `make chaos`.

use pocket_chaos::{Outcome, Settings, run};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_whatever_breaks() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        program: env!("CARGO_BIN_EXE_relay-miner").into(),
        folder: folder.path().to_owned(),
        // Its faults: see the lines that are printed.
        seed: 7,
        rounds: 5,
        ..Settings::default()
    };
    let outcome = run(&settings, |line| println!("{line}")).await.unwrap();
    assert_eq!(outcome, Outcome { passed: 5, failed: 0 });
}
