use anyhow::{Context as _, ensure};
use pocket_demo::{Stage, World};
use pocket_devnet::{Actor, Devnet};
use pocket_proto::pocket::proof::ClaimProofStatus;
use pocket_protocol::SupplierAddress;
use pocket_smst::Digest;

use crate::peer::Gateway;
use crate::{Scene, until};

/// Relays that this program serves, and the peer after it.
const OURS: u64 = 23;
const PEERS: u64 = 14;

/// Serves with this program, then with the peer, and looks what the peer claims.
pub async fn run(scene: Scene) -> anyhow::Result<()> {
    let Scene {
        devnet,
        redis,
        store,
        peer,
        ..
    } = &scene;
    let url = redis.url();
    let stage = Stage::start_at(World::devnet(devnet, 1), &url).await?;
    let gateway = Gateway::new(devnet, stage.relayer_url().clone())?;
    let mut answered = 0;
    until("our relayer answers", async || gateway.relay().await.is_ok()).await?;
    answered += 1;
    while answered < OURS {
        gateway.relay().await?;
        answered += 1;
    }
    // Not waited for: what the stream holds when the miner ends is the peer's to read.
    stage.stop().await;
    let supplier: SupplierAddress = Actor::named("supplier1").address.parse()?;
    println!(
        "ours has ended at block {}: {answered} relays answered, {} in the stream",
        devnet.height(),
        store.stream_length(&supplier).await?
    );

    let _miner = peer.start("miner", &[])?;
    let _relayer = peer.start("relayer", &["--redis-url", &url])?;
    let gateway = Gateway::new(devnet, peer.relayer()?)?;
    until("the peer answers", async || {
        let is_answered = gateway.relay().await.is_ok();
        answered += u64::from(is_answered);
        is_answered
    })
    .await?;
    while answered < OURS + PEERS {
        gateway.relay().await?;
        answered += 1;
    }
    println!("{answered} relays answered, block {}", devnet.height());
    ensure!(devnet.height() <= 30, "the session was over before all was served");
    until("the peer claims", async || !devnet.claims().is_empty()).await?;
    let claim = devnet.claims().pop().context("it was there")?;
    let root = Digest::try_from(claim.root_hash.as_ref())
        .ok()
        .context("a root has 48 bytes")?;
    println!("claimed: {} relays, block {}", root.count(), devnet.height());
    until("the claim is proven", async || is_proven(devnet)).await?;
    println!("proven, block {}", devnet.height());
    ensure!(
        root.count() == answered,
        "{} of {answered} relays are claimed",
        root.count()
    );
    Ok(())
}

fn is_proven(devnet: &Devnet) -> bool {
    let claims = devnet.claims();
    claims
        .iter()
        .any(|claim| claim.proof_validation_status() == ClaimProofStatus::Validated)
}
