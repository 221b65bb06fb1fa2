//! Forms of results, and what shells need.

use super::{json, run, text};

#[test]
fn version_has_both_forms() {
    let version = json(&["version"]);
    assert_eq!(version["name"], "relay-miner");
    let number = version["version"].as_str().unwrap();
    assert_eq!(text(&["version"]), format!("relay-miner {number}\n"));
}

#[test]
fn form_may_stand_before_the_command() {
    assert!(text(&["--output", "json", "version"]).starts_with('{'));
    assert_eq!(run(&["--output", "xml", "version"]).status.code(), Some(2));
}

#[test]
fn exit_codes_are_told() {
    let help = text(&["--help"]);
    assert!(
        help.contains("Exit codes: 0 done") && help.contains("2 wrong use"),
        "{help}"
    );
}

#[test]
fn every_shell_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&["completions", shell]);
        for word in ["relay-miner", "submissions", "all-in-one", "dry-run"] {
            assert!(script.contains(word), "{word} is not in {shell}'s script");
        }
    }
}

#[test]
fn manual_has_every_command_and_its_options() {
    let page = text(&["completions", "man"]);
    assert!(page.contains(".TH relay-miner 1"), "{page}");
    for word in ["RELAY\\-MINER REDIS FLUSH", "RELAY-MINER REDIS FLUSH"] {
        if page.contains(word) {
            return assert!(page.contains("dry\\-run"));
        }
    }
    panic!("no section of redis flush");
}
