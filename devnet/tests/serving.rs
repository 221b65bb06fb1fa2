//! The servers as clients see them.

use futures::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use pocket_devnet::{Actor, Devnet, DevnetConfig};
use pocket_proto::cosmos::auth::v1beta1::QueryAccountInfoRequest;
use pocket_proto::cosmos::auth::v1beta1::query_client::QueryClient as AuthClient;
use pocket_proto::pocket::session::QueryGetSessionRequest;
use pocket_proto::pocket::session::query_client::QueryClient as SessionClient;
use pocket_proto::pocket::shared::QueryParamsRequest;
use pocket_proto::pocket::shared::query_client::QueryClient as SharedClient;
use prost::Message as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

async fn devnet() -> Devnet {
    Devnet::start(DevnetConfig::default()).await.unwrap()
}

async fn get(devnet: &Devnet, path: &str) -> Value {
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let request = hyper::Request::get(format!("{}{path}", devnet.rpc_url())).body(Full::<bytes::Bytes>::default());
    let response = client.request(request.unwrap()).await.unwrap();
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[tokio::test]
async fn status_tells_chain_and_height() {
    let devnet = devnet().await;
    devnet.advance(4);
    let status = get(&devnet, "/status").await;
    assert_eq!(status["result"]["node_info"]["network"], "pocket");
    assert_eq!(status["result"]["sync_info"]["latest_block_height"], "5");
    assert_eq!(status["result"]["sync_info"]["catching_up"], false);
    devnet.shutdown().await;
}

#[tokio::test]
async fn block_links_to_the_one_before() {
    let devnet = devnet().await;
    devnet.advance(2);
    let (second, third) = (get(&devnet, "/block?height=2").await, get(&devnet, "/block").await);
    assert_eq!(third["result"]["block"]["header"]["height"], "3");
    assert_eq!(
        third["result"]["block"]["header"]["last_block_id"]["hash"],
        second["result"]["block_id"]["hash"]
    );
    let first = get(&devnet, "/block?height=1").await;
    assert_eq!(first["result"]["block"]["header"]["last_block_id"]["hash"], "");
    let beyond = get(&devnet, "/block?height=4").await;
    assert_eq!(
        beyond["error"]["data"],
        "height 4 must be less than or equal to the current blockchain height 3"
    );
    devnet.shutdown().await;
}

#[tokio::test]
async fn same_blocks_have_the_same_hashes_in_every_run() {
    let (one, other) = (devnet().await, devnet().await);
    one.advance(3);
    other.advance(3);
    let hash = |devnet: &Devnet| devnet.read(|chain| chain.block(4).unwrap().hash);
    assert_eq!(hash(&one), hash(&other));
    one.shutdown().await;
    other.shutdown().await;
}

#[tokio::test]
async fn grpc_answers_with_the_height_of_its_state() {
    let devnet = devnet().await;
    devnet.advance(1);
    let mut shared = SharedClient::connect(devnet.grpc_url()).await.unwrap();
    let answer = shared.params(QueryParamsRequest {}).await.unwrap();
    assert_eq!(answer.metadata().get("x-cosmos-block-height").unwrap(), "2");
    assert_eq!(answer.into_inner().params.unwrap().num_blocks_per_session, 10);

    let mut past = tonic::Request::new(QueryParamsRequest {});
    past.metadata_mut()
        .insert("x-cosmos-block-height", "1".parse().unwrap());
    let answer = shared.params(past).await.unwrap();
    assert_eq!(answer.metadata().get("x-cosmos-block-height").unwrap(), "1");
    devnet.shutdown().await;
}

#[tokio::test]
async fn session_of_a_staked_application_has_all_suppliers() {
    let devnet = devnet().await;
    let mut sessions = SessionClient::connect(devnet.grpc_url()).await.unwrap();
    let request = |application: &str, block_height| QueryGetSessionRequest {
        application_address: Actor::named(application).address,
        service_id: "svc-http".to_owned(),
        block_height,
    };
    let session = sessions
        .get_session(request("app1", 0))
        .await
        .unwrap()
        .into_inner()
        .session
        .unwrap();
    let header = session.header.unwrap();
    assert_eq!(
        (header.session_start_block_height, header.session_end_block_height),
        (1, 10)
    );
    assert_eq!(session.suppliers.len(), 3);
    let refusal = sessions.get_session(request("app2", 0)).await.unwrap_err();
    assert_eq!(refusal.code(), tonic::Code::Internal);
    assert!(
        refusal
            .message()
            .ends_with("application in session not staked for requested service")
    );
    let early = sessions.get_session(request("app1", 2)).await.unwrap_err();
    assert!(
        early
            .message()
            .starts_with("block height 2 is ahead of the last committed block height 1")
    );
    devnet.shutdown().await;
}

#[tokio::test]
async fn accounts_have_their_key_from_genesis() {
    let devnet = devnet().await;
    let mut auth = AuthClient::connect(devnet.grpc_url()).await.unwrap();
    let supplier = Actor::named("supplier1");
    let request = QueryAccountInfoRequest {
        address: supplier.address.clone(),
    };
    let info = auth.account_info(request).await.unwrap().into_inner().info.unwrap();
    assert!(info.pub_key.unwrap().value.ends_with(&supplier.public_key));
    let nobody = QueryAccountInfoRequest {
        address: Actor::named("nobody").address,
    };
    assert_eq!(
        auth.account_info(nobody).await.unwrap_err().code(),
        tonic::Code::NotFound
    );
    devnet.shutdown().await;
}

#[tokio::test]
async fn abci_query_answers_what_grpc_does() {
    let devnet = devnet().await;
    let answer = get(&devnet, "/abci_query?path=%22/pocket.shared.Query/Params%22").await;
    let value = answer["result"]["response"]["value"].as_str().unwrap();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, value).unwrap();
    let params = pocket_proto::pocket::shared::QueryParamsResponse::decode(&bytes[..]).unwrap();
    assert_eq!(params.params.unwrap().num_blocks_per_session, 10);
    devnet.shutdown().await;
}

#[tokio::test]
async fn subscriber_hears_of_every_block() {
    let devnet = devnet().await;
    let url = devnet.rpc_url().replace("http://", "ws://") + "/websocket";
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let call =
        json!({"jsonrpc": "2.0", "id": 7, "method": "subscribe", "params": {"query": "tm.event='NewBlockHeader'"}});
    socket.send(Message::text(call.to_string())).await.unwrap();
    let first: Value = serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
    assert_eq!(first, json!({"jsonrpc": "2.0", "id": 7, "result": {}}));
    devnet.advance(2);
    for height in ["2", "3"] {
        let event: Value = serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
        assert_eq!(event["id"], 7);
        assert_eq!(event["result"]["data"]["type"], "tendermint/event/NewBlockHeader");
        assert_eq!(event["result"]["data"]["value"]["header"]["height"], height);
    }
    devnet.shutdown().await;
}

#[tokio::test]
async fn blocks_come_by_themselves_when_a_block_time_is_given() {
    let config = DevnetConfig {
        block_time: Some(std::time::Duration::from_millis(20)),
        ..DevnetConfig::default()
    };
    let devnet = Devnet::start(config).await.unwrap();
    let mut blocks = devnet.subscribe();
    let first = blocks.recv().await.unwrap().height;
    assert_eq!(blocks.recv().await.unwrap().height, first + 1);
    devnet.shutdown().await;
}
