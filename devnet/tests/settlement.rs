//! From claim to pay, or to a slash.

mod world;

use pocket_devnet::chain::Message;
use pocket_devnet::{Actor, Localnet};
use pocket_proto::pocket::proof::ClaimProofStatus;
use pocket_smst::Path;
use world::{World, localnet};

/// In session 1 to 4: claimed in block 6.
fn claimed(localnet: &Localnet) -> (World, world::Work) {
    let mut world = World::new(localnet);
    world.advance_to(1);
    let mut work = world.work("supplier1", 5);
    world.advance_to(5);
    let claim = world.tx("supplier1", &[work.claim()]);
    let results = world.block([claim]);
    assert_eq!(results[0].code, 0, "{}", results[0].log);
    (world, work)
}

fn prove(world: &mut World, work: &mut world::Work) {
    world.advance_to(7);
    let proof = world.tx("supplier1", &[work.proof(&world.chain)]);
    let results = world.block([proof]);
    assert_eq!(results[0].code, 0, "{}", results[0].log);
}

#[test]
fn claim_is_created_with_its_figures() {
    let (world, work) = claimed(&localnet());
    let event = &world.events("EventClaimCreated")[0];
    assert_eq!(event.value("num_relays").as_deref(), Some("5"));
    assert_eq!(event.value("num_claimed_compute_units").as_deref(), Some("500"));
    assert_eq!(event.value("claimed_upokt").as_deref(), Some("50000upokt"));
    assert_eq!(world.claim(&work).unwrap().proof_validation_status, 0);
}

#[test]
fn second_claim_in_the_window_replaces_the_first() {
    let (mut world, work) = claimed(&localnet());
    let first = world.claim(&work).unwrap();
    let mut more = world::Work {
        tree: world.work("supplier1", 2).tree,
        ..work
    };
    let claim = world.tx("supplier1", &[more.claim()]);
    world.block([claim]);
    assert_eq!(world.events("EventClaimUpdated").len(), 1);
    assert_ne!(world.claim(&more).unwrap().root_hash, first.root_hash);
}

#[test]
fn valid_proof_is_paid_for_by_the_application() {
    let (mut world, mut work) = claimed(&localnet());
    prove(&mut world, &mut work);
    let checked = &world.events("EventProofValidityChecked")[0];
    assert_eq!(checked.value("failure_reason").as_deref(), Some(""));
    assert_eq!(
        checked.attributes.last().unwrap(),
        &("mode".to_owned(), "EndBlock".to_owned())
    );
    assert_eq!(
        world.claim(&work).unwrap().proof_validation_status,
        i32::from(ClaimProofStatus::Validated)
    );

    let (before, owner, dao) = (world.balance("supplier1"), world.balance("owner"), world.balance("dao"));
    let supply = world.chain.view().state.bank.supply();
    world.advance_to(10);
    let settled = &world.events("EventClaimSettled")[0];
    assert_eq!(settled.value("settled_upokt").as_deref(), Some("50000upokt"));
    assert_eq!(settled.value("session_id").as_ref(), Some(&work.header.session_id));
    assert_eq!(settled.value("mint_ratio").as_deref(), Some("1"));
    assert_eq!(world.balance("supplier1") - before, 35_000);
    assert_eq!(world.balance("owner") - owner, 7_500);
    assert_eq!(world.balance("dao") - dao, 5_000);
    // What is minted was burnt.
    assert_eq!(world.chain.view().state.bank.supply(), supply);
    let app = &world.chain.view().state.applications[&Actor::named("app1").address];
    assert_eq!(app.stake.as_ref().unwrap().amount, "99999950000");
    assert!(world.claim(&work).is_none());
}

#[test]
fn missing_proof_is_slashed() {
    let (mut world, work) = claimed(&localnet());
    world.advance_to(10);
    let expired = &world.events("EventClaimExpired")[0];
    assert_eq!(expired.value("expiration_reason").as_deref(), Some("PROOF_MISSING"));
    let slashed = &world.events("EventSupplierSlashed")[0];
    assert_eq!(
        slashed.value("proof_missing_penalty").as_deref(),
        Some("320000000upokt")
    );
    assert_eq!(
        slashed.value("supplier_stake_after_slash").as_deref(),
        Some("59680000000upokt")
    );
    assert!(world.claim(&work).is_none());
    assert!(world.events("EventClaimSettled").is_empty());
}

#[test]
fn invalid_proof_is_slashed_unless_it_is_repaired() {
    let (mut world, mut work) = claimed(&localnet());
    world.advance_to(7);
    let proof = world.tx("supplier1", &[work.proof_of(Path([7; 32]))]);
    assert_eq!(world.block([proof])[0].code, 0);
    assert_eq!(
        world.claim(&work).unwrap().proof_validation_status,
        i32::from(ClaimProofStatus::Invalid)
    );
    let mut unrepaired = World {
        chain: world.chain.clone(),
    };
    unrepaired.advance_to(10);
    let expired = &unrepaired.events("EventClaimExpired")[0];
    assert_eq!(expired.value("expiration_reason").as_deref(), Some("PROOF_INVALID"));

    prove(&mut world, &mut work);
    world.advance_to(10);
    assert_eq!(world.events("EventClaimSettled").len(), 1);
}

