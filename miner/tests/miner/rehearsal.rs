//! What the chain would not take is found out before a fee is paid for it.

use std::collections::BTreeMap;

use bytes::Bytes;
use pocket_config::RehearsalMode;
use pocket_devnet::Localnet;
use pocket_miner::Settings;
use pocket_proto::pocket::ha::MinedRelayMessage;
use pocket_proto::pocket::service::{Relay, RelayMiningDifficulty, RelayRequestMetadata, RelayResponseMetadata};
use pocket_proto::pocket::session::SessionHeader;
use pocket_protocol::relay::encode_relay;
use prost::Message as _;

use crate::world::{Part, Relayer, World, address, localnet, session, sha256};

const SUPPLIER: &[&str] = &["supplier1"];
const ALL: &[&str] = &["supplier1", "supplier2", "supplier3"];

fn enforcing(settings: &mut Settings) {
    settings.rehearsal.rehearsal.mode = RehearsalMode::Enforce;
}

fn rehearsing_nothing(settings: &mut Settings) {
    settings.rehearsal.rehearsal.mode = RehearsalMode::Off;
}

/// Transactions that any block holds, or that wait for one.
fn transactions(world: &World) -> usize {
    let in_blocks: usize = world
        .devnet
        .read(|chain| chain.blocks().map(|block| block.txs.len()).sum());
    in_blocks + world.devnet.pending()
}

/// Serves one relay that breaks a rule, in a session of its own.
async fn serve_broken(
    world: &mut World,
    relayer: &mut Relayer,
    (supplier, application): (&str, &str),
    spoil: impl FnOnce(&mut MinedRelayMessage),
) -> Part {
    let header = session(world, application);
    let mut relay = relayer.mine(&header, supplier, application, 1).remove(0);
    spoil(&mut relay);
    relay.relay_hash = sha256(&relay.relay_bytes);
    let part = Relayer::remember(world, &header, supplier, std::slice::from_ref(&relay));
    relayer.append_relays(supplier, &[relay]).await;
    part
}

/// Changes the relay in a message.
fn relay(change: impl FnOnce(&mut Relay)) -> impl FnOnce(&mut MinedRelayMessage) {
    |message| {
        let mut relay = Relay::decode(message.relay_bytes.clone()).unwrap();
        change(&mut relay);
        message.relay_bytes = encode_relay(&relay);
    }
}

fn asked(relay: &mut Relay) -> &mut RelayRequestMetadata {
    relay.req.as_mut().unwrap().meta.as_mut().unwrap()
}

fn answered(relay: &mut Relay) -> &mut RelayResponseMetadata {
    relay.res.as_mut().unwrap().meta.as_mut().unwrap()
}

fn later(header: &mut Option<SessionHeader>) {
    header.as_mut().unwrap().session_end_block_height += 1;
}

/// Serves, in sessions of their own, a relay for each rule about relays, and breaks it.
async fn serve_one_for_each_rule(world: &mut World, relayer: &mut Relayer) -> BTreeMap<&'static str, Part> {
    let mut parts = BTreeMap::new();
    let mut add = |rule, part| assert!(parts.insert(rule, part).is_none());
    let garbage = |message: &mut MinedRelayMessage| message.relay_bytes = Bytes::from_static(b"\xff no relay");
    add(
        "relay_bytes",
        serve_broken(world, relayer, ("supplier1", "app1"), garbage).await,
    );
    let unsigned = relay(|relay| asked(relay).signature.clear());
    add(
        "relay_request",
        serve_broken(world, relayer, ("supplier1", "app2"), unsigned).await,
    );
    let unsigned = relay(|relay| answered(relay).supplier_operator_signature.clear());
    add(
        "relay_response",
        serve_broken(world, relayer, ("supplier1", "app3"), unsigned).await,
    );
    let other = relay(|relay| asked(relay).supplier_operator_address = address("supplier1").to_string());
    add(
        "relay_supplier",
        serve_broken(world, relayer, ("supplier2", "app1"), other).await,
    );
    let other = relay(|relay| later(&mut answered(relay).session_header));
    add(
        "relay_header",
        serve_broken(world, relayer, ("supplier2", "app2"), other).await,
    );
    let other = relay(|relay| relay.req.as_mut().unwrap().payload = Bytes::from_static(b"another question"));
    add(
        "ring_signature",
        serve_broken(world, relayer, ("supplier2", "app3"), other).await,
    );
    let other = relay(|relay| relay.res.as_mut().unwrap().payload_hash = sha256(b"another answer"));
    add(
        "response_signature",
        serve_broken(world, relayer, ("supplier3", "app1"), other).await,
    );
    parts
}

