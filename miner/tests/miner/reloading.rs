//! Keys and limits that change while a miner works.

use pocket_devnet::Actor;
use pocket_keys::{KeySet, SigningKey};
use pocket_store::ServiceFactors;

use crate::world::{RunningMiner, World};

fn keys(suppliers: &[&str]) -> KeySet {
    let key = |name: &&str| SigningKey::from_bytes(&Actor::named(name).private_key).unwrap();
    suppliers.iter().map(key).collect()
}

fn reload(miner: &RunningMiner, suppliers: &[&str]) {
    miner.control().reload(keys(suppliers), ServiceFactors::default());
}

#[tokio::test]
async fn relays_of_an_added_key_are_claimed() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let miner = world.miner("miner", &["supplier1"]);
    world.until_owned("supplier1", "miner").await;
    relayer.serve(&mut world, "supplier1", "app1", 3).await;
    // Its relayer had the key first.
    relayer.serve(&mut world, "supplier2", "app1", 3).await;
    reload(&miner, &["supplier1", "supplier2"]);
    world.until_owned("supplier2", "miner").await;
    world.walk_to_settlement().await;
    world.assert_all_settled();
    world.assert_each_claimed_once();
}

#[tokio::test]
async fn open_sessions_of_a_removed_key_are_claimed_and_then_the_supplier_is_left() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let miner = world.miner("miner", &["supplier1", "supplier2"]);
    for supplier in ["supplier1", "supplier2"] {
        world.until_owned(supplier, "miner").await;
        relayer.serve(&mut world, supplier, "app1", 3).await;
    }
    reload(&miner, &["supplier2"]);
    // A relayer that has the key still.
    relayer.serve(&mut world, "supplier1", "app1", 2).await;
    world.walk_to_settlement().await;
    world.assert_all_settled();
    world.assert_each_claimed_once();
    world.devnet.advance(1);
    world
        .until("the supplier is left", || async {
            world.devnet.advance(1);
            world.owner("supplier1").await.is_none()
        })
        .await;
    assert_eq!(world.owner("supplier2").await.as_deref(), Some("miner"));
}

#[tokio::test]
async fn supplier_of_a_removed_key_that_comes_back_is_worked_on() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let miner = world.miner("miner", &["supplier1", "supplier2"]);
    world.until_owned("supplier1", "miner").await;
    relayer.serve(&mut world, "supplier1", "app1", 3).await;
    reload(&miner, &["supplier2"]);
    reload(&miner, &["supplier1", "supplier2"]);
    world.walk_to_settlement().await;
    world.assert_all_settled();
    world.devnet.advance(8);
    world.until_seen_by(&miner).await;
    assert_eq!(world.owner("supplier1").await.as_deref(), Some("miner"));
    relayer.serve(&mut world, "supplier1", "app1", 3).await;
    world.walk_to_settlement().await;
    world.assert_all_settled();
}

#[tokio::test]
async fn another_miner_with_the_key_goes_on_with_the_supplier() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let old = world.miner("old", &["supplier1", "supplier2"]);
    world.until_owned("supplier1", "old").await;
    relayer.serve(&mut world, "supplier1", "app1", 3).await;
    reload(&old, &["supplier2"]);
    let _new = world.miner("new", &["supplier1"]);
    world.walk_to_settlement().await;
    world.assert_all_settled();
    world
        .until("the new miner has it", || async {
            world.devnet.advance(1);
            world.owner("supplier1").await.as_deref() == Some("new")
        })
        .await;
    relayer.serve(&mut world, "supplier1", "app1", 3).await;
    world.walk_to_settlement().await;
    world.assert_all_settled();
    world.assert_each_claimed_once();
}

#[tokio::test]
async fn changed_service_factors_are_told_and_gone_ones_taken_back() {
    let world = World::new().await;
    let factors = |default, service: Option<f64>| ServiceFactors {
        default,
        by_service: service
            .map(|factor| ("svc-http".to_owned(), factor))
            .into_iter()
            .collect(),
    };
    let of_leader = factors(Some(0.5), Some(2.0));
    let miner = world.miner_with("leader", &["supplier1"], |settings| {
        settings.service_factors = of_leader.clone();
    });
    for told in [of_leader.clone(), factors(None, Some(3.0)), factors(Some(0.25), None)] {
        miner.control().reload(keys(&["supplier1"]), told.clone());
        world
            .until("the factors are told", || async {
                world.store.service_factors(["svc-http"]).await.unwrap() == told
            })
            .await;
    }
}
