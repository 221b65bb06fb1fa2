//! Retries, caches and the trust in a "no", against a node that does what the test says.

mod support;

use std::sync::atomic::Ordering;

use pocket_protocol::{ComputeUnits, Height};
use pocket_query::{ChainClient, NodeConfig, QueryError};
use support::{FAST, World};

#[tokio::test]
async fn unavailable_node_is_asked_again() {
    let world = World::at_height(20).await;
    world.node.failures.store(3, Ordering::SeqCst);
    assert_eq!(world.chain.shared_params().await.unwrap().num_blocks_per_session, 10);
    assert_eq!(world.asked(), 4);
}

#[tokio::test]
async fn node_that_stays_down_is_unavailable() {
    let world = World::at_height(20).await;
    world.node.failures.store(100, Ordering::SeqCst);
    assert!(matches!(
        world.chain.shared_params().await,
        Err(QueryError::Unavailable(_))
    ));
    assert_eq!(world.asked(), FAST.attempts);
}

#[tokio::test]
async fn missing_node_fails_the_query_and_not_the_start() {
    let mut config = NodeConfig::new("http://127.0.0.1:1", "127.0.0.1:1");
    config.retry = FAST;
    let chain = ChainClient::new(config).unwrap();
    assert!(matches!(chain.shared_params().await, Err(QueryError::Unavailable(_))));
    assert!(matches!(chain.status().await, Err(QueryError::Unavailable(_))));
}

#[tokio::test]
async fn callers_of_one_session_share_one_query() {
    let world = World::at_height(20).await;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..60 {
        let chain = world.chain.clone();
        callers.spawn(async move { chain.session("app", "svc", Height(11 + caller % 10)).await });
    }
    while let Some(session) = callers.join_next().await {
        assert_eq!(session.unwrap().unwrap().session_id, "starts 11");
    }
    // One for the session, and one for the parameters of each of the ten heights.
    assert_eq!(world.asked(), 11);
}

#[tokio::test]
async fn refused_session_has_its_reason_and_is_not_asked_for_each_relay() {
    let world = World::at_height(20).await;
    for _ in 0..5 {
        let answer = world.chain.session("nobody", "svc", Height(15)).await;
        let message = "application not found".to_owned();
        let code = tonic::Code::Internal;
        assert_eq!(answer.err(), Some(QueryError::Refused { code, message }));
    }
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn session_that_the_node_has_not_reached_is_unavailable_and_then_there() {
    let world = World::at_height(20).await;
    let early = world.chain.session("app", "svc", Height(21)).await;
    assert!(matches!(early, Err(QueryError::Unavailable(_))), "{early:?}");
    world.node.head.send_replace(21);
    let session = world.chain.session("app", "svc", Height(21)).await.unwrap();
    assert_eq!(session.session_id, "starts 21");
}

#[tokio::test]
async fn parameters_of_a_committed_height_are_asked_once() {
    let world = World::at_height(20).await;
    for _ in 0..3 {
        world.chain.shared_params_at(Height(20)).await.unwrap();
    }
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn proof_parameters_are_asked_anew_after_each_block() {
    let world = World::at_height(20).await;
    world.chain.status().await.unwrap();
    world.chain.proof_params().await.unwrap();
    world.chain.proof_params().await.unwrap();
    assert_eq!(world.asked(), 1);
    world.node.head.send_replace(21);
    world.chain.status().await.unwrap();
    world.chain.proof_params().await.unwrap();
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn absence_of_a_claim_counts_only_from_a_node_at_the_known_height() {
    let world = World::at_height(20).await;
    world.chain.status().await.unwrap();
    assert_eq!(world.chain.claim("id", "supplier").await, Ok(None));
    world.node.lag.store(1, Ordering::SeqCst);
    let answer = world.chain.claim("id", "supplier").await;
    assert!(matches!(answer, Err(QueryError::Unavailable(_))), "{answer:?}");
}

#[tokio::test]
async fn claims_are_read_past_an_empty_page() {
    let world = World::at_height(20).await;
    let claims = world.chain.claims_of("supplier").await.unwrap();
    let from: Vec<_> = claims
        .iter()
        .map(|claim| claim.supplier_operator_address.as_str())
        .collect();
    assert_eq!(from, ["page 0", "page 2"]);
}

#[tokio::test]
async fn old_node_answers_compute_units_with_the_service_record() {
    let world = World::at_height(20).await;
    assert_eq!(
        world.chain.compute_units_at("svc", Height(11)).await,
        Ok(ComputeUnits(5))
    );
    world.node.knows_compute_units.store(false, Ordering::SeqCst);
    assert_eq!(
        world.chain.compute_units_at("svc", Height(12)).await,
        Ok(ComputeUnits(7))
    );
}

#[tokio::test]
async fn target_of_31_bytes_is_malformed() {
    let world = World::at_height(20).await;
    let answer = world.chain.difficulty_target_at("svc", Height(11)).await;
    assert!(matches!(answer, Err(QueryError::Malformed(_))));
}

#[tokio::test]
async fn block_is_absent_until_it_is_committed_and_then_kept() {
    let world = World::at_height(20).await;
    assert!(matches!(
        world.chain.block(Height(21)).await,
        Err(QueryError::NotFound(_))
    ));
    world.node.head.send_replace(21);
    assert_eq!(world.chain.block(Height(21)).await.unwrap().hash[31], 21);
    world.chain.block(Height(21)).await.unwrap();
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn node_of_another_network_is_told() {
    let world = World::at_height(20).await;
    assert_eq!(&*world.chain.chain_id().await.unwrap(), "pocket");
    let beta = world.client(|config| config.chain_id = Some("pocket-beta".to_owned()));
    let (configured, found) = ("pocket-beta".to_owned(), "pocket".to_owned());
    assert_eq!(beta.chain_id().await, Err(QueryError::WrongChain { configured, found }));
}

#[tokio::test]
async fn url_of_another_scheme_is_refused_and_tls_is_not() {
    let client = |rpc: &str, grpc: &str| ChainClient::new(NodeConfig::new(rpc, grpc)).map(|_| ());
    assert_eq!(client("https://node.example", "https://node.example:443"), Ok(()));
    assert_eq!(client("tcp://127.0.0.1:26657", "tcp://127.0.0.1:9090"), Ok(()));
    for (rpc, grpc) in [
        ("ftp://a", "a:1"),
        ("no url", "a:1"),
        ("http://a", "ftp://a:1"),
        ("http://a", ""),
    ] {
        assert!(
            matches!(client(rpc, grpc), Err(QueryError::Malformed(_))),
            "{rpc} {grpc}"
        );
    }
}
