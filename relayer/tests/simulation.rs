//! Simulated relays: answered as real ones are, of pinned identities alone, never charged and never mined.

mod common;

use std::time::{SystemTime, UNIX_EPOCH};

use common::client::{Relay, verified};
use common::grpc::{GrpcBackend, call, channel};
use common::sockets;
use common::streaming::{SSE, StreamBackend, StreamReply};
use common::{World, WorldConfig};
use futures::SinkExt as _;
use pocket_devnet::Actor;

use pocket_proto::pocket::service::relay_service_client::RelayServiceClient;
use pocket_proto::pocket::session::SessionHeader;
use prost::Message as _;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tonic::Code;

const KEY_ID: &str = "pocket-simulation-key-id";

/// `simulation` with one identity: `operator` for `sim-app` and `sim-gateway`.
fn simulation(more: &str) -> String {
    let key = |name: &str| hex::encode(Actor::named(name).public_key);
    format!(
        "simulation:
  enabled: true
  identities:
    - key_id: operator
      enabled: true
      app_pubkey_hex: {}
      gateway_pubkeys_hex: [{}]
      {more}",
        key("sim-app"),
        key("sim-gateway")
    )
}

async fn world_with(more: &str) -> World {
    World::with(WorldConfig {
        top_level: simulation(more),
        ..WorldConfig::default()
    })
    .await
}

/// A fresh simulated relay, `ago` seconds old.
fn relay(ago: i64) -> Relay {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let header = SessionHeader {
        application_address: Actor::named("sim-app").address,
        service_id: "svc-http".to_owned(),
        session_id: format!("simv1:{}:{:016x}", now - ago, rand::random::<u64>()),
        session_start_block_height: 1,
        session_end_block_height: 2,
    };
    let mut relay = Relay::new(header, "supplier1").with_outer(KEY_ID, "operator");
    "sim-gateway".clone_into(&mut relay.signer);
    relay.ring = vec!["sim-app".to_owned(), "sim-gateway".to_owned()];
    relay
}

fn outcomes(world: &World, result: &str) -> u64 {
    world.counted("ha_relayer_simulated_relays_total", &[("result", result)])
}

#[tokio::test]
async fn simulated_relay_is_answered_signed_and_leaves_no_trace_among_real_ones() {
    for mode in ["eager", "optimistic"] {
        let mut world = World::with(WorldConfig {
            service: format!("validation_mode: {mode}"),
            top_level: simulation(""),
            ..WorldConfig::default()
        })
        .await;
        // Long after the end of its session.
        world.advance_to(15).await;
        let reply = relay(0).send(&world.url()).await;
        assert_eq!(reply.answer("supplier1").status_code, 200);
        assert_eq!(
            (reply.content_type.as_str(), reply.content_encoding),
            ("application/json", None)
        );
        assert_eq!(world.backend.asked().len(), 1);
        assert_eq!(outcomes(&world, "success"), 1);
        for name in ["received", "served", "rejected", "mined", "published", "dropped"] {
            assert_eq!(
                world.counted(&format!("ha_relayer_relays_{name}_total"), &[]),
                0,
                "{name}"
            );
        }
        assert_eq!(world.counted("ha_relayer_backend_requests_total", &[]), 0);
        assert!(world.redis::<Vec<String>>(&["KEYS", "ha:meter:*"]).await.is_empty());
        assert!(world.published("supplier1").await.is_empty());
        world.end().await;
    }
}

