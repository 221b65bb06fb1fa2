use std::path::PathBuf;

use anyhow::ensure;
use pocket_devnet::{Actor, Devnet};
use pocket_integration::Recording;
use pocket_protocol::SupplierAddress;
use pocket_store::{SessionRecord, Store};
use rustix::process::Signal;

use crate::peer::{Gateway, Half};
use crate::{Scene, until};

/// Relays that are in the tree before anything goes wrong. Three short of the peer's next checkpoint.
const CALM: u64 = 27;
/// The block in which things go wrong.
const MIDDLE: i64 = 7;
/// Relays that are sent while the miner is stopped.
const BURST: u64 = 12;
/// Relays that nobody reads.
const UNREAD: u64 = 5;

#[derive(clap::Args)]
pub struct Arguments {
    /// The peer's version, for the file.
    #[arg(long)]
    version: String,
    /// The file.
    #[arg(long)]
    out: PathBuf,
}

/// Serves relays, ends the peer as badly as a change of programs can, and writes down what is left.
pub async fn run(scene: Scene, arguments: &Arguments) -> anyhow::Result<()> {
    let Scene {
        devnet,
        redis,
        store,
        peer,
        ..
    } = &scene;
    let gateway = Gateway::new(devnet, peer.relayer()?)?;
    let mut miner = peer.start("miner", &[])?;
    let mut relayer = peer.start("relayer", &["--redis-url", &redis.url()])?;
    let answered = play(devnet, &gateway, store, &mut miner, &mut relayer).await?;
    let height = devnet.height();
    ensure!(
        height <= 30,
        "the session was over before all was served: give it slower blocks"
    );
    let transactions = devnet.read(|chain| chain.blocks().map(|block| block.txs.len()).sum::<usize>());
    ensure!(transactions == 0, "somebody sent a transaction in the session");
    let recording = Recording {
        about: format!(
            "Go relay miner {}: miner killed with {CALM} relays in its tree while more came in, relayer ended in good order",
            arguments.version
        ),
        redis_version: store.info("redis_version").await?.unwrap_or_default(),
        height,
        answered,
        keys: Recording::keys_of(&redis.url()).await?,
    };
    recording.write(&arguments.out)?;
    for key in &recording.keys {
        println!("{:<7} {:>9} {}", key.kind, key.ttl.unwrap_or(-1), key.key);
    }
    println!("{answered} relays answered, block {height}");
    gateway.end.cancel();
    scene.devnet.shutdown().await;
    Ok(())
}

/// Serves relays and ends both halves as a change of programs might at its worst; gives the relays that were answered.
async fn play(
    devnet: &Devnet,
    gateway: &Gateway,
    store: &Store,
    miner: &mut Half,
    relayer: &mut Half,
) -> anyhow::Result<u64> {
    let supplier: SupplierAddress = Actor::named("supplier1").address.parse()?;
    let mut answered = 0;
    // It answers once its miner has put the supplier into the registry.
    until("the first relay is answered", async || {
        let is_answered = gateway.relay().await.is_ok();
        answered += u64::from(is_answered);
        is_answered
    })
    .await?;
    while answered < CALM {
        gateway.relay().await?;
        answered += 1;
    }
    until("the session is in its middle", async || devnet.height() >= MIDDLE).await?;
    until("all relays are in the tree", async || {
        matches!(store.stream_length(&supplier).await, Ok(0))
            && record(store, &supplier)
                .await
                .is_some_and(|record| record.relays == answered)
    })
    .await?;
    let burst = async {
        let sent = futures::future::join_all((0..BURST).map(|_| gateway.relay())).await;
        sent.into_iter().flatten().count() as u64
    };
    let stop = async {
        until("the miner has read relays of the burst", async || {
            matches!(store.stream_length(&supplier).await, Ok(1..))
        })
        .await?;
        miner.signal(Signal::STOP)
    };
    let (more, stopped) = tokio::join!(burst, stop);
    stopped?;
    answered += more;
    miner.kill()?;
    for _ in 0..UNREAD {
        gateway.relay().await?;
        answered += 1;
    }
    relayer.signal(Signal::TERM)?;
    relayer.wait()?;
    Ok(answered)
}

async fn record(store: &Store, supplier: &SupplierAddress) -> Option<SessionRecord> {
    let ids = store.session_ids(supplier, None).await.ok()?;
    let id = ids.first()?;
    store.session(supplier, id).await.ok().flatten()
}
