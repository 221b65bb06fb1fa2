//! The devnet as these tests want it, and a run that tells them how far it is.

use std::time::Duration;

use pocket_demo::{Finale, Plan, Scene, Stage, run};
use pocket_devnet::{Devnet, DevnetConfig, Localnet};
use tokio::sync::watch;

/// A block as fast as a busy machine can follow.
pub const BLOCK_TIME: Duration = Duration::from_millis(400);

/// A devnet that makes blocks by itself.
pub async fn devnet(genesis: &Localnet) -> Devnet {
    let config = DevnetConfig {
        genesis: genesis.genesis(),
        block_time: Some(BLOCK_TIME),
        ..DevnetConfig::default()
    };
    Devnet::start(config).await.unwrap()
}

/// Runs the plan to its end; `scenes` follows it.
pub async fn play(stage: &Stage, plan: Plan, scenes: &watch::Sender<Option<Scene>>) -> Finale {
    let show = |scene: &Scene| {
        scenes.send_replace(Some(scene.clone()));
    };
    run(stage, plan, show).await.unwrap()
}
