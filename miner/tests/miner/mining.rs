//! From relays to settled claims.

use bytes::Bytes;
use pocket_devnet::Localnet;
use pocket_proto::pocket::ha::MinedRelayMessage;
use pocket_store::SupplierStatus;
use prost::Message as _;

use crate::world::{Relayer, World, address, localnet, session};

#[tokio::test]
async fn relays_of_two_suppliers_and_two_sessions_are_claimed_proven_and_settled() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", &["supplier1", "supplier2"]));
    for supplier in ["supplier1", "supplier2"] {
        relayer.serve(&mut world, supplier, "app1", 3).await;
        relayer.serve(&mut world, supplier, "app2", 2).await;
    }
    world.walk_to_settlement().await;
    world.assert_all_settled();
    world.assert_each_claimed_once();
    for part in world.served.keys() {
        let record = world.record(part).await.unwrap();
        let ended = (record.state.as_str(), record.settlement.as_deref());
        assert_eq!(ended, ("proved", Some("settled_proven")));
    }
    assert_eq!(miner.counted("relays_claimed_total", &[]), 10);
    assert_eq!(miner.counted("relays_settled_by_status_total", &["proven"]), 10);
    miner.stop().await;
}

#[tokio::test]
async fn sessions_follow_each_other() {
    let mut world = World::new().await;
    let (mut relayer, _miner) = (world.relayer(), world.miner("one", &["supplier1"]));
    for height in [1, 5, 9] {
        world.walk_to(height).await;
        relayer.serve(&mut world, "supplier1", "app1", 2).await;
    }
    world.walk_to_settlement().await;
    assert_eq!(world.served.len(), 3);
    world.assert_all_settled();
}

#[tokio::test]
async fn one_batch_may_hold_relays_of_many_sessions() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    for _ in 0..3 {
        for application in ["app1", "app2", "app3", "app4"] {
            relayer.serve(&mut world, "supplier1", application, 2).await;
        }
    }
    let _miner = world.miner("one", &["supplier1"]);
    world.walk_to_settlement().await;
    assert_eq!(world.served.len(), 4);
    world.assert_all_settled();
    world.assert_each_claimed_once();
}

#[tokio::test]
async fn relay_that_is_delivered_twice_counts_once() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let header = session(&world, "app1");
    let messages = relayer.mine(&header, "supplier1", "app1", 3);
    let part = Relayer::remember(&mut world, &header, "supplier1", &messages);
    let entries: Vec<Bytes> = messages.iter().map(|message| message.encode_to_vec().into()).collect();
    relayer.append("supplier1", entries.clone()).await;
    relayer.append("supplier1", entries.clone()).await;
    let _miner = world.miner_with("one", &["supplier1"], |settings| settings.batch = 2);
    world.until_taken_in().await;
    relayer.append("supplier1", entries).await;
    world.until_taken_in().await;
    assert_eq!(world.record(&part).await.unwrap().relays, 3);
    world.walk_to_settlement().await;
    world.assert_all_settled();
}

#[tokio::test]
async fn broken_stream_entries_are_refused_and_acknowledged() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let header = session(&world, "app1");
    let good = relayer.mine(&header, "supplier1", "app1", 1).remove(0);
    let broken = [
        MinedRelayMessage {
            supplier_operator_address: address("supplier2").to_string(),
            ..good.clone()
        },
        MinedRelayMessage {
            relay_hash: Bytes::from_static(&[7; 32]),
            ..good.clone()
        },
        MinedRelayMessage {
            session_id: String::new(),
            ..good.clone()
        },
        MinedRelayMessage {
            session_end_height: 0,
            ..good.clone()
        },
        MinedRelayMessage {
            service_id: String::new(),
            ..good.clone()
        },
        MinedRelayMessage {
            application_address: "pokt1".to_owned(),
            ..good.clone()
        },
    ];
    relayer
        .append("supplier1", [Bytes::from_static(b"\xff no message")])
        .await;
    relayer
        .append("supplier1", broken.iter().map(|message| message.encode_to_vec().into()))
        .await;
    world.append_field("supplier1", "other", b"x").await;
    relayer.serve(&mut world, "supplier1", "app1", 2).await;

    let miner = world.miner("one", &["supplier1"]);
    world.until_taken_in().await;
    let reasons = [
        "undecodable",
        "other_supplier",
        "wrong_hash",
        "session_id",
        "session_heights",
        "service_id",
    ];
    for reason in reasons.into_iter().chain(["application_address", "no_data"]) {
        assert_eq!(miner.counted("relays_rejected_total", &[reason]), 1, "{reason}");
    }
    world.walk_to_settlement().await;
    world.assert_all_settled();
}

