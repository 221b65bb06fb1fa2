//! What a miner tells of itself.

use pocket_devnet::Actor;
use pocket_status::{Cause, MinerStatus, Risk, Session, Severity, Step};

use crate::world::{RunningMiner, World};

/// The status once it is as wanted: workers tell once a second.
async fn told(
    world: &World,
    miner: &RunningMiner,
    what: &str,
    is_wanted: impl Fn(&MinerStatus) -> bool,
) -> MinerStatus {
    world.until(what, || async { is_wanted(&miner.status()) }).await;
    miner.status()
}

fn session(status: &MinerStatus) -> Option<&Session> {
    status.sessions.first()
}

fn risk(status: &MinerStatus, cause: Cause) -> Option<&Risk> {
    status.risks.iter().find(|risk| risk.cause == cause)
}

#[tokio::test]
async fn session_is_told_from_its_relays_to_its_settlement_with_what_it_earns() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", &["supplier1", "supplier2"]));
    let part = relayer.serve(&mut world, "supplier1", "app1", 3).await;
    let status = told(&world, &miner, "the session is told", |status| {
        session(status).is_some_and(|session| session.relays == 3 && session.expected_upokt.is_some())
            && status.totals.relays_history.iter().sum::<u64>() == 3
    })
    .await;
    let open = session(&status).unwrap().clone();
    assert_eq!(
        (&*open.session, &*open.service, &*open.state),
        (&*part.session, "svc-http", "active")
    );
    assert_eq!((open.compute_units, open.end, open.windows), (300, part.end, None));
    let next = open.next.unwrap();
    assert_eq!(
        (next.step, next.height, next.blocks_left),
        (Step::SessionEnds, 4, 4 - world.devnet.height())
    );
    let expected = open.expected_upokt.unwrap();
    assert!(expected > 0);
    assert_eq!(status.totals.expected_upokt, expected);
    assert_eq!((status.totals.at_risk_upokt, open.risk), (0, None));
    assert_eq!(status.totals.relays, 3);
    assert_eq!((&*status.instance, status.leader), ("one", true));
    let owned: Vec<_> = status
        .suppliers
        .iter()
        .map(|supplier| (supplier.owned, supplier.sessions))
        .collect();
    assert_eq!(owned.iter().filter(|supplier| **supplier == (true, 1)).count(), 1);
    assert_eq!(owned.iter().filter(|supplier| **supplier == (true, 0)).count(), 1);

    world.walk_to(7).await;
    let status = told(&world, &miner, "the claim is told", |status| {
        session(status).is_some_and(|session| session.state == "claimed")
    })
    .await;
    let claimed = session(&status).unwrap();
    assert_eq!(claimed.next.unwrap().step, Step::ProofOpens);
    assert_eq!(claimed.windows.unwrap().claim_open, 6);
    assert!(claimed.claim_tx.is_some());

    world.walk_to_settlement().await;
    let status = told(&world, &miner, "the settlement is told", |status| {
        !status.ends.is_empty()
    })
    .await;
    let end = &status.ends[0];
    assert_eq!(
        (&*end.session, &*end.settlement, end.relays),
        (&*part.session, "settled_proven", 3)
    );
    // What the chain paid for is what was expected.
    assert_eq!(end.upokt, Some(expected));
    // The supplier's part of it, by the chain's parameters.
    let totals = &status.totals;
    assert_eq!(
        (totals.claims, totals.proofs, totals.failed, totals.earned_upokt),
        (1, 1, 0, expected * 7 / 10)
    );
    told(&world, &miner, "the session is gone", |status| {
        status.sessions.is_empty()
    })
    .await;
    miner.stop().await;
}

#[tokio::test]
async fn ended_sessions_are_told_after_a_restart_too() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", &["supplier1"]));
    relayer.serve(&mut world, "supplier1", "app1", 2).await;
    world.walk_to_settlement().await;
    let before = told(&world, &miner, "the settlement is told", |status| {
        !status.ends.is_empty()
    })
    .await;
    miner.stop().await;
    let miner = world.miner("two", &["supplier1"]);
    let after = told(&world, &miner, "the settlement is told again", |status| {
        status.ends.first().is_some_and(|end| end.upokt.is_some())
    })
    .await;
    assert_eq!(after.ends, before.ends);
}

