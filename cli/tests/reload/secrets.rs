//! No key and no password in anything that a process says, whatever goes wrong.

use std::net::{Ipv4Addr, SocketAddr};

use crate::world::{Half, World, free_port, secret, until};

/// A stretch of a secret that is too long to be there by chance.
const TELLING: usize = 12;
const PASSWORD: &str = "correct hörse battery";

/// Panics if any part of a secret was said, in log, standard error or metrics.
#[track_caller]
fn assert_silent(half: &Half, secrets: &[&str]) {
    let said = (half.said() + &half.metrics()).to_lowercase();
    assert!(said.len() > 1000, "it says something at all: {said}");
    for secret in secrets {
        let secret = secret.to_lowercase();
        let letters: Vec<_> = secret.chars().collect();
        for part in letters.windows(TELLING.min(letters.len())) {
            let part: String = part.iter().collect();
            assert!(!said.contains(&part), "{part:?} of a secret was said");
        }
    }
}

/// The other ways in which 32 bytes are commonly shown.
fn spellings(supplier: &str) -> Vec<String> {
    let hex = secret(supplier);
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let list = format!("{bytes:?}");
    vec![hex, list.trim_matches(['[', ']']).to_owned()]
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_never_said_at_the_most_talkative_level() {
    let world = World::new().await;
    world.write_keys(&["supplier1"]);
    let (address, metrics): (SocketAddr, _) = ((Ipv4Addr::LOCALHOST, free_port()).into(), free_port());
    let config = format!(
        "{}health_check: {{ enabled: false }}
listen_addr: {address}
services: {{ svc-http: {{ backends: {{ jsonrpc: {{ url: '{}' }} }} }} }}
",
        world.common(metrics),
        world.backend.url()
    );
    world.write("relayer.yaml", &config);
    let relayer = world.start("relayer", metrics, &[("RUST_LOG", "trace")]);
    until("a relay is answered", async || {
        world.relay(address, "supplier1").await.is_ok()
    })
    .await;
    assert!(world.relay(address, "supplier2").await.is_err());

    // A key in the wrong place, half a key, a key too many, and no YAML at all.
    let key = secret("supplier1");
    for (text, told) in [
        (format!("keys: {{ \"{key}\": 1 }}"), "is not the YAML of a keys file"),
        (format!("keys: [\"{}\"]", &key[..40]), "64 hex characters"),
        (format!("keys: [\"{key}\", \"{key}zz\"]"), "not a hex digit"),
        (format!("keys: [\"{key}"), "is not the YAML of a keys file"),
    ] {
        world.write("keys.yaml", &text);
        relayer.hang_up();
        relayer.says(&["configuration not reloaded", told]).await;
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", relayer.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let spelled = spellings("supplier1");
    assert_silent(&relayer, &spelled.iter().map(String::as_str).collect::<Vec<_>>());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keyring_and_its_password_are_never_said() {
    let world = World::new().await;
    let keyrings = concat!(env!("CARGO_MANIFEST_DIR"), "/../keys/tests/keyrings");
    let metrics = free_port();
    let keys_file = format!("keys_file: {}", world.path("keys.yaml").display());
    let keyring = format!(
        "keyring: {{ backend: file, dir: '{keyrings}', password_file: '{}' }}",
        world.path("password").display()
    );
    let config = world.common(metrics).replace(&keys_file, &keyring);
    world.write("miner.yaml", &config);
    world.write("password", &format!("{PASSWORD}\n"));
    let miner = world.start("miner", metrics, &[("RUST_LOG", "trace")]);
    miner.says(&["mining"]).await;
    miner.shows("ha_keys_supplier_keys_active", 4).await;
    miner.says(&["a keyring's entry is left out", "multisig"]).await;
    let wrong = format!("{PASSWORD}!");
    world.write("password", &wrong);
    miner
        .says(&["configuration not reloaded", "the password is wrong"])
        .await;
    let keys = [1, 2, 3, 4].map(|byte| format!("{byte:02x}").repeat(32));
    let mut secrets: Vec<_> = keys.iter().map(String::as_str).collect();
    secrets.push(PASSWORD);
    assert_silent(&miner, &secrets);
    world.end().await;
}
