//! When a session is sealed.

use std::time::Duration;

use crate::world::World;

#[tokio::test]
async fn sealing_waits_for_the_relayers_and_takes_their_last_relays() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", &["supplier1"]));
    relayer.tell_open_from(1, 1).await;
    let part = relayer.serve(&mut world, "supplier1", "app1", 2).await;
    let header = crate::world::session(&world, "app1");
    world.devnet.advance_to(6);
    world.until_seen_by(&miner).await;
    for _ in 0..3 {
        relayer.serve_in(&mut world, &header, "supplier1", "app1", 2).await;
        world.until_taken_in().await;
    }
    assert_eq!(world.state(&part).await, "active");
    relayer.serve_in(&mut world, &header, "supplier1", "app1", 2).await;
    relayer.tell_open_from(6, 5).await;
    world.walk_to_settlement().await;
    world.assert_all_settled();
    assert_eq!(world.record(&part).await.unwrap().relays, 10);
}

#[tokio::test]
async fn silent_relayer_does_not_make_a_claim_miss_its_window() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", &["supplier1"]));
    relayer.tell_open_from(1, 1).await;
    relayer.serve(&mut world, "supplier1", "app1", 2).await;
    world.until_taken_in().await;
    world.devnet.advance_to(7);
    world.until_seen_by(&miner).await;
    world.devnet.advance_to(8);
    world.until_sent().await;
    world.walk_to_settlement().await;
    world.assert_all_settled();
}

#[tokio::test]
async fn relay_that_comes_after_sealing_is_acknowledged_and_told() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", &["supplier1"]));
    let part = relayer.serve(&mut world, "supplier1", "app1", 2).await;
    let header = crate::world::session(&world, "app1");
    world.walk_to(7).await;
    let late = relayer.mine(&header, "supplier1", "app1", 1);
    relayer.append_relays("supplier1", &late).await;
    world.until_taken_in().await;
    assert_eq!(miner.counted("relays_rejected_total", &["sealed"]), 1);
    world.walk_to_settlement().await;
    world.assert_all_settled();
    assert_eq!(world.record(&part).await.unwrap().relays, 2);
}

#[tokio::test]
async fn miner_that_starts_after_an_outage_waits_for_relayers_to_speak_again() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let part = relayer.serve(&mut world, "supplier1", "app1", 2).await;
    let header = crate::world::session(&world, "app1");
    // While Redis was away the relayer's last word expired, and the miner that knew of it died.
    relayer.tell_for(1, 1, Duration::from_millis(1)).await;
    world.devnet.advance_to(6);
    let miner = world.miner("one", &["supplier1"]);
    world.until_seen_by(&miner).await;
    for _ in 0..3 {
        relayer.serve_in(&mut world, &header, "supplier1", "app1", 2).await;
        world.until_taken_in().await;
    }
    assert_eq!(world.state(&part).await, "active");
    relayer.tell_open_from(6, 5).await;
    world.walk_to_settlement().await;
    world.assert_all_settled();
    assert_eq!(world.record(&part).await.unwrap().relays, 8);
}
