//! Bad requests: the answer says what is wrong, and nothing is published.

mod common;

use bytes::Bytes;
use common::client::{self, Relay};
use common::{World, WorldConfig};
use http::Method;
use pocket_devnet::Actor;
use pocket_proto::pocket::service::RelayRequest;
use prost::Message as _;

const UNDECODABLE: &str = r#"{"error":"invalid relay request: body must be a valid RelayRequest protobuf"}"#;

async fn sent(world: &World, bytes: impl Into<Bytes>) -> client::Reply {
    client::send(&world.url(), Method::POST, &[], bytes.into()).await
}

/// Sends a spoilt relay; expects this answer, that no backend was asked and that nothing was published.
async fn expect_refusal(spoil: impl FnOnce(&mut Relay), status: u16, body: &str) {
    let mut world = World::new().await;
    let mut relay = world.relay().await;
    spoil(&mut relay);
    let reply = relay.send(&world.url()).await;
    assert_eq!(reply.refusal(), (status, body));
    assert_eq!(reply.content_type, "application/json");
    assert!(world.backend.asked().is_empty());
    assert!(world.published("supplier1").await.is_empty());
    assert_eq!(world.counted("ha_relayer_relays_rejected_total", &[]), 1);
    world.end().await;
}

fn invalid(detail: &str) -> String {
    serde_json::json!({"error": format!("relay validation failed: {detail}")}).to_string()
}