#[tokio::test]
async fn good_sessions_pass() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let miner = world.miner_with("one", ALL, enforcing);
    for height in [1, 5] {
        world.walk_to(height).await;
        for supplier in ["supplier1", "supplier2"] {
            relayer.serve(&mut world, supplier, "app1", 9).await;
            relayer.serve(&mut world, supplier, "app2", 1).await;
        }
    }
    world.walk_to_settlement().await;
    world.assert_all_settled();
    for phase in ["claim", "proof"] {
        let passed = miner.counted("rehearsals_total", &[phase, "passed"]);
        assert!(passed >= world.served.len() as u64, "{phase}");
        assert_eq!(miner.counted("rehearsals_total", &[phase]), passed, "{phase}");
    }
    assert_eq!(miner.counted("rehearsal_failures_total", &[]), 0);
}

#[tokio::test]
async fn claim_whose_relay_breaks_a_rule_is_held_back_before_any_transaction() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let parts = serve_one_for_each_rule(&mut world, &mut relayer).await;
    let miner = world.miner_with("one", ALL, enforcing);
    world.until_taken_in().await;
    let windows = world.windows(parts.values().next().unwrap());
    world.devnet.advance_to(windows.claim_open.0);
    for (rule, part) in &parts {
        world
            .until(rule, || async {
                miner.counted("rehearsal_failures_total", &[&part.supplier, "claim", rule]) > 0
            })
            .await;
        assert_eq!(world.state(part).await, "claiming");
    }
    world.devnet.advance_to(windows.claim_close.0 - 1);
    for (rule, part) in &parts {
        world.until_state(part, &["claim_tx_error"]).await;
        let reason = world.record(part).await.unwrap().reason.unwrap();
        assert!(reason.contains(&format!("the rule {rule}:")), "{reason}");
    }
    assert_eq!(transactions(&world), 0);
}

#[tokio::test]
async fn proof_of_a_relay_that_breaks_a_rule_is_held_back_until_its_last_chance() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let parts = serve_one_for_each_rule(&mut world, &mut relayer).await;
    let trusting = world.miner_with("one", ALL, rehearsing_nothing);
    world.until_taken_in().await;
    let windows = world.windows(parts.values().next().unwrap());
    world.walk_to(windows.proof_open.0 - 1).await;
    for part in parts.values() {
        world.until_state(part, &["claimed"]).await;
    }
    assert_eq!(trusting.counted("rehearsals_total", &[]), 0);
    trusting.stop().await;
    let (sent, miner) = (transactions(&world), world.miner_with("two", ALL, enforcing));
    for height in windows.proof_open.0..windows.proof_close.0 - 2 {
        world.devnet.advance_to(height);
        let tries = (height - windows.proof_open.0 + 1) as u64;
        for (rule, part) in &parts {
            world
                .until(rule, || async {
                    miner.counted("rehearsal_failures_total", &[&part.supplier, "proof", rule]) >= tries
                })
                .await;
        }
    }
    assert_eq!(transactions(&world), sent);
    world.devnet.advance_to(windows.proof_close.0 - 2);
    // The chain looks at signatures when the proof is in a block, at all else before.
    world
        .until("two are sent", || async { world.devnet.pending() == 2 })
        .await;
    world.devnet.advance(1);
    for (rule, part) in &parts {
        if !rule.contains("signature") {
            world.until_state(part, &["proof_tx_error"]).await;
        }
    }
    let checked = world.events("EventProofValidityChecked");
    assert_eq!(checked.len(), 2);
}

