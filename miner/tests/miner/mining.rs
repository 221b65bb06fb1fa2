//! From relays to settled claims.

use crate::world::World;

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
    for part in world.served.keys() {
        let record = world.record(part).await.unwrap();
        assert_eq!(
            (record.state.as_str(), record.settlement.as_deref()),
            ("proved", Some("settled_proven"))
        );
    }
    assert_eq!(miner.counted("relays_claimed_total", &[]), 10);
    miner.stop().await;
}
