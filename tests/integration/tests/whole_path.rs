//! From signed relays to settled proofs on the devnet, nothing left out.

mod common;
mod rolling_change;

use common::{devnet, play};
use pocket_demo::{Plan, Stage, World};
use pocket_devnet::Localnet;
use tokio::sync::watch;

#[tokio::test(flavor = "multi_thread")]
async fn every_answered_relay_is_claimed_and_proven() {
    let genesis = Localnet {
        suppliers: 2,
        ..Localnet::default()
    };
    let chain = devnet(&genesis).await;
    let stage = Stage::start(World::devnet(&chain, 2)).await.unwrap();
    let plan = Plan {
        relays: 200,
        sessions: 2,
    };
    let finale = play(&stage, plan, &watch::Sender::default()).await;
    stage.stop().await;
    chain.shutdown().await;

    let tally = finale.last.tally;
    tally.check().unwrap();
    assert_eq!(
        (tally.answered, tally.refused, tally.mined, tally.claimed),
        (200, 0, 200, 200)
    );
    assert!(finale.last.sessions >= 2, "{:?}", finale.progress.by_session());
    // A claim a session for each supplier, every one of them to be proven.
    assert_eq!(tally.claims, 2 * finale.last.sessions);
    assert_eq!(
        (tally.proofs_required, tally.proofs_accepted),
        (tally.claims, tally.claims)
    );
    assert_eq!((tally.expired, tally.discarded, tally.slashed), (0, 0, 0));
    // 100 compute units a relay, 100 upokt a unit, 70 % of it for the supplier.
    assert_eq!(tally.earned.0, 200 * 100 * 100 * 70 / 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_need_no_proof_are_paid_without_one() {
    let genesis = Localnet {
        suppliers: 1,
        proof_probability: 0.0,
        ..Localnet::default()
    };
    let chain = devnet(&genesis).await;
    let stage = Stage::start(World::devnet(&chain, 1)).await.unwrap();
    let plan = Plan {
        relays: 40,
        sessions: 1,
    };
    let finale = play(&stage, plan, &watch::Sender::default()).await;
    stage.stop().await;
    chain.shutdown().await;

    let tally = finale.last.tally;
    tally.check().unwrap();
    assert_eq!((tally.answered, tally.claimed), (40, 40));
    assert_eq!((tally.proofs_required, tally.proofs_accepted), (0, 0));
    assert_eq!((tally.settled, tally.failed_transactions), (tally.claims, 0));
}