#[tokio::test]
async fn what_fails_is_only_told_unless_it_is_enforced() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let other = relay(|relay| later(&mut asked(relay).session_header));
    let part = serve_broken(&mut world, &mut relayer, ("supplier1", "app1"), other).await;
    let miner = world.miner("one", SUPPLIER);
    world.until_taken_in().await;
    world.walk_to(9).await;
    world.until_state(&part, &["claimed"]).await;
    assert!(miner.counted("rehearsal_failures_total", &["claim", "relay_header"]) > 0);
    world.devnet.advance_to(world.windows(&part).proof_open.0);
    world.until_state(&part, &["proof_tx_error"]).await;
    assert!(miner.counted("rehearsal_failures_total", &["proof", "relay_header"]) > 0);
}

#[tokio::test]
async fn claim_of_a_supplier_that_is_not_in_the_session_is_held_back() {
    let mut genesis = localnet().genesis();
    genesis.suppliers[0]
        .services
        .retain(|config| config.service_id != "svc-ws");
    let mut world = World::from_genesis(genesis).await;
    let mut relayer = world.relayer();
    let miner = world.miner_with("one", SUPPLIER, enforcing);
    let part = relayer.serve(&mut world, "supplier1", "app2", 2).await;
    world.until_taken_in().await;
    world.devnet.advance_to(world.windows(&part).claim_close.0 - 1);
    world.until_state(&part, &["claim_tx_error"]).await;
    assert!(miner.counted("rehearsal_failures_total", &["supplier"]) > 0);
    assert_eq!(transactions(&world), 0);
}

#[tokio::test]
async fn relay_over_the_target_is_found_out() {
    let mut genesis = localnet().genesis();
    genesis.difficulties.push(RelayMiningDifficulty {
        service_id: "svc-http".to_owned(),
        target_hash: Bytes::from_static(&[1; 32]),
        ..RelayMiningDifficulty::default()
    });
    let mut world = World::from_genesis(genesis).await;
    let mut relayer = world.relayer();
    let miner = world.miner_with("one", SUPPLIER, enforcing);
    let header = session(&world, "app1");
    let mined = relayer.mine(&header, "supplier1", "app1", 8);
    let missed: Vec<_> = mined.into_iter().filter(|relay| relay.relay_hash[0] > 1).collect();
    let part = Relayer::remember(&mut world, &header, "supplier1", &missed);
    relayer.append_relays("supplier1", &missed).await;
    world.until_taken_in().await;
    world.devnet.advance_to(world.windows(&part).claim_close.0 - 1);
    world.until_state(&part, &["claim_tx_error"]).await;
    assert!(miner.counted("rehearsal_failures_total", &["claim", "difficulty"]) > 0);
    assert_eq!(transactions(&world), 0);
}

#[tokio::test]
async fn session_that_is_not_the_chains_is_not_claimed() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    world.devnet.advance_to(5);
    // The record that comes of it says that the session started when the one before did.
    let wrong = |message: &mut MinedRelayMessage| message.session_start_height -= 4;
    let part = serve_broken(&mut world, &mut relayer, ("supplier1", "app1"), wrong).await;
    let _miner = world.miner("one", SUPPLIER);
    world.until_taken_in().await;
    world.devnet.advance_to(world.windows(&part).claim_open.0);
    world.until_state(&part, &["claim_tx_error"]).await;
    assert_eq!(transactions(&world), 0);
}