#[test]
fn claim_that_needs_no_proof_settles_without_one() {
    let (mut world, _) = claimed(&Localnet {
        proof_probability: 0.0,
        ..localnet()
    });
    world.advance_to(10);
    let settled = &world.events("EventClaimSettled")[0];
    assert_eq!(settled.value("proof_requirement_int").as_deref(), Some("0"));
}

#[test]
fn slash_below_the_least_stake_ends_the_suppliers_work() {
    let (mut world, _) = claimed(&Localnet {
        supplier_stake: 320_500_000,
        ..localnet()
    });
    world.advance_to(10);
    assert_eq!(world.events("EventSupplierUnbondingBegin").len(), 1);
    let owner = world.balance("supplier1");
    let operator = Actor::named("supplier1").address;
    assert_eq!(
        world.chain.view().state.suppliers[&operator].unstake_session_end_height,
        12
    );
    // Two sessions of unbonding, since seven blocks may pass to the last settlement.
    world.advance_to(20);
    assert!(!world.chain.view().state.suppliers.contains_key(&operator));
    assert_eq!(world.balance("supplier1") - owner, 500_000);
}

#[test]
fn claim_beyond_the_applications_share_is_cut() {
    let (mut world, mut work) = claimed(&Localnet {
        application_stake: 40_000,
        ..localnet()
    });
    prove(&mut world, &mut work);
    world.advance_to(10);
    let cut = &world.events("EventApplicationOverserviced")[0];
    // Two sessions may await settlement at once, so each may take half.
    assert_eq!(cut.value("effective_burn").as_deref(), Some("20000upokt"));
    let settled = &world.events("EventClaimSettled")[0];
    assert_eq!(settled.value("settled_upokt").as_deref(), Some("20000upokt"));
    assert_eq!(settled.value("overservicing_loss_upokt").as_deref(), Some("30000upokt"));
    assert_eq!(world.events("EventApplicationUnbondingBegin").len(), 1);
}

#[test]
fn claim_of_a_supplier_that_is_gone_is_discarded() {
    let mut genesis = localnet().genesis();
    // Against the rules that governance obeys: the stake is free before the last settlement.
    genesis.params.shared.supplier_unbonding_period_sessions = 1;
    genesis.suppliers[0].unstake_session_end_height = 4;
    let mut world = World::of(&genesis);
    world.advance_to(1);
    let mut work = world.work("supplier1", 3);
    world.advance_to(5);
    let claim = world.tx("supplier1", &[work.claim()]);
    assert_eq!(world.block([claim])[0].code, 0);
    world.advance_to(8);
    assert_eq!(world.events("EventSupplierUnbondingEnd").len(), 1);
    world.advance_to(10);
    let discarded = &world.events("EventClaimDiscarded")[0];
    assert!(discarded.value("error").unwrap().starts_with("supplier with address"));
    assert!(world.events("EventSupplierSlashed").is_empty());
    assert!(world.claim(&work).is_none());
}

#[test]
fn difficulty_follows_what_was_settled() {
    let (mut world, mut work) = claimed(&Localnet {
        target_relays: 1,
        ..localnet()
    });
    prove(&mut world, &mut work);
    world.advance_to(10);
    assert_eq!(world.events("EventRelayMiningDifficultyUpdated").len(), 1);
    let target = |height| {
        world
            .chain
            .view()
            .state
            .difficulty_at(world::SERVICE, height)
            .target_hash
    };
    assert_eq!(target(9)[..], [0xff; 32]);
    // The first settlement also says what would have held until the next session.
    assert_eq!(target(12)[..], [0x33; 32]);
    assert!(target(13)[0] < 0x40);
}

#[test]
fn batch_with_one_bad_message_changes_nothing_but_the_fee() {
    let mut world = World::new(&localnet());
    world.advance_to(1);
    let (mut good, mut bad) = (world.work("supplier1", 2), world.work("supplier1", 3));
    bad.header.session_id = "0".repeat(64);
    world.advance_to(5);
    let before = world.balance("supplier1");
    let batch: [Message; 2] = [good.claim(), bad.claim()];
    let tx = world.tx("supplier1", &batch);
    let result = world.block([tx]).remove(0);
    assert_eq!((result.code, result.codespace.as_str()), (1, "undefined"));
    let start = "failed to execute message; message index: 1: rpc error: code = InvalidArgument desc = session ID does not match";
    assert!(result.log.starts_with(start), "{}", result.log);
    assert!(world.claim(&good).is_none());
    assert_eq!(before - world.balance("supplier1"), 10);
}
