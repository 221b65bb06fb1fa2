//! Several miners on one Redis.

use std::time::Duration;

use pocket_store::{LeaseKind, StreamConsumer};

use crate::world::{World, address};

const BOTH: &[&str] = &["supplier1", "supplier2"];

#[tokio::test]
async fn newcomer_gets_its_share_and_inherits_the_rest_of_one_that_dies() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let old = world.miner("old", BOTH);
    for supplier in BOTH {
        world.until_owned(supplier, "old").await;
        relayer.serve(&mut world, supplier, "app1", 3).await;
    }
    let _new = world.miner("new", BOTH);
    world
        .until("each has one supplier", || async {
            let owners = [world.owner("supplier1").await, world.owner("supplier2").await];
            owners.contains(&Some("old".to_owned())) && owners.contains(&Some("new".to_owned()))
        })
        .await;
    for supplier in BOTH {
        relayer.serve(&mut world, supplier, "app1", 3).await;
    }
    old.crash();
    for supplier in BOTH {
        relayer.serve(&mut world, supplier, "app1", 3).await;
    }
    for supplier in BOTH {
        world.until_owned(supplier, "new").await;
    }
    world.walk_to_settlement().await;
    world.assert_all_settled();
    world.assert_each_claimed_once();
}

#[tokio::test]
async fn owner_that_lost_its_lease_writes_nothing() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    // It renews so seldom that it does not notice by itself.
    let old = world.miner_with("old", &["supplier1"], |settings| {
        settings.renew_interval = Duration::from_mins(5);
        settings.lease_ttl = Duration::from_mins(5);
    });
    world.until_owned("supplier1", "old").await;
    let supplier = address("supplier1");
    let kind = LeaseKind::Supplier(supplier.clone());
    world.delete(&world.store.keys().supplier_lease(&supplier)).await;
    let lease = world.store.acquire(&kind, "thief", Duration::from_mins(5)).await;
    let lease = lease.unwrap().unwrap();

    let part = relayer.serve(&mut world, "supplier1", "app1", 4).await;
    world
        .until("the old owner learns that it is none", || async {
            old.counted("leases_lost_total", &[]) == 1
        })
        .await;
    relayer.serve(&mut world, "supplier1", "app1", 1).await;
    assert_eq!(world.record(&part).await, None);
    assert_eq!(world.nodes(&part).await, []);
    assert_eq!(world.store.stream_length(&supplier).await.unwrap(), 5);

    old.crash();
    world.store.release(&lease).await.unwrap();
    let _new = world.miner("new", &["supplier1"]);
    world.walk_to_settlement().await;
    world.assert_all_settled();
}

#[tokio::test]
async fn relays_that_a_former_owner_read_late_are_not_sealed_out() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let _miner = world.miner_with("owner", &["supplier1"], |settings| settings.batch = 1);
    world.until_owned("supplier1", "owner").await;
    // It reads one at a time, so that the former owner gets some.
    let mut former = StreamConsumer::new(world.store.clone(), "former", Duration::from_millis(1));
    let mut stolen = 0;
    while stolen == 0 {
        relayer.serve(&mut world, "supplier1", "app1", 20).await;
        let read = former.read(&[address("supplier1")], 100).await.unwrap();
        stolen = read.iter().map(|(_, batch)| batch.len()).sum();
    }
    world.devnet.advance_to(6);
    world.walk_to_settlement().await;
    world.assert_all_settled();
}
