//! Commands as an operator runs them: the program, its output and its exit code.

mod all_in_one;
mod audit;
mod forms;
mod redis;
mod redis_cluster;

use std::process::{Command, Output};

/// The program, with nothing of this environment that it would go by.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-miner"));
    for name in [
        "REDIS_URL",
        "RELAYER_CONFIG_FILE",
        "MINER_CONFIG_FILE",
        "RUST_LOG",
        "NO_COLOR",
    ] {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

/// Standard output of a run that went well.
#[track_caller]
fn text(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The same as JSON.
#[track_caller]
fn json(arguments: &[&str]) -> serde_json::Value {
    let text = text(&[arguments, &["--output", "json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
