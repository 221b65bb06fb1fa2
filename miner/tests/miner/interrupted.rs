//! A session's life with an interruption at every single place where it can be interrupted: it ends with the same claim
//! and the same proof.

use pocket_devnet::chain::{Message, Tx};
use pocket_proto::pocket::proof::ClaimProofStatus;
use pocket_protocol::claim::proof_path;
use pocket_smst::{Path, Tree};

use crate::world::{CutAt, Cutter, Part, Relayer, World};

const SUPPLIER: &[&str] = &["supplier1"];
/// Lives are dealt to so many tests, which run side by side.
const TESTS: usize = 4;

/// Relays of a new session, the only ones to be claimed.
async fn serve(world: &mut World, relayer: &mut Relayer) -> Part {
    world.served.clear();
    relayer.serve(world, "supplier1", "app1", 3).await
}

/// The part's claims and proofs in blocks are all what its leaves alone say.
fn assert_same_claim_and_proof(world: &World, part: &Part) {
    let windows = world.windows(part);
    let mut tree = Tree::from_leaves(world.served[part].iter().cloned());
    let root = tree.root();
    let (mut claims, mut proofs) = (Vec::new(), Vec::new());
    let seed = world.devnet.read(|chain| {
        for block in chain.blocks().rev().take_while(|block| block.height > part.end) {
            for (tx, _) in block
                .txs
                .iter()
                .zip(&block.results)
                .filter(|(_, result)| result.code == 0)
            {
                for message in Tx::decode(tx).unwrap().messages {
                    match message {
                        Message::CreateClaim(claim) => claims.push(claim.root_hash),
                        Message::SubmitProof(proof) => proofs.push(proof.proof),
                        Message::Send(_) => panic!("nobody sends coins"),
                    }
                }
            }
        }
        chain.block(windows.seed.0).unwrap().hash
    });
    let proof = tree
        .prove(Path(proof_path(&seed, &part.session)))
        .unwrap()
        .compact()
        .encode();
    assert!(
        !claims.is_empty() && claims.iter().all(|claim| *claim == root.as_ref()),
        "{claims:?}"
    );
    assert!(!proofs.is_empty() && proofs.iter().all(|other| *other == proof));
}

/// Makes blocks until the part is settled, none before the miner has taken note of what the one before did.
async fn walk(world: &World, part: &Part) {
    let settlement = world.windows(part).settlement().0;
    while world.devnet.height() < settlement {
        world.walk_to(world.devnet.height() + 1).await;
        world
            .until("a claim or proof in a block is noticed", || async {
                let state = world.state(part).await;
                match world.claim(part).map(|claim| claim.proof_validation_status()) {
                    None => true,
                    Some(ClaimProofStatus::Validated) => state == "proved",
                    Some(_) => !["active", "claiming"].contains(&state),
                }
            })
            .await;
    }
    world.walk_to_settlement().await;
}

/// Lets one miner die after so many steps and another go on. Whether the first died before the life was over.
async fn live_with_death(world: &mut World, relayer: &mut Relayer, steps: usize) -> bool {
    let part = serve(world, relayer).await;
    let mut first = world.mortal_miner(&format!("first-{steps}"), SUPPLIER, steps).await;
    let end = first.ender();
    let world = &*world;
    let successor = async {
        if !first.died().await {
            return None;
        }
        world.expire_leases("supplier1").await;
        Some(world.miner(&format!("second-{steps}"), SUPPLIER))
    };
    let life = async {
        walk(world, &part).await;
        end();
    };
    let (second, ()) = tokio::join!(successor, life);
    assert_eq!(world.state(&part).await, "proved", "after a death at step {steps}");
    assert_same_claim_and_proof(world, &part);
    let is_dead = second.is_some();
    if let Some(second) = second {
        second.stop().await;
    }
    world.expire_leases("supplier1").await;
    is_dead
}

/// Every nth step, from the first of this test on, until a life has no more of them.
async fn die_at_every_step(test: usize) {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let mut steps = test + 1;
    while live_with_death(&mut world, &mut relayer, steps).await {
        steps += TESTS;
    }
    assert!(steps > 50, "only {steps} steps were counted");
}

/// A life with one cut of all connections to Redis. Whether it had so many commands.
async fn live_with_cut(world: &mut World, relayer: &mut Relayer, command: usize, at: CutAt) -> bool {
    let part = serve(world, relayer).await;
    let cutter = Cutter::to(world.redis_port(), command, at).await;
    let miner = world.miner_at(
        cutter.port(),
        &format!("miner-{command}-{at:?}"),
        SUPPLIER,
        |settings| {
            // Few commands that have to do with time alone.
            settings.renew_interval = settings.lease_ttl / 3;
        },
    );
    world.until_taken_in().await;
    // After an outage sealing waits for relayers, but no longer than this.
    world.devnet.advance_to(world.windows(&part).seal_deadline().0);
    walk(world, &part).await;
    assert_eq!(
        world.state(&part).await,
        "proved",
        "after a cut at command {command}, {at:?}"
    );
    assert_same_claim_and_proof(world, &part);
    let is_cut = cutter.is_cut();
    miner.stop().await;
    is_cut
}

async fn cut_at_every_command(test: usize, at: CutAt) {
    let mut world = World::new().await;
    let mut relayer = world.relayer();
    let mut command = test + 1;
    while live_with_cut(&mut world, &mut relayer, command, at).await {
        command += TESTS / 2;
    }
    assert!(command > 20, "only {command} commands were counted");
}

macro_rules! tests {
    ($($name:ident: $test:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            $test.await;
        })*
    };
}

tests! {
    death_at_every_fourth_step_changes_nothing: die_at_every_step(0);
    death_at_every_fourth_step_from_the_second_changes_nothing: die_at_every_step(1);
    death_at_every_fourth_step_from_the_third_changes_nothing: die_at_every_step(2);
    death_at_every_fourth_step_from_the_fourth_changes_nothing: die_at_every_step(3);
    odd_command_that_redis_does_not_get_changes_nothing: cut_at_every_command(0, CutAt::Command);
    even_command_that_redis_does_not_get_changes_nothing: cut_at_every_command(1, CutAt::Command);
    odd_answer_that_is_lost_changes_nothing: cut_at_every_command(0, CutAt::Answer);
    even_answer_that_is_lost_changes_nothing: cut_at_every_command(1, CutAt::Answer);
}
