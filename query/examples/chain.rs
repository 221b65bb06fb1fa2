//! `cargo run -p pocket-query --example chain -- RPC_URL GRPC_URL [APPLICATION SERVICE SUPPLIER]`:
//! asks a node everything that the client can ask, and follows its head for five blocks.

use pocket_protocol::Height;
use pocket_query::{BlockFeed, ChainClient, NodeConfig};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rpc, grpc, actors @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: chain RPC_URL GRPC_URL [APPLICATION SERVICE SUPPLIER]");
    };
    let chain = ChainClient::new(NodeConfig::new(rpc, grpc))?;
    let status = chain.status().await?;
    println!("status {status:?}, chain {}", chain.chain_id().await?);
    println!("latest block {:?}", chain.latest_block().await?);
    println!("block 2 {:?}", chain.block(Height(2)).await?);
    println!("block of the future {:?}", chain.block(status.height + 1000).await);
    let results = chain.block_results(status.height).await?;
    println!(
        "results: {} transactions, {} events",
        results.txs.len(),
        results.end_block_events.len()
    );
    println!("shared {:?}", chain.shared_params().await?);
    println!("shared at 1 {:?}", chain.shared_params_at(Height(1)).await?);
    println!("session {:?}", chain.session_params().await?);
    println!("supplier {:?}", chain.supplier_params().await?);
    println!("proof {:?}", chain.proof_params().await?);
    if let [application, service, supplier] = actors {
        show_actors(&chain, application, service, supplier, status.height).await?;
    }
    follow(chain).await
}

async fn show_actors(
    chain: &ChainClient,
    application: &str,
    service: &str,
    supplier: &str,
    height: Height,
) -> anyhow::Result<()> {
    println!("service {:?}", chain.service(service).await?);
    println!(
        "target {}",
        hex::encode(chain.difficulty_target_at(service, height).await?)
    );
    println!("compute units {}", chain.compute_units_at(service, height).await?);
    println!("application {:?}", chain.application(application).await?);
    println!(
        "{} services of the supplier",
        chain.supplier(supplier).await?.services.len()
    );
    let session = chain.session(application, service, height).await?;
    println!("session {:?}, {} suppliers", session.header, session.suppliers.len());
    println!(
        "session of nobody {:?}",
        chain.session(supplier, service, height).await.err()
    );
    println!(
        "session of the future {:?}",
        chain.session(application, service, height + 500).await.err()
    );
    println!("key {}", hex::encode(chain.public_key(supplier).await?));
    println!("account {:?}", chain.account(supplier).await?);
    println!("balance {}", chain.balance(supplier).await?);
    println!("claim {:?}", chain.claim(&session.session_id, supplier).await?);
    println!("{} claims", chain.claims_of(supplier).await?.len());
    println!("no supplier {:?}", chain.supplier(application).await.err());
    println!(
        "bad transaction {:?}",
        chain.simulate(bytes::Bytes::from_static(b"no")).await
    );
    println!(
        "bad transaction {:?}",
        chain.broadcast(bytes::Bytes::from_static(b"no")).await
    );
    Ok(())
}

async fn follow(chain: ChainClient) -> anyhow::Result<()> {
    let cancel = CancellationToken::new();
    let (feed, task) = BlockFeed::start(chain, cancel.clone());
    let mut blocks = feed.subscribe();
    for _ in 0..5 {
        blocks.changed().await?;
        println!("block {:?}", *blocks.borrow_and_update());
    }
    cancel.cancel();
    Ok(task.await?)
}