#[tokio::test]
async fn every_truncation_is_refused_and_harms_nothing() {
    let mut world = World::new().await;
    let whole = world.relay().await.bytes();
    for length in (0..whole.len()).step_by(7).chain([1, 2, 3, whole.len() - 1]) {
        let reply = sent(&world, whole.slice(..length)).await;
        assert!(
            matches!(reply.status.as_u16(), 400 | 403),
            "{length} bytes: {:?}",
            reply.refusal()
        );
        let told: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert!(told["error"].is_string());
    }
    assert_eq!(sent(&world, Bytes::new()).await.refusal(), (400, UNDECODABLE));
    assert!(world.backend.asked().is_empty());
    sent(&world, whole).await.answer("supplier1");
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn every_flipped_bit_is_noticed() {
    let mut world = World::new().await;
    let whole = world.relay().await.bytes();
    for position in (0..whole.len()).step_by(5) {
        let mut mutated = whole.to_vec();
        mutated[position] ^= 1 << (position % 8);
        let reply = sent(&world, mutated).await;
        assert_ne!(reply.status.as_u16(), 200, "byte {position}");
        assert_ne!(reply.status.as_u16(), 500, "byte {position}: {:?}", reply.refusal());
    }
    assert!(world.backend.asked().is_empty());
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn request_that_is_no_relay_is_undecodable() {
    let mut world = World::new().await;
    assert_eq!(sent(&world, "not a relay").await.refusal(), (400, UNDECODABLE));
    assert_eq!(
        sent(&world, RelayRequest::default().encode_to_vec()).await.refusal(),
        (400, UNDECODABLE)
    );
    let mut request = world.relay().await.request();
    request.payload = Bytes::from_static(&[0xff]);
    assert_eq!(
        sent(&world, request.encode_to_vec()).await.refusal(),
        (400, UNDECODABLE)
    );
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn bytes_after_a_ring_signature_are_refused() {
    let mut world = World::new().await;
    let mut request = world.relay().await.request();
    let meta = request.meta.as_mut().unwrap();
    meta.signature = [&meta.signature[..], &[0]].concat().into();
    let reply = sent(&world, request.encode_to_vec()).await;
    assert_eq!(reply.status.as_u16(), 403);
    assert!(
        reply.text().contains("ring signature verification failed"),
        "{}",
        reply.text()
    );
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn unknown_service_is_not_found() {
    expect_refusal(
        |relay| relay.header.service_id = "svc-none".into(),
        404,
        r#"{"error":"unknown service: svc-none"}"#,
    )
    .await;
}

#[tokio::test]
async fn wrong_session_id_is_refused() {
    let body = invalid("session header does not match the chain's: session_id");
    expect_refusal(|relay| relay.header.session_id = "00".repeat(32), 403, &body).await;
}

#[tokio::test]
async fn true_session_id_with_forged_heights_is_refused() {
    let body = invalid("session header does not match the chain's: session_end_block_height");
    expect_refusal(|relay| relay.header.session_end_block_height += 1, 403, &body).await;
}

#[tokio::test]
async fn implausible_heights_are_refused_without_a_query() {
    let body = r#"{"error":"implausible session heights"}"#;
    expect_refusal(|relay| relay.header.session_end_block_height = i64::MAX, 400, body).await;
}

#[tokio::test]
async fn missing_supplier_is_refused() {
    let body = r#"{"error":"missing supplier operator address in relay request"}"#;
    expect_refusal(|relay| relay.supplier.clear(), 400, body).await;
}

#[tokio::test]
async fn supplier_that_nobody_knows_is_refused() {
    let stranger = Actor::named("stranger").address;
    let body = format!(r#"{{"error":"supplier {stranger} not registered with any miner"}}"#);
    expect_refusal(|relay| relay.supplier = Actor::named("stranger").address, 503, &body).await;
}

#[tokio::test]
async fn supplier_of_another_session_is_refused() {
    // Our key, but the chain has one supplier only.
    let localnet = pocket_devnet::Localnet {
        suppliers: 1,
        ..pocket_devnet::Localnet::default()
    };
    let mut world = World::with(WorldConfig {
        localnet,
        ..WorldConfig::default()
    })
    .await;
    let mut relay = world.relay().await;
    relay.supplier = Actor::named("supplier2").address;
    let body = invalid(&format!("supplier {} not found in session", relay.supplier));
    assert_eq!(relay.send(&world.url()).await.refusal(), (403, body.as_str()));
    assert!(world.backend.asked().is_empty());
    assert!(world.published("supplier2").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn ring_with_a_stranger_is_refused() {
    let mut world = World::new().await;
    let mut relay = world.relay().await;
    relay.signer = "gateway9".to_owned();
    relay.ring = vec!["app1".to_owned(), "gateway9".to_owned()];
    let reply = relay.send(&world.url()).await;
    assert_eq!(reply.status.as_u16(), 403);
    assert!(
        reply.text().contains("ring signature verification failed"),
        "{}",
        reply.text()
    );
    assert!(world.backend.asked().is_empty());
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn signature_of_another_request_is_refused() {
    let mut world = World::new().await;
    let relay = world.relay().await;
    let mut request = relay.request();
    request.payload = relay.clone().to("POST", "/other").request().payload;
    let reply = sent(&world, request.encode_to_vec()).await;
    assert_eq!(reply.status.as_u16(), 403);
    assert!(world.backend.asked().is_empty());
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn session_after_its_grace_is_refused_warm_and_cold() {
    for warm in [true, false] {
        let mut world = World::new().await;
        let relay = world.relay().await;
        if warm {
            relay.send(&world.url()).await.answer("supplier1");
        }
        world.advance_to(12).await;
        assert_eq!(
            relay.send(&world.url()).await.refusal(),
            (403, invalid("session expired").as_str())
        );
        assert_eq!(world.published("supplier1").await.len(), usize::from(warm));
        world.end().await;
    }
}

#[tokio::test]
async fn unknown_and_unconfigured_rpc_types_have_no_backend() {
    let mut world = World::new().await;
    let relay = world.relay().await;
    let body = r#"{"error":"service temporarily unavailable","service":"svc-http"}"#;
    for kind in ["0", "9", "5", "grpc", "JSONRPC"] {
        let reply = relay.clone().with_outer("rpc-type", kind).send(&world.url()).await;
        assert_eq!(reply.refusal(), (503, body), "{kind}");
    }
    let socket = relay.clone().with_outer("rpc-type", "2").send(&world.url()).await;
    assert_eq!(socket.status.as_u16(), 400);
    assert!(world.backend.asked().is_empty());
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn body_over_a_limit_is_too_large() {
    let config = WorldConfig {
        service: "validation_mode: eager\nmax_body_size_bytes: 2000".to_owned(),
        top_level: "default_max_body_size_bytes: 4000".to_owned(),
        ..WorldConfig::default()
    };
    let mut world = World::with(config).await;
    let mut relay = world.relay().await;
    relay.envelope.body_bz = vec![b'x'; 2500].into();
    let reply = relay.send(&world.url()).await;
    assert_eq!(
        reply.refusal(),
        (413, r#"{"error":"request body too large for service"}"#)
    );
    relay.envelope.body_bz = vec![b'x'; 5000].into();
    let reply = relay.send(&world.url()).await;
    assert_eq!(reply.refusal(), (413, r#"{"error":"request body too large"}"#));
    assert!(world.backend.asked().is_empty());
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn inner_request_that_cannot_be_sent_is_a_backend_error() {
    let body = r#"{"error":"backend error"}"#;
    expect_refusal(|relay| relay.envelope.method = "NO SUCH".into(), 502, body).await;
    expect_refusal(|relay| relay.envelope.url = "/a\r\nb".into(), 502, body).await;
}
