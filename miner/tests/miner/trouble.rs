//! Redis, the chain or the mempool out of reach.

use crate::world::{Relayer, World};

#[tokio::test]
async fn redis_that_is_away_for_a_while_loses_no_relay() {
    let mut world = World::durable().await;
    let (mut relayer, _miner) = (world.relayer(), world.miner("one", &["supplier1"]));
    let part = relayer.serve(&mut world, "supplier1", "app1", 3).await;
    world.until_taken_in().await;
    let header = crate::world::session(&world, "app1");
    for _ in 0..2 {
        let relays = relayer.mine(&header, "supplier1", "app1", 3);
        Relayer::remember(&mut world, &header, "supplier1", &relays);
        world.stop_redis();
        tokio::join!(relayer.append_relays("supplier1", &relays), world.start_redis());
    }
    world.devnet.advance_to(6);
    world.until_sent().await;
    world.stop_redis();
    world.devnet.advance(1);
    world.start_redis().await;
    world.walk_to_settlement().await;
    world.assert_all_settled();
    assert_eq!(world.record(&part).await.unwrap().relays, 9);
}

#[tokio::test]
async fn chain_that_is_away_for_some_blocks_costs_nothing() {
    let mut world = World::new().await;
    let (mut relayer, _miner) = (world.relayer(), world.miner("one", &["supplier1"]));
    world.shut_chain();
    relayer.serve(&mut world, "supplier1", "app1", 3).await;
    world.until_taken_in().await;
    world.devnet.advance_to(7);
    world.open_chain();
    world.until_sent().await;
    world.shut_chain();
    world.devnet.advance_to(11);
    world.open_chain();
    world.walk_to_settlement().await;
    world.assert_all_settled();
    world.assert_each_claimed_once();
}

#[tokio::test]
async fn full_mempool_is_tried_again_at_the_same_height() {
    let mut world = World::new().await;
    let (mut relayer, _miner) = (world.relayer(), world.miner("one", &["supplier1"]));
    relayer.serve(&mut world, "supplier1", "app1", 3).await;
    world.until_taken_in().await;
    world.devnet.refuse_next(2);
    world.devnet.advance_to(6);
    world.until_sent().await;
    world.walk_to_settlement().await;
    world.assert_all_settled();
}
