//! A miner that dies at any stage, and another that takes over, end with the same claim and proof.

use crate::world::{Part, Relayer, World};

const SUPPLIER: &[&str] = &["supplier1"];

/// A world with relays of one session in it.
async fn served() -> (World, Relayer, Part) {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let part = relayer.serve(&mut world, "supplier1", "app1", 5).await;
    (world, relayer, part)
}

async fn assert_settled(world: &World) {
    world.walk_to_settlement().await;
    world.assert_all_settled();
    for part in world.served.keys() {
        assert_eq!(world.state(part).await, "proved");
    }
}

#[tokio::test]
async fn miner_that_dies_after_some_commits_loses_no_relay() {
    let (mut world, mut relayer, _) = served().await;
    let miner = world.miner_with("one", SUPPLIER, |settings| settings.batch = 2);
    world.until_taken_in().await;
    miner.crash();
    relayer.serve(&mut world, "supplier1", "app1", 4).await;
    let miner = world.miner("two", SUPPLIER);
    world
        .until("a relay is in the tree", || async {
            miner.counted("relays_added_to_smst_total", &[]) > 0
        })
        .await;
    miner.crash();
    relayer.serve(&mut world, "supplier1", "app1", 4).await;
    let _miner = world.miner("three", SUPPLIER);
    assert_settled(&world).await;
    world.assert_each_claimed_once();
}

#[tokio::test]
async fn miner_that_dies_after_sealing_is_followed_by_the_same_claim() {
    let (world, _relayer, part) = served().await;
    let miner = world.miner("one", SUPPLIER);
    world.until_taken_in().await;
    world.devnet.refuse_next(1_000_000);
    world.devnet.advance_to(6);
    world.until_state(&part, &["claiming"]).await;
    miner.crash();
    world.devnet.refuse_next(0);
    let _miner = world.miner("two", SUPPLIER);
    assert_settled(&world).await;
    world.assert_each_claimed_once();
}

#[tokio::test]
async fn claim_that_waits_for_a_block_when_its_miner_dies_is_proven() {
    let (world, _relayer, _) = served().await;
    let miner = world.miner("one", SUPPLIER);
    world.until_taken_in().await;
    world.devnet.advance_to(6);
    world.until_sent().await;
    miner.crash();
    let _miner = world.miner("two", SUPPLIER);
    assert_settled(&world).await;
}

#[tokio::test]
async fn claim_that_is_included_while_no_miner_lives_is_not_sent_again() {
    let (world, _relayer, _) = served().await;
    let miner = world.miner("one", SUPPLIER);
    world.until_taken_in().await;
    world.devnet.advance_to(6);
    world.until_sent().await;
    miner.crash();
    world.devnet.advance(1);
    let _miner = world.miner("two", SUPPLIER);
    assert_settled(&world).await;
    world.assert_each_claimed_once();
}

#[tokio::test]
async fn claim_is_found_on_chain_after_its_window() {
    let (world, _relayer, _) = served().await;
    let miner = world.miner("one", SUPPLIER);
    world.until_taken_in().await;
    world.devnet.advance_to(6);
    world.until_sent().await;
    miner.crash();
    world.devnet.advance_to(11);
    let _miner = world.miner("two", SUPPLIER);
    assert_settled(&world).await;
    world.assert_each_claimed_once();
}

#[tokio::test]
async fn miner_that_dies_after_its_claim_is_included_is_followed_by_the_proof() {
    let (world, _relayer, part) = served().await;
    let miner = world.miner("one", SUPPLIER);
    world.until_taken_in().await;
    world.walk_to(7).await;
    world.until_state(&part, &["claimed"]).await;
    miner.crash();
    let _miner = world.miner("two", SUPPLIER);
    assert_settled(&world).await;
    world.assert_each_claimed_once();
}

#[tokio::test]
async fn proof_that_is_included_while_no_miner_lives_is_not_sent_again() {
    let (world, _relayer, part) = served().await;
    let miner = world.miner("one", SUPPLIER);
    world.until_taken_in().await;
    world.walk_to(10).await;
    world.until_state(&part, &["proving"]).await;
    world.until_sent().await;
    miner.crash();
    world.devnet.advance(1);
    let _miner = world.miner("two", SUPPLIER);
    assert_settled(&world).await;
    assert_eq!(world.events("EventProofSubmitted").len(), 1);
}

#[tokio::test]
async fn settlement_that_no_miner_saw_is_read_from_its_block() {
    let (world, _relayer, part) = served().await;
    let miner = world.miner("one", SUPPLIER);
    world.until_taken_in().await;
    world.walk_to(10).await;
    world.until_state(&part, &["proving"]).await;
    world.until_sent().await;
    miner.crash();
    world.devnet.advance_to(20);
    let _miner = world.miner("two", SUPPLIER);
    assert_settled(&world).await;
    let record = world.record(&part).await.unwrap();
    assert_eq!(record.settlement.as_deref(), Some("settled_proven"));
    assert_eq!(record.settlement_height.unwrap(), world.windows(&part).settlement());
}

#[tokio::test]
async fn miner_that_is_stopped_hands_over_at_once() {
    let (mut world, mut relayer, part) = served().await;
    for (height, name) in [(2, "one"), (6, "two"), (8, "three"), (10, "four")] {
        let miner = world.miner(name, SUPPLIER);
        world.until_owned("supplier1", name).await;
        world.until_taken_in().await;
        if height < 4 {
            relayer.serve(&mut world, "supplier1", "app1", 1).await;
        }
        world.walk_to(height).await;
        miner.stop().await;
        assert_eq!(world.owner("supplier1").await, None);
    }
    let _miner = world.miner("five", SUPPLIER);
    assert_settled(&world).await;
    assert_eq!(world.record(&part).await.unwrap().relays, 6);
}
