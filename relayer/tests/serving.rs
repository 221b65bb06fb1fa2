//! Good relays: what the gateway gets, what the backend sees, what is mined.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::client::{self, QUESTION, Relay};
use common::{World, WorldConfig};
use http::{Method, Request};
use http_body_util::Full;
use pocket_devnet::{Actor, Localnet};
use pocket_proto::pocket::service::Relay as MinedRelay;
use pocket_proto::sdk::types::Header;
use pocket_protocol::signature::verify_response;
use pocket_protocol::{admission, relay};
use prost::Message as _;

#[tokio::test]
async fn relay_is_answered_signed_and_mined_as_it_was_sent() {
    let mut world = World::new().await;
    let request = world.relay().await.request();
    let sent = request.encode_to_vec();
    let reply = client::send(&world.url(), Method::POST, &[], sent.clone().into()).await;

    let answer = reply.answer("supplier1");
    assert_eq!(reply.content_type, "application/json");
    assert_eq!(answer.status_code, 200);
    assert_eq!(&answer.body_bz[..], QUESTION);
    assert_eq!(answer.header["X-Two"].values, ["a", "b"]);

    let header = world.session().await;
    let height = world.devnet.height();
    let published = world.published("supplier1").await;
    let [message] = &published[..] else {
        panic!("{} relays", published.len())
    };
    assert_eq!(message.session_id, header.session_id);
    assert_eq!(message.session_start_height, header.session_start_block_height);
    assert_eq!(message.session_end_height, header.session_end_block_height);
    assert_eq!(message.application_address, header.application_address);
    assert_eq!(message.service_id, "svc-http");
    assert_eq!(message.supplier_operator_address, Actor::named("supplier1").address);
    assert_eq!(message.compute_units_per_relay, 100);
    assert_eq!(message.arrival_block_height, height);
    assert!(message.published_at_unix_nano > 0);

    // What the chain looks at when it opens a leaf.
    let mined = MinedRelay::decode(message.relay_bytes.clone()).unwrap();
    let (req, res) = (mined.req.unwrap(), mined.res.unwrap());
    assert_eq!(req, request);
    assert_eq!(relay::encode_request(&req)[..], sent);
    assert_eq!(res.meta.as_ref().unwrap().session_header.as_ref(), Some(&header));
    assert!(res.payload.is_empty());
    assert!(admission::basic_response(&res).is_ok());
    let hash = relay::response_signable_hash(&res);
    let signature = &res.meta.as_ref().unwrap().supplier_operator_signature;
    verify_response(&hash, &Actor::named("supplier1").public_key, signature).unwrap();
    assert_eq!(message.relay_hash[..], relay::payload_hash(&message.relay_bytes));
    world.end().await;
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served_on_the_same_port() {
    let mut world = World::new().await;
    let relay = world.relay().await;
    for http2 in [true, false] {
        let request = Request::post(world.url()).body(Full::new(relay.bytes())).unwrap();
        client::exchange(request, http2).await.answer("supplier1");
    }
    assert_eq!(
        world.counted("ha_relayer_inbound_requests_by_proto_total", &[("proto", "h2c")]),
        1
    );
    assert_eq!(
        world.counted("ha_relayer_inbound_requests_by_proto_total", &[("proto", "http1")]),
        1
    );
    assert_eq!(world.published("supplier1").await.len(), 2);
    world.end().await;
}

#[tokio::test]
async fn backend_sees_the_inner_request_byte_for_byte_and_who_asks() {
    let mut world = World::new().await;
    let mut relay = world
        .relay()
        .await
        .to("GET", "https://staked.example/denoms/ibc%2FA%20b/?z=1&a=2&flag");
    relay.envelope.body_bz = Bytes::new();
    let two = Header {
        key: "X-Own".to_owned(),
        values: vec!["1".to_owned(), "2".to_owned()],
    };
    relay.envelope.header.insert("X-Own".to_owned(), two);
    let relay = relay
        .with_outer("rpc-type", "4")
        .with_outer("pocket-supplier", "forged")
        .with_outer("accept", "text/x");
    // The gateway sends the inner method outside, too, and any path.
    let reply = client::send(
        &format!("{}//odd/../path", world.url()),
        Method::GET,
        &relay.outer,
        relay.bytes(),
    )
    .await;
    reply.answer("supplier1");
    assert_eq!(reply.content_type, "text/x");

    let asked = world.backend.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].method, Method::GET);
    assert_eq!(asked[0].target, "/rest/denoms/ibc%2FA%20b/?z=1&a=2&flag");
    let headers = &asked[0].headers;
    assert_eq!(headers.get_all("x-own").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(headers["pocket-supplier"], Actor::named("supplier1").address.as_str());
    assert_eq!(headers["pocket-application"], Actor::named("app1").address.as_str());
    assert_eq!(headers["pocket-service"], "svc-http");
    assert_eq!(headers["accept-encoding"], "identity");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["x-configured"], "yes");
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn cometbft_relay_without_rpc_type_goes_to_the_services_default_backend() {
    let mut world = World::new().await;
    let mut relay = Relay::new(world.session_of("app5", "svc-comet").await, "supplier2").to("GET", "/status?height=5");
    relay.ring = vec!["app5".to_owned(), "gateway1".to_owned()];
    relay.send(&world.url()).await.answer("supplier2");
    assert_eq!(world.backend.asked()[0].target, "/status?height=5");
    assert_eq!(world.published("supplier2").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn backends_client_errors_and_empty_answers_are_relays_too() {
    let mut world = World::new().await;
    let relay = world.relay().await;
    for (url, status) in [("/status/404", 404), ("/status/301", 301), ("/nothing", 200)] {
        let answer = relay
            .clone()
            .to("POST", url)
            .send(&world.url())
            .await
            .answer("supplier1");
        assert_eq!(answer.status_code, status);
    }
    assert_eq!(world.published("supplier1").await.len(), 3);
    world.end().await;
}

#[tokio::test]
async fn application_signs_for_itself_and_repeats_itself_in_its_ring() {
    let mut world = World::new().await;
    let mut relay = world.relay().await;
    relay.signer = "app1".to_owned();
    relay.ring = vec!["app1".to_owned(), "app1".to_owned()];
    relay.send(&world.url()).await.answer("supplier1");
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn optimistic_relay_is_answered_and_then_verified_and_mined() {
    let mut world = World::with_service("validation_mode: optimistic").await;
    world.relay().await.send(&world.url()).await.answer("supplier1");
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn optimistic_service_verifies_the_first_relay_of_a_session_before_it_asks_the_backend() {
    let mut world = World::with_service("validation_mode: optimistic").await;
    let forged = world.relay().await.forged();
    assert_eq!(forged.send(&world.url()).await.status, 403);
    assert!(world.backend.asked().is_empty());
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn stranger_is_refused_at_a_glance_also_by_an_optimistic_service() {
    let mut world = World::with_service("validation_mode: optimistic").await;
    let honest = world.relay().await;
    honest.send(&world.url()).await.answer("supplier1");
    let mut relay = honest.clone();
    relay.signer = "gateway9".to_owned();
    relay.ring = vec!["app1".to_owned(), "gateway9".to_owned()];
    assert_eq!(relay.send(&world.url()).await.status, 403);
    assert_eq!(world.backend.asked().len(), 1);
    let signature = [("reason", "signature")];
    assert_eq!(world.counted("ha_relayer_validation_failures_total", &signature), 1);
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn optimistic_relay_that_is_not_believed_is_answered_but_not_mined() {
    let mut world = World::with_service("validation_mode: optimistic").await;
    let honest = world.relay().await;
    honest.send(&world.url()).await.answer("supplier1");
    // Nothing is wrong with it at a glance.
    honest.forged().send(&world.url()).await.answer("supplier1");
    assert_eq!(world.published("supplier1").await.len(), 1);
    assert_eq!(
        world.counted("ha_relayer_relays_dropped_total", &[("reason", "validation_failed")]),
        1
    );
    world.end().await;
}

#[tokio::test]
async fn relay_in_the_last_block_of_grace_is_served_and_mined() {
    let mut world = World::new().await;
    let relay = world.relay().await;
    world.advance_to(11).await;
    relay.send(&world.url()).await.answer("supplier1");
    let published = world.published("supplier1").await;
    assert_eq!(published.len(), 1);
    assert_eq!(
        (published[0].arrival_block_height, published[0].session_end_height),
        (11, 10)
    );
    world.end().await;
}

#[tokio::test]
async fn relayer_that_starts_in_grace_leaves_the_session_that_has_ended_to_others() {
    let world = World::new().await;
    let relay = world.relay().await;
    world.advance_to(11).await;
    // Miners may have looked for relayers before this one.
    let (another, url) = world.another().await;
    assert_eq!(
        relay.send(&url).await.refusal(),
        (403, r#"{"error":"relay validation failed: session expired"}"#)
    );
    relay.send(&world.url()).await.answer("supplier1");
    world.relay().await.send(&url).await.answer("supplier1");
    another.shutdown().await;
    world.end().await;
}

#[tokio::test]
async fn many_relays_at_once_are_all_mined() {
    let mut world = World::new().await;
    let relay = world.relay().await;
    let url = world.url();
    let sends = (0..200).map(|n| {
        let (relay, url) = (relay.clone().to("POST", &format!("/{n}")), url.clone());
        async move { relay.send(&url).await.answer("supplier1") }
    });
    futures::future::join_all(sends).await;
    let mut hashes: Vec<_> = world
        .published("supplier1")
        .await
        .into_iter()
        .map(|relay| relay.relay_hash)
        .collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 200);
    world.end().await;
}

#[tokio::test]
async fn health_and_readiness_are_told_on_the_relay_port() {
    let world = World::new().await;
    let height = world.devnet.height();
    for path in ["/health", "/healthz", "/ready"] {
        let reply = client::send(&format!("{}{path}", world.url()), Method::GET, &[], Bytes::new()).await;
        let told: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status.as_u16(), &told["status"]), (200, &"healthy".into()));
        assert_eq!(told["block_height"], height);
    }
    let ready = |service: &str| {
        let url = format!("{}/ready/{service}", world.url());
        async move { client::send(&url, Method::GET, &[], Bytes::new()).await }
    };
    let told: serde_json::Value = serde_json::from_slice(&ready("svc-http").await.body).unwrap();
    assert_eq!((&told["ready"], &told["backends"]["total"]), (&true.into(), &2.into()));
    assert_eq!(ready("svc-none").await.status.as_u16(), 404);
    assert_eq!(ready("").await.status.as_u16(), 400);
    world.end().await;
}

#[tokio::test]
async fn open_relay_is_answered_and_mined_while_the_relayer_shuts_down() {
    let mut world = World::new().await;
    let relay = world.relay().await.to("POST", "/held");
    let url = world.url();
    let open = tokio::spawn(async move { relay.send(&url).await });
    world.backend.wait_until_asked(1).await;
    let release = {
        let gate = world.backend.gate();
        async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            gate.add_permits(1);
        }
    };
    let (published, ()) = tokio::join!(world.published("supplier1"), release);
    open.await.unwrap().answer("supplier1");
    assert_eq!(published.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn application_without_gateways_signs_alone_and_is_counted() {
    let localnet = Localnet {
        delegate: false,
        ..Localnet::default()
    };
    let world = World::with(WorldConfig {
        localnet,
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await;
    // It delegates to nobody.
    assert_eq!(relay.send(&world.url()).await.status.as_u16(), 403);
    let mut alone = relay.clone();
    alone.signer = "app1".to_owned();
    alone.ring = vec!["app1".to_owned(), "app1".to_owned()];
    alone.send(&world.url()).await.answer("supplier1");
    assert_eq!(
        world.counted("ha_relayer_placeholder_rings_total", &[("service_id", "svc-http")]),
        1
    );
    world.end().await;
}

#[tokio::test]
async fn response_is_compressed_for_those_who_take_it_when_the_operator_wants_it() {
    let config = WorldConfig {
        top_level: "response_compression:\n  enabled: true\n  min_size_bytes: 1000".to_owned(),
        ..WorldConfig::default()
    };
    let mut world = World::with(config).await;
    let relay = world.relay().await.with_outer("accept-encoding", "gzip, br");
    let small = relay.clone().send(&world.url()).await;
    assert_eq!(small.content_encoding, None);
    small.answer("supplier1");
    let mut large = relay.to("POST", "/large").send(&world.url()).await;
    assert_eq!(large.content_encoding.as_deref(), Some("gzip"));
    assert!(large.body.len() < 100_000);
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&large.body[..]), &mut plain).unwrap();
    large.body = plain.into();
    assert_eq!(large.answer("supplier1").body_bz.len(), 1 << 20);
    assert_eq!(world.published("supplier1").await.len(), 2);
    world.end().await;
}