#[tokio::test]
async fn tree_that_is_lost_before_its_claim_is_not_claimed_enforced_or_not() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", SUPPLIER));
    let part = relayer.serve(&mut world, "supplier1", "app1", 5).await;
    world.until_taken_in().await;
    for (digest, _) in world.nodes(&part).await {
        world.remove_node(&part, &digest).await;
    }
    world.devnet.advance_to(world.windows(&part).claim_close.0 - 1);
    world.until_state(&part, &["claim_tx_error"]).await;
    assert!(miner.counted("rehearsal_failures_total", &["claim", "tree"]) > 0);
    assert_eq!(transactions(&world), 0);
}

#[tokio::test]
async fn relays_that_are_left_are_claimed_when_a_sealed_tree_lost_some() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let miner = world.miner("one", SUPPLIER);
    let part = relayer.serve(&mut world, "supplier1", "app1", 20).await;
    world.until_taken_in().await;
    // The miner has the tree in memory and seals what it believes.
    let lost = world.served[&part][0].clone();
    for (digest, node) in world.nodes(&part).await {
        if node[0] != 0 || node == lost.encoded() {
            world.remove_node(&part, &digest).await;
        }
    }
    world.served.get_mut(&part).unwrap().remove(0);
    world.walk_to_settlement().await;
    world.assert_all_settled();
    world.assert_each_claimed_once();
    assert_eq!(world.record(&part).await.unwrap().relays, 19);
    assert_eq!(miner.counted("trees_rebuilt_total", &["leaves_lost"]), 1);
}

/// A proof costs more than the claim of a relay or two brings, and each claim is to be proven.
fn dear_proofs() -> Localnet {
    Localnet {
        proof_fee: 1_000_000,
        ..localnet()
    }
}

#[tokio::test]
async fn claim_that_is_not_worth_its_cost_is_skipped_and_says_so() {
    let mut world = World::of(&dear_proofs()).await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", SUPPLIER));
    let poor = relayer.serve(&mut world, "supplier1", "app1", 2).await;
    world.until_taken_in().await;
    world.devnet.advance_to(world.windows(&poor).claim_open.0);
    world.until_state(&poor, &["claim_skipped"]).await;
    let reason = world.record(&poor).await.unwrap().reason.unwrap();
    assert!(
        reason.starts_with("unprofitable") && reason.contains("1000002upokt"),
        "{reason}"
    );
    assert_eq!(
        miner.counted("claims_skipped_total", &[&poor.supplier, "unprofitable"]),
        1
    );
    assert_eq!(miner.counted("sessions_failed_total", &[]), 0);
    assert_eq!(transactions(&world), 0);
}

#[tokio::test]
async fn claim_that_is_not_worth_its_cost_is_sent_if_that_is_wanted() {
    let mut world = World::of(&dear_proofs()).await;
    let mut relayer = world.relayer();
    let miner = world.miner_with("one", SUPPLIER, |settings| {
        settings.rehearsal.profitability.enabled = false;
    });
    relayer.serve(&mut world, "supplier1", "app1", 2).await;
    world.walk_to_settlement().await;
    world.assert_all_settled();
    assert_eq!(miner.counted("claims_skipped_total", &[]), 0);
}

#[tokio::test]
async fn claim_is_to_bring_as_much_as_is_asked_for() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let worth = 10_000;
    let miner = world.miner_with("one", SUPPLIER, |settings| {
        settings.rehearsal.profitability.min_profit.0 = worth;
    });
    let below = relayer.serve(&mut world, "supplier1", "app1", 1).await;
    let above = relayer.serve(&mut world, "supplier1", "app2", 2).await;
    world.until_taken_in().await;
    world.devnet.advance_to(world.windows(&below).claim_open.0);
    world.until_sent().await;
    world.devnet.advance(1);
    world.until_state(&above, &["claimed"]).await;
    world.until_state(&below, &["claim_skipped"]).await;
    assert_eq!(miner.counted("claims_skipped_total", &[]), 1);
}