#[tokio::test]
async fn claim_that_cannot_be_sent_is_a_risk_and_then_a_loss() {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let miner = world.miner_with("one", &["supplier1"], |settings| settings.refused.claims = true);
    let part = relayer.serve(&mut world, "supplier1", "app1", 2).await;
    world.until_taken_in().await;
    world.devnet.advance_to(6);
    let status = told(&world, &miner, "the failing claim is told", |status| {
        risk(status, Cause::NotClaimed).is_some() && status.totals.at_risk_upokt > 0
    })
    .await;
    let failing = risk(&status, Cause::NotClaimed).unwrap();
    assert_eq!(
        (failing.severity, failing.session.as_deref()),
        (Severity::Warning, Some(&*part.session))
    );
    assert!(
        failing.text.starts_with("claim window closes in 4 blocks") && failing.text.contains("test switch"),
        "{}",
        failing.text
    );
    assert_eq!(status.totals.at_risk_upokt, status.totals.expected_upokt);
    assert_eq!(session(&status).unwrap().risk, Some(Severity::Warning));
    world.devnet.advance_to(9);
    told(&world, &miner, "it is critical", |status| {
        risk(status, Cause::NotClaimed).is_some_and(|risk| risk.severity == Severity::Critical)
    })
    .await;
    world.devnet.advance_to(11);
    let status = told(&world, &miner, "the loss is told", |status| {
        risk(status, Cause::Lost).is_some()
    })
    .await;
    assert_eq!(status.totals.expected_upokt, 0);
    assert_eq!(session(&status).unwrap().state, "claim_window_closed");
}

#[tokio::test]
async fn session_that_waits_for_a_relayer_names_it() {
    let mut world = World::new().await;
    let (mut relayer, miner) = (world.relayer(), world.miner("one", &["supplier1"]));
    relayer.tell_open_from(1, 1).await;
    relayer.serve(&mut world, "supplier1", "app1", 2).await;
    world.until_taken_in().await;
    world.devnet.advance_to(7);
    let status = told(&world, &miner, "the wait is told", |status| {
        risk(status, Cause::NotSealed).is_some_and(|risk| risk.text.contains("relayer relayer"))
    })
    .await;
    assert_eq!(
        (&*status.relayers[0].instance, status.relayers[0].live),
        ("relayer", true)
    );
    assert_eq!(status.relayers[0].open_from, Some(1));
}

#[tokio::test]
async fn miner_is_ready_when_it_knows_the_height_and_redis_answers() {
    let mut world = World::durable().await;
    world.shut_chain();
    let miner = world.miner("one", &["supplier1"]);
    let status = told(&world, &miner, "Redis has answered", |status| status.redis.reachable).await;
    assert_eq!(status.not_ready, ["no block of the chain was seen yet"]);
    assert!(!status.ready);
    world.open_chain();
    told(&world, &miner, "it is ready", |status| status.ready).await;
    world.stop_redis();
    let status = told(&world, &miner, "it is not ready", |status| !status.ready).await;
    assert!(
        status.not_ready[0].starts_with("Redis does not answer: "),
        "{:?}",
        status.not_ready
    );
    assert_eq!(risk(&status, Cause::Redis).unwrap().severity, Severity::Critical);
    world.start_redis().await;
    told(&world, &miner, "it is ready again", |status| status.ready).await;
}

#[tokio::test]
async fn balance_too_low_for_fees_is_a_risk() {
    let world = World::new().await;
    let supplier = Actor::named("supplier1").address;
    let balance = world.devnet.balance(&supplier);
    let miner = world.miner_with("one", &["supplier1"], |settings| {
        settings.watch.accounts.enabled = true;
        settings.watch.accounts.balance_threshold = pocket_protocol::Upokt(balance + 1);
    });
    let status = told(&world, &miner, "the balance is told", |status| {
        risk(status, Cause::Balance).is_some()
    })
    .await;
    let low = risk(&status, Cause::Balance).unwrap();
    assert_eq!(
        (low.severity, low.supplier.as_deref()),
        (Severity::Critical, Some(&*supplier))
    );
    let account = status.suppliers[0].balance.as_ref().unwrap();
    assert_eq!((u128::from(account.upokt), &*account.health), (balance, "critical"));
}