#[tokio::test]
async fn header_is_ignored_while_simulation_is_off() {
    let mut world = World::new().await;
    let real = world.relay().await.with_outer(KEY_ID, "operator");
    real.send(&world.url()).await.answer("supplier1");
    assert_eq!(relay(0).send(&world.url()).await.status, 403);
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn relay_is_admitted_once() {
    let world = world_with("").await;
    let once = relay(0);
    let bytes = once.bytes();
    let send = async || common::client::send(&world.url(), http::Method::POST, &once.outer, bytes.clone()).await;
    send().await.answer("supplier1");
    let again = send().await;
    assert_eq!(
        again.refusal(),
        (409, r#"{"error":"simulation rejected: request already seen"}"#)
    );
    assert_eq!(outcomes(&world, "replay_rejected"), 1);
    // A byte more would be another signature.
    let mut longer = once.request();
    if let Some(meta) = &mut longer.meta {
        meta.signature = [&meta.signature[..], &[0]].concat().into();
    }
    let longer = longer.encode_to_vec();
    let reply = common::client::send(&world.url(), http::Method::POST, &once.outer, longer.into()).await;
    assert_eq!(reply.status, 403);
    world.end().await;
}

#[tokio::test]
async fn what_is_not_pinned_or_not_fresh_is_refused() {
    let world = world_with("allowed_services: [svc-http]").await;
    let refused = async |spoil: fn(&mut Relay), status: u16, result: &str| {
        let before = outcomes(&world, result);
        let mut relay = relay(0);
        spoil(&mut relay);
        let reply = relay.send(&world.url()).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert!(
            reply.text().starts_with(r#"{"error":"simulation rejected: "#),
            "{}",
            reply.text()
        );
        assert_eq!(outcomes(&world, result), before + 1, "{}", reply.text());
    };
    refused(|relay| relay.outer[0].1 = "another".to_owned(), 403, "verify_failed").await;
    refused(
        |relay| relay.header.application_address = Actor::named("app1").address,
        403,
        "identity_mismatch",
    )
    .await;
    refused(
        |relay| relay.header.service_id = "svc-comet".to_owned(),
        403,
        "service_not_allowed",
    )
    .await;
    refused(
        |relay| relay.header.session_id = "simv1:now:00".to_owned(),
        400,
        "verify_failed",
    )
    .await;
    refused(
        |relay| relay.supplier = Actor::named("supplier9").address,
        403,
        "supplier_not_loaded",
    )
    .await;
    refused(|relay| relay.supplier.clear(), 400, "supplier_not_loaded").await;
    refused(|relay| relay.is_forged = true, 403, "verify_failed").await;
    refused(
        |relay| {
            relay.signer = "gateway1".to_owned();
            relay.ring = vec!["sim-app".to_owned(), "gateway1".to_owned()];
        },
        403,
        "verify_failed",
    )
    .await;
    for ago in [31, -32] {
        assert_eq!(relay(ago).send(&world.url()).await.status, 403);
    }
    assert!(world.backend.asked().is_empty());
    world.end().await;
}

#[tokio::test]
async fn rate_and_number_at_a_time_are_bounded() {
    let world = world_with("max_rps: 1\n  max_concurrent: 1").await;
    let held = relay(0).to("POST", "/held");
    let url = world.url();
    let first = tokio::spawn(async move { held.send(&url).await });
    world.backend.wait_until_asked(1).await;
    let reply = relay(0).send(&world.url()).await;
    assert_eq!(
        reply.refusal(),
        (429, r#"{"error":"simulation rejected: too many at a time"}"#)
    );
    world.backend.release();
    first.await.unwrap().answer("supplier1");
    // One a second: of many in a row most are too many.
    let mut refused = 0;
    for _ in 0..20 {
        refused += u32::from(relay(0).send(&world.url()).await.status == 429);
    }
    assert!(refused > 0);
    world.end().await;
}

#[tokio::test]
async fn without_redis_no_simulated_relay_is_admitted() {
    let world = World::with(WorldConfig {
        redis_is_away: true,
        top_level: simulation(""),
        ..WorldConfig::default()
    })
    .await;
    assert_eq!(relay(0).send(&world.url()).await.status, 503);
    assert_eq!(outcomes(&world, "dedup_unavailable"), 1);
    world.end().await;
}

#[tokio::test]
async fn expired_and_switched_off_identities_are_refused() {
    for more in ["not_after: 2020-01-01T00:00:00Z", "enabled: false"] {
        let top_level = if more.starts_with("enabled") {
            simulation("").replace("      enabled: true", "      enabled: false")
        } else {
            simulation(more)
        };
        let world = World::with(WorldConfig {
            top_level,
            ..WorldConfig::default()
        })
        .await;
        assert_eq!(relay(0).send(&world.url()).await.status, 403, "{more}");
        world.end().await;
    }
}

#[tokio::test]
async fn failed_backend_is_told_apart() {
    let world = world_with("").await;
    let reply = relay(0).to("POST", "/status/500").send(&world.url()).await;
    assert_eq!(reply.status, 500);
    assert_eq!(outcomes(&world, "backend_error"), 1);
    world.end().await;
}

#[tokio::test]
async fn simulated_stream_is_signed_and_not_mined() {
    let backend = StreamBackend::start().await;
    let mut world = World::with(WorldConfig {
        top_level: simulation(""),
        backend: Some(backend.url()),
        ..WorldConfig::default()
    })
    .await;
    let (url, relay) = (world.url(), relay(0));
    let opened = tokio::join!(StreamReply::open(&url, &relay, false), backend.answer("200 OK", SSE));
    let (mut reply, mut talk) = opened;
    talk.say(b"data: 1\n\n").await;
    talk.end().await;
    assert_eq!(reply.rest_of_bytes().await.unwrap(), "data: 1\n\n");
    assert_eq!(outcomes(&world, "success"), 1);
    assert_eq!(world.counted("ha_relayer_relays_served_total", &[]), 0);
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn simulated_call_is_answered_signed_and_not_mined() {
    let backend = GrpcBackend::start().await;
    let mut world = World::with(WorldConfig {
        top_level: simulation(""),
        grpc: Some(backend.url.clone()),
        ..WorldConfig::default()
    })
    .await;
    let request = call(&relay(0), "Say", b"hello").request();
    let mut client = RelayServiceClient::new(channel(&world).await);
    let mut send = async || {
        let mut request = tonic::Request::new(request.clone());
        request.metadata_mut().insert(KEY_ID, "operator".parse().unwrap());
        client.send_relay(request).await
    };
    let response = send().await.unwrap().into_inner();
    assert_eq!(verified(&response.encode_to_vec(), "supplier1").status_code, 200);
    assert_eq!(backend.asked().len(), 1);
    assert_eq!(send().await.unwrap_err().code(), Code::AlreadyExists);
    let labels = [("transport", "grpc"), ("result", "success")];
    assert_eq!(world.counted("ha_relayer_simulated_relays_total", &labels), 1);
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn simulated_socket_admits_each_frame_and_mines_none() {
    let (mut world, _backend) = sockets::world_with(WorldConfig {
        top_level: simulation(""),
        ..WorldConfig::default()
    })
    .await;
    let open = async || {
        let mut handshake = sockets::handshake(&world, "svc-http");
        handshake.headers_mut().insert(KEY_ID, "operator".parse().unwrap());
        connect_async(handshake).await.unwrap().0
    };
    let mut socket = open().await;
    let mut last = None;
    // Two requests, each of a session of its own, long after its end.
    for said in ["one", "two"] {
        let frame = sockets::frame(&relay(0), said);
        last = Some(frame.clone());
        socket.send(Message::binary(frame)).await.unwrap();
        assert_eq!(sockets::answer(&mut socket).await.1.payload, said);
    }
    assert_eq!(outcomes(&world, "success"), 2);
    socket.send(Message::binary(last.unwrap())).await.unwrap();
    assert_eq!(sockets::closed_with(&mut socket).await, 4001);
    assert_eq!(outcomes(&world, "replay_rejected"), 1);
    // A real relay is none of a simulated socket.
    let mut socket = open().await;
    socket
        .send(Message::binary(sockets::frame(&world.relay().await, "real")))
        .await
        .unwrap();
    assert_eq!(sockets::closed_with(&mut socket).await, 4001);
    for name in ["received", "served", "rejected", "published"] {
        assert_eq!(
            world.counted(&format!("ha_relayer_relays_{name}_total"), &[]),
            0,
            "{name}"
        );
    }
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}
