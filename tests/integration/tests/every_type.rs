//! Each kind of relay, from its signature to its settled proof on the devnet.

mod common;

use common::{devnet, play};
use pocket_client::Mode;
use pocket_demo::{Plan, Stage, World};
use pocket_devnet::Localnet;
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread")]
async fn answered_relays_of_every_type_are_claimed_and_proven() {
    let genesis = Localnet {
        suppliers: 1,
        ..Localnet::default()
    };
    let chain = devnet(&genesis).await;
    let world = World::devnet(&chain, 1).asking(Mode::ALL);
    let stage = Stage::start(world).await.unwrap();
    let plan = Plan {
        relays: 120,
        sessions: 1,
    };
    let finale = play(&stage, plan, &watch::Sender::default()).await;
    stage.stop().await;
    chain.shutdown().await;

    let scene = finale.last;
    scene.tally.check().unwrap();
    assert_eq!((scene.tally.refused, scene.tally.slashed), (0, 0));
    assert_eq!((scene.tally.answered, scene.tally.mined), (120, 120));
    let types: Vec<_> = scene.by_type.keys().copied().collect();
    // Streams are counted with REST.
    assert_eq!(
        types,
        [Mode::JsonRpc, Mode::Rest, Mode::CometBft, Mode::WebSocket, Mode::Grpc]
    );
    for (mode, tally) in &scene.by_type {
        assert!(tally.answered > 0 && tally.proofs_required > 0, "{mode}");
        assert_eq!(tally.answered, tally.claimed, "{mode}");
        assert_eq!(tally.proofs_accepted, tally.claims_accepted, "{mode}");
    }
    assert!(scene.by_type[&Mode::Rest].streams > 0);
    // More than one answer to some requests.
    assert!(scene.by_type[&Mode::WebSocket].answered > scene.by_type[&Mode::JsonRpc].answered);
}
