use pocket_devnet::Actor;

use crate::world::{World, free_port};

const APPLIED: &str = r#"ha_config_reloads_total{result="applied"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn supplier_of_an_added_key_is_worked_without_a_restart() {
    let world = World::new().await;
    world.write_keys(&["supplier1"]);
    let metrics = free_port();
    let leases = "supplier_claiming: { claim_ttl_seconds: 3, renew_rate_seconds: 1 }\n";
    let config = format!("{}{leases}", world.common(metrics));
    world.write("miner.yaml", &config);
    let miner = world.start("miner", metrics, &[]);
    let (first, second) = (Actor::named("supplier1").address, Actor::named("supplier2").address);
    miner.says(&["supplier is worked here", &first]).await;

    world.write_keys(&["supplier1", "supplier2"]);
    miner.says(&["supplier is worked here", &second]).await;
    miner.shows(APPLIED, 1).await;

    world.write_keys(&["supplier2"]);
    miner.hang_up();
    miner.says(&["operator key removed: it stays in memory", &first]).await;
    miner.shows("ha_keys_supplier_keys_active", 1).await;

    world.write(
        "miner.yaml",
        &config.replace("claim_ttl_seconds: 3", "claim_ttl_seconds: 4"),
    );
    miner
        .says(&["configuration not reloaded", "supplier_claiming cannot change"])
        .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn miner_that_is_told_not_to_follow_files_follows_the_signal() {
    let world = World::new().await;
    world.write_keys(&["supplier1"]);
    let metrics = free_port();
    world.write(
        "miner.yaml",
        &format!("{}hot_reload_enabled: false\n", world.common(metrics)),
    );
    let miner = world.start("miner", metrics, &[]);
    miner.says(&["mining"]).await;
    world.write_keys(&["supplier1", "supplier2"]);
    miner.hang_up();
    miner.shows(APPLIED, 1).await;
    assert!(!miner.said().contains("a file changed"));
    world.end().await;
}
