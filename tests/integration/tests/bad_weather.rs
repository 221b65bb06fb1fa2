//! What is missing for a while costs no answered relay, and what was not answered is not mined.

mod common;

use common::{devnet, play};
use pocket_client::{BackendCall, Mode, RelayError};
use pocket_demo::{Plan, Scene, Stage, World};
use pocket_devnet::{Devnet, Localnet};
use pocket_integration::Gate;
use pocket_protocol::Height;
use tokio::sync::watch;

/// The scene that is the first to satisfy the condition.
async fn scene(scenes: &watch::Sender<Option<Scene>>, is_it: impl Fn(&Scene) -> bool) -> Scene {
    let mut scenes = scenes.subscribe();
    let found = scenes
        .wait_for(|scene| scene.as_ref().is_some_and(&is_it))
        .await
        .unwrap();
    found.clone().expect("the condition holds for a scene only")
}

async fn block(chain: &Devnet, height: i64) {
    let mut blocks = chain.subscribe();
    while chain.height() < height {
        blocks.recv().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_answered_while_redis_is_away_are_claimed() {
    let genesis = Localnet {
        suppliers: 2,
        ..Localnet::default()
    };
    let chain = devnet(&genesis).await;
    let stage = Stage::start(World::devnet(&chain, 2)).await.unwrap();
    let scenes = watch::Sender::default();
    let weather = async {
        scene(&scenes, |scene| scene.tally.mined >= 20).await;
        let port = stage.kill_redis().unwrap();
        let before = scene(&scenes, |_| true).await.tally;
        // Served from memory, kept there until Redis is back.
        scene(&scenes, |scene| scene.tally.answered >= before.answered + 20).await;
        stage.revive_redis(port).await.unwrap();
    };
    let plan = Plan {
        relays: 200,
        sessions: 2,
    };
    let (finale, ()) = tokio::join!(play(&stage, plan, &scenes), weather);
    stage.stop().await;
    chain.shutdown().await;

    let tally = finale.last.tally;
    tally.check().unwrap();
    assert_eq!((tally.answered, tally.mined), (200, 200));
    assert_eq!(tally.slashed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_made_in_time_although_the_chain_was_away() {
    let genesis = Localnet {
        suppliers: 2,
        // Room for the outage: what the chain does not hear in time it does not pay.
        claim_window: 10,
        ..Localnet::default()
    };
    let chain = devnet(&genesis).await;
    let (rpc, grpc) = (
        Gate::to(&chain.rpc_url()).await.unwrap(),
        Gate::to(&chain.grpc_url()).await.unwrap(),
    );
    let stage = Stage::start(World::localnet(rpc.url(), grpc.url(), 2)).await.unwrap();
    let scenes = watch::Sender::default();
    let weather = async {
        // Away when the first session ends and its claim window opens.
        block(&chain, 9).await;
        rpc.shut();
        grpc.shut();
        block(&chain, 13).await;
        rpc.open();
        grpc.open();
    };
    let plan = Plan {
        relays: 100,
        sessions: 1,
    };
    let (finale, ()) = tokio::join!(play(&stage, plan, &scenes), weather);
    stage.stop().await;
    chain.shutdown().await;

    let tally = finale.last.tally;
    tally.check().unwrap();
    assert_eq!(tally.answered, tally.mined);
    assert_eq!((tally.expired, tally.slashed), (0, 0));
}

/// A chain node of which there are several: both of its doors can be shut.
struct Doors {
    rpc: Gate,
    grpc: Gate,
}

impl Doors {
    async fn of(chain: &Devnet) -> Self {
        Self {
            rpc: Gate::to(&chain.rpc_url()).await.unwrap(),
            grpc: Gate::to(&chain.grpc_url()).await.unwrap(),
        }
    }

    fn shut(&self) {
        self.rpc.shut();
        self.grpc.shut();
    }

    fn open(&self) {
        self.rpc.open();
        self.grpc.open();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chain_node_that_dies_in_mid_session_costs_nothing_while_another_lives() {
    let genesis = Localnet {
        suppliers: 2,
        ..Localnet::default()
    };
    let chain = devnet(&genesis).await;
    let (one, other) = (Doors::of(&chain).await, Doors::of(&chain).await);
    let urls = |of: fn(&Doors) -> &Gate| format!("{},{}", of(&one).url(), of(&other).url());
    let world = World::localnet(urls(|node| &node.rpc), urls(|node| &node.grpc), 2);
    let stage = Stage::start(world).await.unwrap();
    let scenes = watch::Sender::default();
    let weather = async {
        scene(&scenes, |scene| scene.tally.mined >= 20).await;
        one.shut();
        // The feed goes on, relays are answered, and the session that ends now is claimed through the other node.
        let seen = Height(chain.height() + 3);
        stage
            .feed()
            .subscribe()
            .wait_for(|block| block.height >= seen)
            .await
            .unwrap();
        scene(&scenes, |scene| scene.tally.mined >= 120).await;
        one.open();
        other.shut();
    };
    let plan = Plan {
        relays: 200,
        sessions: 2,
    };
    let (finale, ()) = tokio::join!(play(&stage, plan, &scenes), weather);
    stage.stop().await;
    chain.shutdown().await;

    let tally = finale.last.tally;
    tally.check().unwrap();
    assert_eq!((tally.answered, tally.mined), (200, 200));
    assert_eq!((tally.expired, tally.slashed), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn relay_that_a_dead_backend_failed_is_not_claimed() {
    let genesis = Localnet {
        suppliers: 1,
        ..Localnet::default()
    };
    let chain = devnet(&genesis).await;
    let stage = Stage::start(World::devnet(&chain, 1)).await.unwrap();
    let client = stage.client().unwrap();
    let payload = BackendCall::usual(Mode::JsonRpc).payload();
    for _ in 0..3 {
        client.relay(&payload).await.unwrap();
    }
    let end = client.sessions().current().await.unwrap().end();
    stage.stop_backend();
    for _ in 0..3 {
        let refused = client.relay(&payload).await.unwrap_err();
        let RelayError::Refused { status, body } = refused else {
            panic!("{refused}");
        };
        assert_eq!((status, body.as_str()), (502, r#"{"error":"backend error"}"#));
    }

    let mut observer = pocket_demo::Observer::new(stage.chain().clone(), Height(1));
    let params = stage.chain().shared_params().await.unwrap();
    let settlement = pocket_protocol::Windows::of(&params, end).settlement();
    block(&chain, settlement.0).await;
    observer.read_to(settlement).await.unwrap();
    assert_eq!(stage.mined().await.unwrap(), 3);
    stage.stop().await;
    chain.shutdown().await;
    let claimed: Vec<u64> = observer.ledger().claims().map(|(_, claim)| claim.relays).collect();
    assert_eq!(claimed.iter().sum::<u64>(), 3, "{claimed:?}");
}