#[tokio::test]
async fn claim_under_the_threshold_is_settled_without_a_proof() {
    let mut world = World::of(&Localnet {
        proof_probability: 0.0,
        proof_threshold: 50_000,
        ..localnet()
    })
    .await;
    let (mut relayer, _miner) = (world.relayer(), world.miner("one", &["supplier1"]));
    // A relay is worth 10 000 upokt.
    let below = relayer.serve(&mut world, "supplier1", "app1", 4).await;
    let at = relayer.serve(&mut world, "supplier1", "app2", 5).await;
    world.walk_to_settlement().await;
    world.assert_all_settled();
    for (part, state, settlement) in [
        (below, "probabilistic_proved", "settled_unproven"),
        (at, "proved", "settled_proven"),
    ] {
        let record = world.record(&part).await.unwrap();
        let ended = (record.state.as_str(), record.settlement.as_deref());
        assert_eq!(ended, (state, Some(settlement)));
    }
    assert_eq!(world.events("EventProofSubmitted").len(), 1);
}

#[tokio::test]
async fn relayers_are_told_what_the_chain_knows_of_a_supplier() {
    let world = World::new().await;
    let _miner = world.miner("one", &["supplier1", "nobody"]);
    let entry = |name: &str| {
        let (store, operator) = (world.store.clone(), address(name));
        async move { store.supplier(operator.as_str()).await.unwrap() }
    };
    world
        .until("both have an entry", || async {
            entry("supplier1").await.is_some() && entry("nobody").await.is_some()
        })
        .await;
    let staked = entry("supplier1").await.unwrap();
    assert_eq!(
        (staked.status, staked.updated_by.as_str()),
        (SupplierStatus::Active, "one")
    );
    assert_eq!(staked.serves(&"svc-http".parse().unwrap()), Some(true));
    assert_eq!(staked.staked_endpoints.len(), 25);
    assert_eq!(entry("nobody").await.unwrap().status, SupplierStatus::NotStaked);
}

#[tokio::test]
async fn claim_that_the_chain_refuses_does_not_take_the_others_of_its_batch_with_it() {
    let mut genesis = localnet().genesis();
    let supplier = &mut genesis.suppliers[0];
    assert_eq!(supplier.operator_address, address("supplier1").as_str());
    supplier.services.retain(|config| config.service_id != "svc-ws");
    let mut world = World::from_genesis(genesis).await;
    let (mut relayer, _miner) = (world.relayer(), world.miner("one", &["supplier1"]));
    relayer.serve(&mut world, "supplier1", "app1", 2).await;
    relayer.serve(&mut world, "supplier1", "app3", 2).await;
    let refused = relayer.serve(&mut world, "supplier1", "app2", 2).await;
    world.until_taken_in().await;
    world.served.remove(&refused);
    world.walk_to_settlement().await;
    world.assert_all_settled();
    assert_eq!(world.state(&refused).await, "claim_tx_error");
    assert!(
        world
            .record(&refused)
            .await
            .unwrap()
            .reason
            .unwrap()
            .contains("supplier not found")
    );
}

#[tokio::test]
async fn proof_that_the_chain_refuses_does_not_take_the_others_of_its_batch_with_it() {
    let mut world = World::new().await;
    let (mut relayer, _miner) = (world.relayer(), world.miner("one", &["supplier1"]));
    let good = [
        relayer.serve(&mut world, "supplier1", "app1", 2).await,
        relayer.serve(&mut world, "supplier1", "app3", 2).await,
    ];
    // What is no relay can be claimed, but not proven.
    let header = session(&world, "app2");
    let mut message = relayer.mine(&header, "supplier1", "app2", 1).remove(0);
    message.relay_bytes = Bytes::from_static(b"\xff no relay");
    message.relay_hash = crate::world::sha256(&message.relay_bytes);
    let refused = Relayer::remember(&mut world, &header, "supplier1", std::slice::from_ref(&message));
    relayer.append("supplier1", [message.encode_to_vec().into()]).await;
    world.until_taken_in().await;
    world.walk_to(10).await;
    world.served.remove(&refused);
    world.walk_to_settlement().await;
    for part in good {
        assert_eq!(world.state(&part).await, "proved");
    }
    assert_eq!(world.state(&refused).await, "proof_tx_error");
    assert_eq!(world.events("EventClaimSettled").len(), 2);
    world
        .until("the slash is seen", || async {
            world.record(&refused).await.unwrap().settlement.as_deref() == Some("expired")
        })
        .await;
}
