//! Transactions over the servers: mempool, inclusion, faults.

mod world;

use bytes::Bytes;
use pocket_devnet::{Actor, Devnet, DevnetConfig};
use pocket_proto::cosmos::base::abci::v1beta1::TxResponse;
use pocket_proto::cosmos::tx::v1beta1::service_client::ServiceClient;
use pocket_proto::cosmos::tx::v1beta1::{BroadcastMode, BroadcastTxRequest, GetTxRequest, SimulateRequest};
use pocket_proto::pocket::proof::query_client::QueryClient as ProofClient;
use pocket_proto::pocket::proof::{QueryAllClaimsRequest, QueryGetClaimRequest, query_all_claims_request::Filter};
use tonic::Code;
use tonic::transport::Channel;
use world::{Work, World, localnet};

/// A devnet at height 5, where claims of the first session can be sent for block 6.
async fn devnet() -> (Devnet, ServiceClient<Channel>) {
    let config = DevnetConfig {
        genesis: localnet().genesis(),
        ..DevnetConfig::default()
    };
    let devnet = Devnet::start(config).await.unwrap();
    devnet.advance_to(5);
    let client = ServiceClient::connect(devnet.grpc_url()).await.unwrap();
    (devnet, client)
}

/// What the tests' own chain sees: the same accounts and sessions.
fn twin(devnet: &Devnet) -> World {
    World {
        chain: devnet.read(Clone::clone),
    }
}

fn claim(devnet: &Devnet) -> (Work, Bytes) {
    let world = twin(devnet);
    let app = Actor::named("app1").address;
    let header = {
        let view = world.chain.view();
        pocket_devnet::chain::session::get_session(view.state, &view.context, &app, world::SERVICE, 1)
            .unwrap()
            .header
    };
    let mut work = Work::new(header.unwrap(), Actor::named("supplier1"), 2);
    let tx = world.tx("supplier1", &[work.claim()]);
    (work, tx)
}

async fn broadcast(client: &mut ServiceClient<Channel>, tx: &Bytes) -> TxResponse {
    let request = BroadcastTxRequest {
        tx_bytes: tx.clone(),
        mode: BroadcastMode::Sync.into(),
    };
    client
        .broadcast_tx(request)
        .await
        .unwrap()
        .into_inner()
        .tx_response
        .unwrap()
}

#[tokio::test]
async fn claim_is_included_in_the_next_block() {
    let (devnet, mut client) = devnet().await;
    let (work, tx) = claim(&devnet);
    let answer = broadcast(&mut client, &tx).await;
    assert_eq!((answer.code, answer.raw_log.as_str()), (0, ""));
    assert_eq!(devnet.pending(), 1);
    let early = client
        .get_tx(GetTxRequest {
            hash: answer.txhash.clone(),
        })
        .await
        .unwrap_err();
    assert_eq!(early.code(), Code::NotFound);

    devnet.advance(1);
    let found = client
        .get_tx(GetTxRequest { hash: answer.txhash })
        .await
        .unwrap()
        .into_inner();
    let result = found.tx_response.unwrap();
    assert_eq!((result.height, result.code, result.raw_log.as_str()), (6, 0, ""));
    assert_eq!(devnet.claims().len(), 1);
    assert_eq!(devnet.events("EventClaimCreated")[0].0, 6);

    let mut proofs = ProofClient::connect(devnet.grpc_url()).await.unwrap();
    let (session_id, supplier) = (work.header.session_id.clone(), work.supplier.address.clone());
    let request = QueryGetClaimRequest {
        session_id,
        supplier_operator_address: supplier.clone(),
    };
    let claim = proofs.claim(request).await.unwrap().into_inner().claim.unwrap();
    assert_eq!(claim.session_header.unwrap(), work.header);
    let filter = Some(Filter::SupplierOperatorAddress(supplier));
    let all = proofs
        .all_claims(QueryAllClaimsRequest {
            pagination: None,
            filter,
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(all.claims.len(), 1);
    devnet.shutdown().await;
}

#[tokio::test]
async fn same_bytes_twice_are_known() {
    let (devnet, mut client) = devnet().await;
    let (_, tx) = claim(&devnet);
    assert_eq!(broadcast(&mut client, &tx).await.code, 0);
    let again = broadcast(&mut client, &tx).await;
    assert_eq!(
        (again.code, again.codespace.as_str(), again.raw_log.as_str()),
        (19, "sdk", "")
    );
    devnet.advance(1);
    assert_eq!(broadcast(&mut client, &tx).await.code, 19);
    devnet.shutdown().await;
}

#[tokio::test]
async fn refused_claims_can_be_sent_again() {
    let (devnet, mut client) = devnet().await;
    let (_, tx) = claim(&devnet);
    devnet.refuse_next(2);
    assert_eq!(broadcast(&mut client, &tx).await.code, 20);
    assert_eq!(broadcast(&mut client, &tx).await.code, 20);
    assert_eq!(broadcast(&mut client, &tx).await.code, 0);
    devnet.shutdown().await;
}

#[tokio::test]
async fn simulation_before_the_window_fails_with_the_chains_text() {
    let (devnet, mut client) = devnet().await;
    let (_, tx) = claim(&devnet);
    let refusal = client
        .simulate(SimulateRequest { tx_bytes: tx.clone() })
        .await
        .unwrap_err();
    assert_eq!(refusal.code(), Code::Unknown);
    assert!(
        refusal
            .message()
            .contains("less than the session's earliest claim commit height (6)")
    );
    devnet.advance(1);
    let gas = client
        .simulate(SimulateRequest { tx_bytes: tx })
        .await
        .unwrap()
        .into_inner()
        .gas_info
        .unwrap();
    assert!((80_000..120_000).contains(&gas.gas_used), "{}", gas.gas_used);
    devnet.shutdown().await;
}

#[tokio::test]
async fn change_of_the_sessions_length_counts_from_the_next_session() {
    let (devnet, _) = devnet().await;
    let mut params = devnet.read(|chain| *chain.view().state.shared.live());
    params.num_blocks_per_session = 6;
    devnet.change_shared_params(params).unwrap();
    devnet.advance(1);
    let length = |height| devnet.read(|chain| chain.view().state.shared_at(height).num_blocks_per_session);
    assert_eq!((length(8), length(9)), (4, 6));
    params.grace_period_end_offset_blocks = 6;
    assert!(devnet.change_shared_params(params).is_err());
    devnet.shutdown().await;
}

#[tokio::test]
async fn twin_chains_agree_on_the_same_transactions() {
    let (devnet, mut client) = devnet().await;
    let (work, tx) = claim(&devnet);
    let mut twin = twin(&devnet);
    broadcast(&mut client, &tx).await;
    devnet.advance(1);
    twin.block([tx]);
    assert_eq!(
        twin.chain.block(6).unwrap().hash,
        devnet.read(|chain| chain.block(6).unwrap().hash)
    );
    assert_eq!(twin.claim(&work), devnet.claims().pop());
    devnet.shutdown().await;
}
