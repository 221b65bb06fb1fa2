//! The whole set-up, kept open for other programs to try: a chain, Redis, the sample backend, a relayer and a miner.
//!
//! Says as a JSON line where everything is and who signs; when standard input ends, waits until every session is
//! settled and says in another what the chain made of each service's relays.

use std::io::Read as _;
use std::time::Duration;

use clap::Parser;
use pocket_demo::{Observer, Stage, Tally, World};
use pocket_devnet::Actor;
use pocket_integration::{Chain, ChainKind, LocalnetSettings};
use pocket_observability::{LogFormat, LogSettings, start_logs};
use pocket_protocol::{Height, SessionBounds, Windows};
use serde_json::{Map, Value, json};

/// Keep a whole set-up open until standard input ends.
#[derive(Parser)]
struct Arguments {
    /// The chain.
    #[arg(long, value_enum, default_value = "real")]
    chain: ChainKind,
    /// Suppliers that serve.
    #[arg(long, default_value_t = 1)]
    suppliers: usize,
    /// Milliseconds from block to block; ten blocks are a session.
    #[arg(long, default_value_t = 2_000)]
    block_time: u64,
    /// Which log lines are shown, as in `info` or `pocket_relayer=debug`.
    #[arg(long, default_value = "info")]
    log: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let logs = LogSettings {
        format: LogFormat::Text,
        level: arguments.log.clone(),
        ..LogSettings::default()
    };
    let _logs = start_logs(&logs)?;
    let settings = LocalnetSettings {
        block_time: Duration::from_millis(arguments.block_time),
        suppliers: arguments.suppliers,
        ..LocalnetSettings::default()
    };
    let chain = Chain::start(arguments.chain, settings).await?;
    let stage = Stage::start(chain.world(arguments.suppliers)).await?;
    println!("{}", description(&stage));
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    println!("{}", outcome(&stage).await?);
    stage.stop().await;
    chain.stop().await;
    Ok(())
}

/// Where everything is, and the keys, which are worthless.
fn description(stage: &Stage) -> Value {
    let world: &World = stage.world();
    let services = world.services.iter().zip(1..).map(|(service, number)| {
        let application = Actor::named(&format!("app{number}")).private_key;
        (
            service.id.to_string(),
            json!({ "application": hex::encode(application) }),
        )
    });
    json!({
        "rpc_url": world.rpc_url,
        "grpc_url": world.grpc_url,
        "chain_id": world.chain_id,
        "backend_url": stage.backend_url(),
        "relayer_url": stage.relayer_url().as_str(),
        "suppliers": world.suppliers.addresses().map(ToString::to_string).collect::<Vec<_>>(),
        "gateway": hex::encode(Actor::named("gateway1").private_key),
        "services": services.collect::<Map<_, _>>(),
    })
}

/// What the chain says when the session of this moment is settled.
async fn outcome(stage: &Stage) -> anyhow::Result<Value> {
    let params = stage.chain().shared_params().await?;
    let height = stage.chain().status().await?.height;
    let settlement = Windows::of(&params, SessionBounds::containing(&params, height).end).settlement();
    let mut blocks = stage.feed().subscribe();
    blocks.wait_for(|block| block.height >= settlement).await?;
    let mut observer = Observer::new(stage.chain().clone(), Height(1));
    observer.read_to(settlement).await?;
    let services = stage.world().services.iter().map(|service| {
        let claims = observer.ledger().claims();
        let tally = Tally::of(claims.filter(|(key, _)| key.service == service.id.as_str()));
        let tally = json!({
            "claimed": tally.claimed,
            "claims_accepted": tally.claims,
            "proofs_accepted": tally.proofs_accepted,
            "claims_settled": tally.settled,
        });
        (service.id.to_string(), tally)
    });
    let services: Map<_, _> = services.collect();
    Ok(json!({ "mined": stage.mined().await?, "services": services }))
}
