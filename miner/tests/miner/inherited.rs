//! What a Go relay miner leaves half done is finished. A recorded Redis of one: `rolling_change` of the integration tests.

use pocket_protocol::SessionId;

use crate::world::{Part, World, address};

const SUPPLIER: &[&str] = &["supplier1"];

/// Keys of a part that a Go miner would write.
struct Keys {
    record: String,
    live_root: String,
}

impl Keys {
    fn of(world: &World, part: &Part) -> Self {
        let (supplier, session) = (address("supplier1"), SessionId::from(part.session.as_str()));
        let keys = world.store.keys();
        Self {
            record: keys.session(&supplier, &session),
            live_root: keys.tree_live_root(&supplier, &session),
        }
    }
}

async fn command(world: &World, command: &redis::Cmd) -> redis::Value {
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", world.redis_port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    command.query_async(&mut connection).await.unwrap()
}

/// A session with five relays in its tree, which a miner has left.
async fn left() -> (World, Part, Keys) {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let miner = world.miner("one", SUPPLIER);
    let part = relayer.serve(&mut world, "supplier1", "app1", 2).await;
    world.until_taken_in().await;
    let keys = Keys::of(&world, &part);
    let old_root = command(&world, redis::cmd("GET").arg(&keys.live_root)).await;
    relayer.serve(&mut world, "supplier1", "app1", 3).await;
    world.until_taken_in().await;
    miner.stop().await;
    // As if the root had been written down for the last time then.
    let root: Vec<u8> = redis::from_redis_value(old_root).unwrap();
    command(&world, redis::cmd("SET").arg(&keys.live_root).arg(root)).await;
    (world, part, keys)
}

async fn assert_settled(world: &World) {
    world.walk_to_settlement().await;
    world.assert_all_settled();
    world.assert_each_claimed_once();
}

#[tokio::test]
async fn relays_that_no_root_reaches_are_claimed() {
    let (world, ..) = left().await;
    let _miner = world.miner("two", SUPPLIER);
    assert_settled(&world).await;
}

#[tokio::test]
async fn relays_that_no_root_reaches_are_claimed_with_those_that_come_later() {
    let (mut world, ..) = left().await;
    let mut relayer = world.relayer();
    relayer.serve(&mut world, "supplier1", "app1", 4).await;
    let _miner = world.miner("two", SUPPLIER);
    assert_settled(&world).await;
}

#[tokio::test]
async fn claim_that_was_begun_without_a_root_is_begun_anew() {
    let (world, _, keys) = left().await;
    let mut set = redis::cmd("HSET");
    command(&world, set.arg(&keys.record).arg("state").arg("claiming")).await;
    let _miner = world.miner("two", SUPPLIER);
    assert_settled(&world).await;
}

#[tokio::test]
async fn root_that_is_not_in_the_record_is_found_beside_the_tree() {
    let (world, part, keys) = left().await;
    let miner = world.miner("two", SUPPLIER);
    world.walk_to(7).await;
    world.until_state(&part, &["claimed"]).await;
    miner.stop().await;
    command(&world, redis::cmd("HDEL").arg(&keys.record).arg("claimed_root_hash")).await;
    let _miner = world.miner("three", SUPPLIER);
    assert_settled(&world).await;
}
