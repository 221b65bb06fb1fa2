//! What an application can pay for: served so many times, by however many relayers, and not once more.

mod common;

use std::time::Duration;

use common::client::Relay;
use common::grpc::{GrpcBackend, call, channel};
use common::sockets;
use common::streaming::{SSE, StreamBackend, StreamReply};
use common::{World, WorldConfig};
use futures::SinkExt as _;
use pocket_devnet::{Actor, Localnet};

use pocket_proto::pocket::service::relay_service_client::RelayServiceClient;
use tokio_tungstenite::tungstenite::Message;
use tonic::Code;

const LIMIT_REACHED: (u16, &str) = (
    429,
    r#"{"error":"session relay limit reached: claimable portion fully consumed"}"#,
);
const UNAVAILABLE: (u16, &str) = (503, r#"{"error":"relay metering unavailable"}"#);
/// Upokt: 100 compute units of 100 each.
const PRICE: u128 = 10_000;

/// A stake that pays for so many relays of one supplier in one session: there may be 15 suppliers, and two sessions at
/// once are not settled.
fn stake_for(relays: u128) -> Localnet {
    Localnet {
        application_stake: relays * PRICE * 15 * 2,
        ..Localnet::default()
    }
}

async fn world_for(relays: u128, service: &str) -> World {
    World::with(WorldConfig {
        localnet: stake_for(relays),
        service: service.to_owned(),
        ..WorldConfig::default()
    })
    .await
}

/// A key of the current session's meter.
async fn meter_key(world: &World, what: &str) -> String {
    let (session, supplier) = (world.session().await.session_id, Actor::named("supplier1").address);
    format!("ha:meter:{session}:{supplier}:{what}")
}

/// Sends one relay after the other until one is not answered; tells how many were.
async fn send_until_refused(relay: &Relay, url: &str) -> (usize, (u16, String)) {
    for served in 0..1000 {
        let reply = relay.send(url).await;
        if reply.status != 200 {
            return (served, (reply.status.as_u16(), reply.text().to_owned()));
        }
    }
    panic!("never refused");
}

#[tokio::test]
async fn application_is_served_what_its_stake_pays_and_not_once_more() {
    let mut world = world_for(20, "validation_mode: eager").await;
    let relay = world.relay().await;
    let (served, refused) = send_until_refused(&relay, &world.url()).await;
    assert_eq!((served, (refused.0, refused.1.as_str())), (20, LIMIT_REACHED));
    assert_eq!(relay.send(&world.url()).await.refusal(), LIMIT_REACHED);
    assert_eq!(world.backend.asked().len(), 20);

    let counted = |result| world.counted("ha_relayer_relay_meter_consumptions_total", &[("result", result)]);
    assert_eq!((counted("within_limit"), counted("over_limit")), (20, 2));
    let exhausted = [("reason", "stake_exhausted")];
    assert_eq!(world.counted("ha_relayer_relays_rejected_total", &exhausted), 2);
    // Another supplier of the same session has a budget of its own.
    let other = Relay::new(world.session().await, "supplier2");
    other.send(&world.url()).await.answer("supplier2");
    assert_eq!(world.published("supplier1").await.len(), 20);
    world.end().await;
}

#[tokio::test]
async fn budget_and_consumption_stand_in_redis_as_the_peer_has_them() {
    let mut world = world_for(100, "validation_mode: eager").await;
    let (consumed, record) = (meter_key(&world, "consumed").await, meter_key(&world, "meta").await);
    for _ in 0..3 {
        world.relay().await.send(&world.url()).await.answer("supplier1");
    }
    let written: String = world.redis(&["GET", &record]).await;
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["max_stake_upokt"], 1_000_000);
    assert_eq!(written["created_with_app_stake"], 30_000_000);
    assert_eq!(written["service_id"], "svc-http");
    // What was leased and not used goes back at the end.
    world.published("supplier1").await;
    assert_eq!(world.redis::<i64>(&["GET", &consumed]).await, 30_000);
    world.end().await;
}

