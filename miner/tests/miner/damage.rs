//! Stored trees that lost something.

use pocket_proto::pocket::ha::MinedRelayMessage;

use crate::world::{Relayer, World, session};

const SUPPLIER: &[&str] = &["supplier1"];

#[tokio::test]
async fn tree_without_its_inner_nodes_grows_on_from_its_leaves() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", SUPPLIER));
    let part = relayer.serve(&mut world, "supplier1", "app1", 20).await;
    world.until_taken_in().await;
    miner.crash();
    for (digest, node) in world.nodes(&part).await {
        if !is_leaf(&node) {
            world.remove_node(&part, &digest).await;
        }
    }
    relayer.serve(&mut world, "supplier1", "app1", 20).await;
    let miner = world.miner("two", SUPPLIER);
    world.until_taken_in().await;
    assert_eq!(miner.counted("trees_rebuilt_total", &["same_root"]), 1);
    world.walk_to_settlement().await;
    world.assert_all_settled();
    assert_eq!(world.record(&part).await.unwrap().relays, 40);
}

#[tokio::test]
async fn claimed_tree_that_is_damaged_is_rebuilt_and_proven() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", SUPPLIER));
    let part = relayer.serve(&mut world, "supplier1", "app1", 20).await;
    world.walk_to(9).await;
    world.until_state(&part, &["claimed"]).await;
    for (digest, node) in world.nodes(&part).await {
        if !is_leaf(&node) {
            world.write_node(&part, &digest, b"\x01 damaged").await;
        }
    }
    world.walk_to_settlement().await;
    world.assert_all_settled();
    assert_eq!(world.state(&part).await, "proved");
    assert_eq!(miner.counted("trees_rebuilt_total", &["same_root"]), 1);
}

#[tokio::test]
async fn leaves_that_are_left_are_claimed_when_some_are_lost() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", SUPPLIER));
    let part = relayer.serve(&mut world, "supplier1", "app1", 20).await;
    world.until_taken_in().await;
    miner.crash();
    let lost = world.served[&part][0].clone();
    for (digest, node) in world.nodes(&part).await {
        if !is_leaf(&node) || node == lost.encoded() {
            world.write_node(&part, &digest, b"damaged").await;
        }
    }
    world.served.get_mut(&part).unwrap().remove(0);
    relayer.serve(&mut world, "supplier1", "app1", 1).await;
    let miner = world.miner("two", SUPPLIER);
    world.walk_to_settlement().await;
    world.assert_all_settled();
    assert_eq!(world.record(&part).await.unwrap().relays, 20);
    assert_eq!(miner.counted("trees_rebuilt_total", &["leaves_lost"]), 1);
}

#[tokio::test]
async fn claimed_tree_that_redis_lost_is_proven_when_its_relays_come_again() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", SUPPLIER));
    let header = session(&world, "app1");
    let relays = relayer.mine(&header, "supplier1", "app1", 9);
    let part = Relayer::remember(&mut world, &header, "supplier1", &relays);
    relayer.append_relays("supplier1", &relays).await;
    world.walk_to(9).await;
    world.until_state(&part, &["claimed"]).await;
    for (digest, _) in world.nodes(&part).await {
        world.remove_node(&part, &digest).await;
    }
    relayer.append_relays("supplier1", &relays).await;
    world.until_taken_in().await;
    assert_eq!(miner.counted("relays_rejected_total", &[]), 0);
    world.walk_to_settlement().await;
    world.assert_all_settled();
    assert_eq!(world.state(&part).await, "proved");
}

#[tokio::test]
async fn tree_whose_root_is_lost_is_rebuilt() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", SUPPLIER));
    let part = relayer.serve(&mut world, "supplier1", "app1", 7).await;
    world.until_taken_in().await;
    miner.crash();
    let (supplier, session) = (part.supplier.parse().unwrap(), part.session.as_str().into());
    world
        .delete(&world.store.keys().tree_live_root(&supplier, &session))
        .await;
    let _miner = world.miner("two", SUPPLIER);
    world.walk_to_settlement().await;
    world.assert_all_settled();
}

#[tokio::test]
async fn relays_of_a_wrong_weight_are_weighed_again_before_they_are_claimed() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", SUPPLIER));
    let header = session(&world, "app1");
    // The relayer's word is taken while the chain is away.
    world.shut_chain();
    let relays = relayer.mine(&header, "supplier1", "app1", 5);
    let part = Relayer::remember(&mut world, &header, "supplier1", &relays);
    let wrong: Vec<_> = relays
        .into_iter()
        .map(|relay| MinedRelayMessage {
            compute_units_per_relay: 77,
            ..relay
        })
        .collect();
    relayer.append_relays("supplier1", &wrong).await;
    world.until_taken_in().await;
    assert_eq!(world.record(&part).await.unwrap().compute_units.0, 5 * 77);
    world.open_chain();
    world.walk_to_settlement().await;
    world.assert_all_settled();
    assert_eq!(miner.counted("trees_rebuilt_total", &["other_root"]), 1);
}

fn is_leaf(node: &[u8]) -> bool {
    node[0] == 0
}
