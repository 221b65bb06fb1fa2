//! Blocks that the fleet's leader tells on Redis.

use std::time::Duration;

use futures::StreamExt;
use pocket_proto::pocket::shared::Params;
use pocket_store::{BlockEvent, ServiceFactors};
use prost::Message as _;
use redis::aio::PubSub;

use crate::world::World;

#[tokio::test]
async fn each_newest_block_is_told_to_the_fleet_with_its_hash() {
    let world = World::new().await;
    let mut told = world.told_blocks().await;
    let _miner = world.miner("leader", &["supplier1"]);
    let first = next(&mut told).await;
    assert!(first.height.0 <= world.devnet.height());
    let height = world.devnet.advance(1);
    let block = until_height(&mut told, height).await;
    let chain = world.chain_block(height).await;
    assert_eq!(block, BlockEvent::new(chain.height, &chain.hash, chain.time));
}

#[tokio::test]
async fn another_miner_tells_blocks_when_the_leader_is_gone() {
    let world = World::new().await;
    let mut told = world.told_blocks().await;
    let leader = world.miner("first", &["supplier1"]);
    next(&mut told).await;
    let _other = world.miner("second", &["supplier1"]);
    leader.crash();
    world
        .until("the other leads", || async {
            world.leader().await.as_deref() == Some("second")
        })
        .await;
    let height = world.devnet.advance(1);
    until_height(&mut told, height).await;
}

#[tokio::test]
async fn leader_that_stops_gives_its_lease_back() {
    let world = World::new().await;
    let miner = world.miner_with("leader", &["supplier1"], |settings| {
        settings.lease_ttl = Duration::from_mins(5);
    });
    world
        .until("it leads", || async { world.leader().await.is_some() })
        .await;
    miner.stop().await;
    assert_eq!(world.leader().await, None);
}

#[tokio::test]
async fn leader_tells_relayers_the_service_factors() {
    let world = World::new().await;
    let factors = ServiceFactors {
        default: Some(0.5),
        by_service: [("svc-http".to_owned(), 2.0)].into(),
    };
    let of_leader = factors.clone();
    let _miner = world.miner_with("leader", &["supplier1"], |settings| {
        settings.service_factors = of_leader;
    });
    world
        .until("the factors are told", || async {
            world.store.service_factors(["svc-http"]).await.unwrap() == factors
        })
        .await;
}

#[tokio::test]
async fn leader_tells_relayers_the_shared_parameters() {
    let world = World::new().await;
    let keys = world.store.keys();
    let mut forget = world.listen(&keys.shared_params_updates()).await;
    let _miner = world.miner("leader", &["supplier1"]);
    let told = tokio::time::timeout(Duration::from_secs(20), forget.on_message().next()).await;
    let payload: String = told.expect("parameters are told").unwrap().get_payload().unwrap();
    assert_eq!(payload, "{}");
    let params = Params::decode(world.value(&keys.shared_params()).await).unwrap();
    assert_eq!(params.num_blocks_per_session, 4);
}

async fn next(told: &mut PubSub) -> BlockEvent {
    let message = tokio::time::timeout(Duration::from_secs(20), told.on_message().next()).await;
    let text: String = message.expect("a block is told").unwrap().get_payload().unwrap();
    serde_json::from_str(&text).unwrap()
}

async fn until_height(told: &mut PubSub, height: i64) -> BlockEvent {
    loop {
        let block = next(told).await;
        if block.height.0 >= height {
            return block;
        }
    }
}
