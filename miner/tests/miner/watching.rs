//! What a miner measures and warns about.

use pocket_devnet::Actor;
use pocket_protocol::Upokt;

use crate::world::World;

#[tokio::test]
async fn balance_and_stake_are_measured_and_a_balance_too_low_for_fees_is_an_alarm() {
    let world = World::new().await;
    let supplier = Actor::named("supplier1").address;
    let balance = world.devnet.balance(&supplier);
    let miner = world.miner_with("watcher", &["supplier1"], |settings| {
        settings.watch.accounts.enabled = true;
        settings.watch.accounts.balance_threshold = Upokt(balance + 1);
    });
    world
        .until("the balance is an alarm", || async {
            miner.counted("supplier_balance_critical_alerts_total", &[&supplier]) > 0
        })
        .await;
    world
        .until("the stake is measured", || async {
            miner.gauge_of("supplier_missed_proofs_left", &supplier).is_some()
        })
        .await;
    assert_eq!(
        miner.gauge_of("supplier_balance_upokt", &supplier),
        Some(balance as i64)
    );
    assert_eq!(miner.gauge_of("supplier_balance_health_status", &supplier), Some(0));
    assert_eq!(miner.gauge_of("supplier_stake_upokt", &supplier), Some(60_000_000_000));
    assert_eq!(miner.counted("supplier_stake_critical_alerts_total", &[&supplier]), 0);
}

#[tokio::test]
async fn key_that_is_not_staked_is_no_reason_to_warn() {
    let world = World::new().await;
    let miner = world.miner_with("watcher", &["stranger", "supplier1"], |settings| {
        settings.watch.accounts.enabled = true;
        settings.watch.accounts.balance_threshold = Upokt(u128::MAX);
    });
    let (stranger, supplier) = (Actor::named("stranger").address, Actor::named("supplier1").address);
    // Two looks at the other: the stranger had its turn between them.
    world
        .until("the supplier is looked at twice", || async {
            miner.counted("supplier_balance_critical_alerts_total", &[&supplier]) > 1
        })
        .await;
    assert_eq!(miner.counted("supplier_balance_critical_alerts_total", &[&stranger]), 0);
    assert_eq!(miner.gauge_of("supplier_balance_upokt", &stranger), None);
}

#[tokio::test]
async fn redis_without_an_append_only_file_is_told_from_one_with() {
    for (world, expected) in [(World::new().await, 0), (World::durable().await, 1)] {
        let miner = world.miner("watcher", &["supplier1"]);
        world
            .until("Redis is looked at", || async {
                miner.gauge("redis_used_memory_bytes") > 0
            })
            .await;
        assert_eq!(miner.gauge("redis_append_only"), expected);
        assert_eq!(miner.gauge("redis_evicts"), 0);
    }
}

#[tokio::test]
async fn blocks_that_come_late_are_counted() {
    let world = World::new().await;
    let miner = world.miner_with("watcher", &["supplier1"], |settings| {
        settings.watch.blocks.enabled = true;
        settings.watch.block_time = std::time::Duration::from_millis(1);
    });
    world.until_seen_by(&miner).await;
    world.devnet.advance(1);
    world
        .until("a late block is counted", || async {
            miner.gauge("fullnode_slow_blocks_consecutive") > 0
        })
        .await;
}