#[tokio::test]
async fn what_a_peer_has_consumed_is_consumed() {
    let world = world_for(100, "validation_mode: eager").await;
    let consumed = meter_key(&world, "consumed").await;
    world.redis::<String>(&["SET", &consumed, "970000"]).await;
    let (served, _) = send_until_refused(&world.relay().await, &world.url()).await;
    assert_eq!(served, 3);
    world.end().await;
}

#[tokio::test]
async fn relayers_share_one_budget() {
    let mut world = world_for(40, "validation_mode: eager").await;
    let (other, other_url) = world.another().await;
    let relay = world.relay().await;
    let mut served = 0;
    let mut refused_in_a_row = 0;
    // What one has leased only it can serve: both are asked until both say no.
    while refused_in_a_row < 2 {
        for url in [&world.url(), &other_url] {
            if relay.send(url).await.status == 200 {
                (served, refused_in_a_row) = (served + 1, 0);
            } else {
                refused_in_a_row += 1;
            }
        }
    }
    assert_eq!(served, 40);
    other.shutdown().await;
    assert_eq!(world.published("supplier1").await.len(), 40);
    world.end().await;
}

#[tokio::test]
async fn lease_that_is_not_used_serves_another_relayer_after_a_while() {
    let world = world_for(160, "validation_mode: eager").await;
    let (other, other_url) = world.another().await;
    let relay = world.relay().await;
    // Leases sixteen.
    relay.send(&other_url).await.answer("supplier1");
    let (served, _) = send_until_refused(&relay, &world.url()).await;
    assert_eq!(served, 144);
    let mut served = 145;
    while served < 160 {
        if relay.send(&world.url()).await.status == 200 {
            served += 1;
        } else {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert_eq!(relay.send(&world.url()).await.refusal(), LIMIT_REACHED);
    assert_eq!(relay.send(&other_url).await.refusal(), LIMIT_REACHED);
    other.shutdown().await;
    world.end().await;
}

#[tokio::test]
async fn what_a_peer_gives_back_is_served_again() {
    let world = world_for(2, "validation_mode: eager").await;
    let relay = world.relay().await;
    let (served, _) = send_until_refused(&relay, &world.url()).await;
    assert_eq!(served, 2);
    let consumed = meter_key(&world, "consumed").await;
    world.redis::<i64>(&["DECRBY", &consumed, "10000"]).await;
    while relay.send(&world.url()).await.status != 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(relay.send(&world.url()).await.refusal(), LIMIT_REACHED);
    world.end().await;
}

#[tokio::test]
async fn relay_that_the_backend_fails_is_not_charged() {
    let mut world = world_for(3, "validation_mode: eager").await;
    let relay = world.relay().await;
    // More than the stake pays for, and fewer than open the breaker.
    for _ in 0..4 {
        let failed = relay.clone().to("POST", "/status/500").send(&world.url()).await;
        assert_eq!(failed.status, 500);
    }
    let (served, _) = send_until_refused(&relay, &world.url()).await;
    assert_eq!(served, 3);
    assert_eq!(world.published("supplier1").await.len(), 3);
    world.end().await;
}

#[tokio::test]
async fn forged_relay_is_not_charged() {
    let world = world_for(2, "validation_mode: eager").await;
    let relay = world.relay().await;
    for _ in 0..5 {
        assert_eq!(relay.clone().forged().send(&world.url()).await.status, 403);
    }
    let (served, _) = send_until_refused(&relay, &world.url()).await;
    assert_eq!(served, 2);
    world.end().await;
}

#[tokio::test]
async fn optimistic_service_mines_only_what_is_paid_and_soon_refuses_the_rest() {
    let mut world = world_for(4, "validation_mode: optimistic").await;
    let relay = world.relay().await;
    let (served, refused) = send_until_refused(&relay, &world.url()).await;
    assert_eq!((refused.0, refused.1.as_str()), LIMIT_REACHED);
    assert!(served >= 4, "{served}");
    let published = world.published("supplier1").await.len();
    let unpaid = [("reason", "stake_exhausted")];
    let dropped = world.counted("ha_relayer_relays_dropped_total", &unpaid);
    assert_eq!((published, dropped), (4, served as u64 - 4));
    world.end().await;
}

#[tokio::test]
async fn service_factor_over_services_by_choice() {
    // The stake is sure to pay for two; the operator serves for all of it.
    let mut world = World::with(WorldConfig {
        localnet: stake_for(2),
        in_redis: vec![("ha:service_factor:default", r#"{"factor":0.5,"updated_at":1}"#)],
        ..WorldConfig::default()
    })
    .await;
    let (served, _) = send_until_refused(&world.relay().await, &world.url()).await;
    assert_eq!(served, 30);
    assert_eq!(world.published("supplier1").await.len(), 30);
    world.end().await;
}

#[tokio::test]
async fn service_factor_that_changes_changes_open_sessions() {
    let world = world_for(2, "validation_mode: eager").await;
    let relay = world.relay().await;
    let (served, _) = send_until_refused(&relay, &world.url()).await;
    assert_eq!(served, 2);
    let key = "ha:service_factor:service:svc-http";
    world
        .redis::<String>(&["SET", key, r#"{"factor":0.1,"updated_at":1}"#])
        .await;
    let mut served = 2;
    while served < 6 {
        if relay.send(&world.url()).await.status == 200 {
            served += 1;
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(relay.send(&world.url()).await.refusal(), LIMIT_REACHED);
    world.end().await;
}

#[tokio::test]
async fn meter_that_is_switched_off_limits_nobody() {
    let mut world = World::with(WorldConfig {
        localnet: stake_for(1),
        top_level: "relay_meter:\n  enabled: false".to_owned(),
        ..WorldConfig::default()
    })
    .await;
    for _ in 0..5 {
        world.relay().await.send(&world.url()).await.answer("supplier1");
    }
    assert_eq!(world.published("supplier1").await.len(), 5);
    world.end().await;
}

#[tokio::test]
async fn without_redis_fail_behavior_decides() {
    for (behavior, status) in [("open", 200), ("closed", 503)] {
        let world = World::with(WorldConfig {
            redis_is_away: true,
            top_level: format!("relay_meter:\n  fail_behavior: {behavior}"),
            ..WorldConfig::default()
        })
        .await;
        let reply = world.relay().await.send(&world.url()).await;
        assert_eq!(reply.status, status, "{behavior}");
        if status == 503 {
            assert_eq!(reply.refusal(), UNAVAILABLE);
            assert_eq!(reply.retry_after.as_deref(), Some("1"));
            assert!(world.backend.asked().is_empty());
            let labels = [("reason", "meter_error")];
            assert_eq!(world.counted("ha_relayer_relays_rejected_total", &labels), 1);
        }
        assert!(world.counted("ha_relayer_relay_meter_redis_errors_total", &[]) > 0);
        world.end().await;
    }
}

#[tokio::test]
async fn what_was_served_without_redis_is_counted_when_it_is_back() {
    let mut world = world_for(100, "validation_mode: eager").await;
    let relay = world.relay().await;
    let consumed = meter_key(&world, "consumed").await;
    world.stop_redis();
    for _ in 0..7 {
        relay.send(&world.url()).await.answer("supplier1");
    }
    world.start_redis_again().await;
    while world.redis::<Option<i64>>(&["GET", &consumed]).await.unwrap_or(0) < 70_000 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // And limits again.
    let (served, _) = send_until_refused(&relay, &world.url()).await;
    assert_eq!(served, 93);
    assert_eq!(world.published("supplier1").await.len(), 100);
    world.end().await;
}

#[tokio::test]
async fn keys_of_a_session_go_when_its_claim_may_come() {
    let world = world_for(100, "validation_mode: eager").await;
    world.relay().await.send(&world.url()).await.answer("supplier1");
    let keys = async || world.redis::<Vec<String>>(&["KEYS", "ha:meter:*"]).await;
    assert_eq!(keys().await.len(), 3);
    for key in keys().await {
        let left: i64 = world.redis(&["TTL", &key]).await;
        assert!((1..=7200).contains(&left), "{key}: {left}");
    }
    // The session ends at 10, its claim window opens at 12.
    world.advance_to(13).await;
    while !keys().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.end().await;
}

#[tokio::test]
async fn stream_is_one_relay_and_one_that_breaks_off_is_none() {
    let backend = StreamBackend::start().await;
    let mut world = World::with(WorldConfig {
        localnet: stake_for(1),
        backend: Some(backend.url()),
        ..WorldConfig::default()
    })
    .await;
    let (url, relay) = (world.url(), world.relay().await);
    for breaks_off in [true, false] {
        let opened = tokio::join!(StreamReply::open(&url, &relay, false), backend.answer("200 OK", SSE));
        let (mut reply, mut talk) = opened;
        talk.say(b"data: 1\n\n").await;
        if breaks_off {
            drop(talk);
            assert!(reply.rest().await.is_err());
        } else {
            talk.end().await;
            assert_eq!(reply.rest_of_bytes().await.unwrap(), "data: 1\n\n");
        }
    }
    assert_eq!(relay.send(&url).await.refusal(), LIMIT_REACHED);
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn call_is_charged_and_one_that_the_backend_fails_is_not() {
    let backend = GrpcBackend::start().await;
    let mut world = World::with(WorldConfig {
        localnet: stake_for(2),
        grpc: Some(backend.url.clone()),
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await;
    let mut client = RelayServiceClient::new(channel(&world).await);
    let mut send = async |method: &str| client.send_relay(call(&relay, method, b"hello").request()).await;
    for _ in 0..4 {
        assert_eq!(send("Down").await.unwrap_err().code(), Code::Unavailable);
    }
    for _ in 0..2 {
        send("Say").await.unwrap();
    }
    let refused = send("Say").await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::ResourceExhausted, "relay rejected - stake limit exceeded")
    );
    assert_eq!(world.published("supplier1").await.len(), 2);
    world.end().await;
}

#[tokio::test]
async fn each_answer_over_a_socket_is_charged_and_the_socket_closes_at_the_limit() {
    let (mut world, _backend) = sockets::world_with(WorldConfig {
        localnet: stake_for(4),
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await;
    let mut socket = sockets::open(&world).await;
    socket
        .send(Message::binary(sockets::frame(&relay, "push 10")))
        .await
        .unwrap();
    for _ in 0..4 {
        sockets::answer(&mut socket).await;
    }
    assert_eq!(sockets::closed_with(&mut socket).await, 4002);
    // Nor is a new socket's request passed on.
    let mut socket = sockets::open(&world).await;
    socket
        .send(Message::binary(sockets::frame(&relay, "hello")))
        .await
        .unwrap();
    assert_eq!(sockets::closed_with(&mut socket).await, 4002);
    assert_eq!(world.published("supplier1").await.len(), 4);
    world.end().await;
}

#[tokio::test]
async fn request_over_a_socket_that_is_not_answered_is_not_charged() {
    let (mut world, _backend) = sockets::world_with(WorldConfig {
        localnet: stake_for(1),
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await;
    for _ in 0..3 {
        let mut socket = sockets::open(&world).await;
        socket
            .send(Message::binary(sockets::frame(&relay, "close 1000")))
            .await
            .unwrap();
        assert_eq!(sockets::closed_with(&mut socket).await, 1000);
    }
    // The last socket may still be ending when the next is there.
    while relay.send(&world.url()).await.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}
