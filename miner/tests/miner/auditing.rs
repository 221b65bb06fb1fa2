//! What an audit of a session says.

use bytes::Bytes;
use pocket_miner::audit::{Report, Verdict, audit};
use pocket_proto::pocket::service::Relay;
use pocket_protocol::SessionId;
use pocket_protocol::relay::encode_relay;
use prost::Message as _;

use crate::world::{Part, Relayer, World, session, sha256};

const SUPPLIER: &[&str] = &["supplier1"];

async fn report(world: &World, part: &Part) -> Report {
    let (supplier, session) = (part.supplier.parse().unwrap(), SessionId::from(part.session.as_str()));
    let chain = world.chain();
    let found = audit(&world.store, &chain, &supplier, &session, |_| {}).await;
    found.unwrap().expect("Redis has the session")
}

#[track_caller]
fn assert_agrees(report: &Report, checks: &[&str]) {
    assert_eq!(report.verdict(), Verdict::Agrees, "{report}");
    let names: Vec<&str> = report.checks.iter().map(|check| check.name).collect();
    assert_eq!(names, checks, "{report}");
}

/// Exactly these checks differ.
#[track_caller]
fn assert_differs(report: &Report, checks: &[&str]) {
    let differing = report.checks.iter().filter(|check| check.verdict == Verdict::Differs);
    let names: Vec<&str> = differing.map(|check| check.name).collect();
    assert_eq!(names, checks, "{report}");
    assert_eq!(report.verdict(), Verdict::Differs);
}

const OF_TREE: [&str; 7] = ["leaves", "relays", "root", "nodes", "record", "session", "weights"];

#[tokio::test]
async fn good_session_agrees_from_its_first_relay_to_its_proof() {
    let mut world = World::new().await;
    let (mut relayer, _miner) = (world.relayer(), world.miner("one", SUPPLIER));
    let part = relayer.serve(&mut world, "supplier1", "app1", 20).await;
    world.until_taken_in().await;
    let with = |more: &[&'static str]| [&OF_TREE, more].concat();
    assert_agrees(&report(&world, &part).await, &with(&["claim"]));
    world.walk_to(8).await;
    world.until_state(&part, &["claimed"]).await;
    let claimed = report(&world, &part).await;
    assert_agrees(&claimed, &with(&["claim", "proof"]));
    assert_eq!((claimed.state, claimed.worth_upokt), ("claimed", Some(200_000)));
    world.devnet.advance_to(world.windows(&part).seed.0);
    let due = report(&world, &part).await;
    assert_agrees(&due, &with(&["claim", "proof"]));
    assert!(due.checks.last().unwrap().text.contains("one is due"), "{due}");
    world.walk_to(world.windows(&part).settlement().0 - 1).await;
    world.until_state(&part, &["proved"]).await;
    let proved = report(&world, &part).await;
    assert_agrees(&proved, &with(&["claim", "proof"]));
    assert!(
        proved.checks.last().unwrap().text.contains("found it valid"),
        "{proved}"
    );
}

#[tokio::test]
async fn settled_session_agrees_with_its_settlement_but_its_tree_is_gone() {
    let mut world = World::new().await;
    let (mut relayer, _miner) = (world.relayer(), world.miner("one", SUPPLIER));
    let part = relayer.serve(&mut world, "supplier1", "app1", 2).await;
    world.walk_to_settlement().await;
    let report = report(&world, &part).await;
    assert_eq!(report.verdict(), Verdict::CannotTell, "{report}");
    let settled = report.checks.iter().find(|check| check.name == "settlement").unwrap();
    assert_eq!(settled.verdict, Verdict::Agrees);
    assert!(settled.text.contains("20000upokt"), "{report}");
}

#[tokio::test]
async fn lost_inner_nodes_differ_though_the_relays_are_all_there() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", SUPPLIER));
    let part = relayer.serve(&mut world, "supplier1", "app1", 20).await;
    world.walk_to(8).await;
    world.until_state(&part, &["claimed"]).await;
    miner.stop().await;
    for (digest, node) in world.nodes(&part).await {
        if node[0] != 0 {
            world.remove_node(&part, &digest).await;
        }
    }
    assert_differs(&report(&world, &part).await, &["nodes"]);
    world.devnet.advance_to(world.windows(&part).proof_open.0);
    assert_differs(&report(&world, &part).await, &["nodes", "proof"]);
}

#[tokio::test]
async fn lost_relays_differ_from_all_that_was_written_down() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", SUPPLIER));
    let part = relayer.serve(&mut world, "supplier1", "app1", 20).await;
    world.walk_to(8).await;
    world.until_state(&part, &["claimed"]).await;
    miner.stop().await;
    let (lost, damaged) = (&world.served[&part][0], &world.served[&part][1]);
    world.remove_node(&part, &lost.digest().to_string()).await;
    world
        .write_node(&part, &damaged.digest().to_string(), b"\x00 damaged")
        .await;
    let report = report(&world, &part).await;
    assert_differs(&report, &["leaves", "root", "nodes", "record", "claim"]);
    assert!(report.to_string().contains("18 relays"), "{report}");
}

#[tokio::test]
async fn relay_that_cannot_be_proven_is_named() {
    let mut world = World::new().await;
    let (mut relayer, _miner) = (world.relayer(), world.miner("one", SUPPLIER));
    let header = session(&world, "app1");
    let mut relays = relayer.mine(&header, "supplier1", "app1", 5);
    let mut wrong = Relay::decode(relays[3].relay_bytes.clone()).unwrap();
    wrong.req.as_mut().unwrap().payload = Bytes::from_static(b"another question");
    relays[3].relay_bytes = encode_relay(&wrong);
    relays[3].relay_hash = sha256(&relays[3].relay_bytes);
    let part = Relayer::remember(&mut world, &header, "supplier1", &relays);
    relayer.append_relays("supplier1", &relays).await;
    world.until_taken_in().await;
    let report = report(&world, &part).await;
    assert_differs(&report, &["relays"]);
    let [broken] = &report.broken_leaves[..] else {
        panic!("{report}");
    };
    assert_eq!(broken.rule, "ring_signature");
    assert_eq!(broken.relay_hash, hex::encode(&relays[3].relay_hash));
}

#[tokio::test]
async fn claim_of_another_tree_differs() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", SUPPLIER));
    let part = relayer.serve(&mut world, "supplier1", "app1", 3).await;
    world.walk_to(8).await;
    world.until_state(&part, &["claimed"]).await;
    miner.stop().await;
    // A second Redis history: one more relay in the tree than was claimed.
    let keys = world.store.keys();
    let (supplier, id) = (part.supplier.parse().unwrap(), part.session.as_str().into());
    world.delete(&keys.session(&supplier, &id)).await;
    world.delete(&keys.tree_root(&supplier, &id)).await;
    let header = world.claim(&part).unwrap().session_header.unwrap();
    relayer.serve_in(&mut world, &header, "supplier1", "app1", 1).await;
    let _miner = world.miner("two", SUPPLIER);
    world.until_taken_in().await;
    let report = report(&world, &part).await;
    assert!(
        report
            .checks
            .iter()
            .any(|check| check.name == "claim" && check.verdict == Verdict::Differs),
        "{report}"
    );
}

#[tokio::test]
async fn session_that_redis_does_not_know_has_no_report() {
    let world = World::new().await;
    let supplier = crate::world::address("supplier1");
    let found = audit(&world.store, &world.chain(), &supplier, &"5e55".into(), |_| {}).await;
    assert_eq!(found.unwrap(), None);
}
