//! Several backends behind one service: which one is asked, and which ones are left alone.

mod common;

use std::time::Duration;

use common::client::Relay;
use common::fleet::{Node, Way};
use common::grpc::{GrpcBackend, call, framed};
use common::streaming::{SSE, StreamBackend, StreamReply};
use common::{NOWHERE, World, WorldConfig};

const UNAVAILABLE: &str = r#"{"error":"service temporarily unavailable","service":"svc-http"}"#;

/// A world whose JSON-RPC relays go to these nodes, with these keys beside their URLs.
async fn world(nodes: &[&Node], keys: &str) -> World {
    World::with(WorldConfig {
        backends: Some(backend("jsonrpc", nodes, keys)),
        ..WorldConfig::default()
    })
    .await
}

fn backend(kind: &str, nodes: &[&Node], keys: &str) -> String {
    let names = ["a", "b", "c"];
    let url = |(name, node): (&&str, &&Node)| format!("\n    - {{name: {name}, url: '{}'}}", node.url());
    let urls: String = names.iter().zip(nodes).map(url).collect();
    let keys = keys.replace('\n', "\n  ");
    format!("{kind}:\n  urls:{urls}\n  {keys}\n")
}

async fn two() -> (Node, Node) {
    (Node::start("a").await, Node::start("b").await)
}

/// Who answers.
async fn answered_by(world: &World, relay: &Relay) -> String {
    let answer = relay.send(&world.url()).await.answer("supplier1");
    String::from_utf8(answer.body_bz.to_vec()).unwrap()
}

async fn sent(world: &World, relay: &Relay, count: usize) -> String {
    let mut names = String::new();
    for _ in 0..count {
        names.push_str(&answered_by(world, relay).await);
    }
    names
}

#[tokio::test]
async fn round_robin_is_the_way_of_several_urls() {
    let (a, b) = two().await;
    let world = world(&[&a, &b], "").await;
    let relay = world.relay().await;
    assert_eq!(sent(&world, &relay, 6).await, "ababab");
    world.end().await;
}

#[tokio::test]
async fn first_healthy_leaves_the_others_alone() {
    let (a, b) = two().await;
    let world = world(&[&a, &b], "load_balancing: first_healthy").await;
    let relay = world.relay().await;
    assert_eq!(sent(&world, &relay, 4).await, "aaaa");
    assert_eq!(b.asked(), 0);
    world.end().await;
}

#[tokio::test]
async fn least_latency_goes_to_the_faster_one() {
    let (a, b) = two().await;
    a.go(Way::AnswerAfter(Duration::from_millis(300)));
    let world = world(&[&a, &b], "load_balancing: least_latency").await;
    let relay = world.relay().await;
    sent(&world, &relay, 2).await;
    assert_eq!((a.asked(), b.asked()), (1, 1));
    assert_eq!(sent(&world, &relay, 5).await, "bbbbb");
    world.end().await;
}

#[tokio::test]
async fn breaker_opens_tries_one_relay_and_closes() {
    let node = Node::start("a").await;
    node.go(Way::Status(500));
    let keys = "recovery_timeout_seconds: 1\nhealth_check: {unhealthy_threshold: 2}";
    let mut world = world(&[&node], keys).await;
    let relay = world.relay().await;
    for _ in 0..2 {
        assert_eq!(relay.send(&world.url()).await.status.as_u16(), 500);
    }
    assert_eq!(relay.send(&world.url()).await.refusal(), (503, UNAVAILABLE));
    assert_eq!(node.asked(), 2);
    assert_eq!(world.counted("ha_relayer_fast_fails_total", &[]), 1);
    let labels = [("service_id", "svc-http:jsonrpc"), ("endpoint", "a")];
    assert_eq!(world.gauge_of("ha_relayer_backend_health_status", &labels), 0);

    // Half-open: the relay that tries fails, and the breaker is open again.
    while relay.send(&world.url()).await.status.as_u16() == 503 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(node.asked(), 3);
    assert_eq!(relay.send(&world.url()).await.refusal(), (503, UNAVAILABLE));
    assert_eq!(node.asked(), 3);

    node.go(Way::Answer);
    while relay.send(&world.url()).await.status.as_u16() == 503 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(sent(&world, &relay, 2).await, "aa");
    assert_eq!(world.gauge_of("ha_relayer_backend_health_status", &labels), 1);
    let changes = |state| world.counted("ha_relayer_backend_state_changes_total", &[("state", state)]);
    assert_eq!([changes("open"), changes("half_open"), changes("closed")], [2, 2, 1]);
    assert_eq!(world.published("supplier1").await.len(), 3);
    world.end().await;
}

#[tokio::test]
async fn retry_reaches_the_second_backend_and_the_relay_is_mined_once() {
    let (a, b) = two().await;
    for way in [Way::Status(503), Way::HangUp] {
        a.go(way);
        let mut world = world(&[&a, &b], "load_balancing: first_healthy").await;
        let relay = world.relay().await.to("GET", "/x");
        assert_eq!(sent(&world, &relay, 1).await, "b");
        assert_eq!(world.counted("ha_relayer_backend_retries_total", &[]), 1);
        assert_eq!(world.published("supplier1").await.len(), 1);
        world.end().await;
    }
}

#[tokio::test]
async fn post_that_was_sent_is_not_retried() {
    let (a, b) = two().await;
    let mut world = world(&[&a, &b], "load_balancing: first_healthy").await;
    let relay = world.relay().await;
    a.go(Way::Status(503));
    assert_eq!(relay.send(&world.url()).await.status.as_u16(), 503);
    a.go(Way::HangUp);
    assert_eq!(relay.send(&world.url()).await.status.as_u16(), 502);
    assert_eq!((a.asked(), b.asked()), (2, 0));
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn post_that_never_reached_a_backend_is_retried() {
    let (mut a, b) = two().await;
    a.stop().await;
    let mut world = world(&[&a, &b], "load_balancing: first_healthy").await;
    let relay = world.relay().await;
    assert_eq!(sent(&world, &relay, 1).await, "b");
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn post_is_retried_when_the_operator_says_that_it_may_be() {
    let (a, b) = two().await;
    a.go(Way::Status(500));
    let world = world(&[&a, &b], "load_balancing: first_healthy\nretry_requests: all").await;
    let relay = world.relay().await;
    assert_eq!(sent(&world, &relay, 1).await, "b");
    world.end().await;
}

#[tokio::test]
async fn without_retries_the_first_answer_stands() {
    let (a, b) = two().await;
    a.go(Way::Status(500));
    let world = world(&[&a, &b], "load_balancing: first_healthy\nmax_retries: 0").await;
    let relay = world.relay().await.to("GET", "/");
    assert_eq!(relay.send(&world.url()).await.status.as_u16(), 500);
    assert_eq!(b.asked(), 0);
    world.end().await;
}

#[tokio::test]
async fn dead_endpoint_is_left_alone_and_comes_back() {
    let (mut a, b) = two().await;
    a.stop().await;
    let keys = "recovery_timeout_seconds: 1\nhealth_check: {unhealthy_threshold: 1}";
    let mut world = world(&[&a, &b], keys).await;
    let relay = world.relay().await;
    assert_eq!(sent(&world, &relay, 4).await, "bbbb");
    assert_eq!(world.counted("ha_relayer_backend_retries_total", &[]), 1);
    a.start_again().await;
    let mut count = 4;
    loop {
        count += 1;
        if answered_by(&world, &relay).await == "a" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.published("supplier1").await.len(), count);
    world.end().await;
}

#[tokio::test]
async fn timeout_is_not_retried_and_opens_no_breaker() {
    let (a, b) = two().await;
    a.go(Way::Stall);
    // The head is due long before the whole answer: a profile of one's own.
    let config = WorldConfig {
        backends: Some(backend(
            "jsonrpc",
            &[&a, &b],
            "load_balancing: first_healthy\nhealth_check: {unhealthy_threshold: 1}",
        )),
        service: "validation_mode: eager\ntimeout_profile: own".to_owned(),
        top_level:
            "timeout_profiles:\n  own:\n    request_timeout_seconds: 300\n    response_header_timeout_seconds: 1"
                .to_owned(),
        ..WorldConfig::default()
    };
    let world = World::with(config).await;
    let relay = world.relay().await.to("GET", "/");
    assert_eq!(
        relay.send(&world.url()).await.refusal(),
        (502, r#"{"error":"backend error"}"#)
    );
    a.wait_until_given_up().await;
    assert_eq!((a.asked(), b.asked()), (1, 0));
    a.go(Way::Answer);
    assert_eq!(sent(&world, &relay, 1).await, "a");
    world.end().await;
}

#[tokio::test]
async fn streaming_profile_waits_for_a_head_longer_than_the_fast_one_does() {
    let (a, b) = two().await;
    for (profile, status) in [("streaming", 200), ("fast", 502)] {
        a.go(Way::AnswerAfter(Duration::from_millis(1500)));
        let config = WorldConfig {
            backends: Some(backend("jsonrpc", &[&a, &b], "load_balancing: first_healthy")),
            service: format!("validation_mode: eager\ntimeout_profile: {profile}"),
            top_level: "timeout_profiles:\n  fast:\n    request_timeout_seconds: 1".to_owned(),
            ..WorldConfig::default()
        };
        let world = World::with(config).await;
        let reply = world.relay().await.send(&world.url()).await;
        assert_eq!(reply.status.as_u16(), status, "{profile}");
        world.end().await;
    }
}

#[tokio::test]
async fn hedge_asks_a_second_backend_when_the_first_is_slow() {
    let (a, b) = two().await;
    a.go(Way::Stall);
    let keys = "load_balancing: first_healthy\nhedge_after_ms: 20";
    let mut world = world(&[&a, &b], keys).await;
    let relay = world.relay().await.to("GET", "/");
    assert_eq!(sent(&world, &relay, 1).await, "b");
    // The slow one is not left at work for nobody.
    a.wait_until_given_up().await;
    for outcome in ["sent", "won"] {
        assert_eq!(
            world.counted("ha_relayer_backend_hedges_total", &[("outcome", outcome)]),
            1
        );
    }
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn hedge_is_not_for_requests_that_may_not_be_repeated() {
    let (a, b) = two().await;
    a.go(Way::AnswerAfter(Duration::from_millis(200)));
    let world = world(&[&a, &b], "load_balancing: first_healthy\nhedge_after_ms: 1").await;
    let relay = world.relay().await;
    assert_eq!(sent(&world, &relay, 1).await, "a");
    assert_eq!(b.asked(), 0);
    world.end().await;
}

#[tokio::test]
async fn relays_of_a_type_fall_back_on_another_when_its_backends_are_out() {
    let (mut json, rest) = two().await;
    json.stop().await;
    let keys = "recovery_timeout_seconds: 0\nhealth_check: {unhealthy_threshold: 1}";
    let backends = backend("jsonrpc", &[&json], keys) + &backend("rest", &[&rest], "");
    let world = World::with(WorldConfig {
        backends: Some(backends),
        service: "validation_mode: eager\nfallback_backends: [rest]".to_owned(),
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await;
    assert_eq!(relay.send(&world.url()).await.status.as_u16(), 502);
    assert_eq!(sent(&world, &relay, 2).await, "bb");
    // One for which there never was a backend, too; a word that is no type stays refused.
    let comet = relay.clone().with_outer("rpc-type", "5");
    assert_eq!(sent(&world, &comet, 1).await, "b");
    let unknown = relay.clone().with_outer("rpc-type", "9");
    assert_eq!(unknown.send(&world.url()).await.refusal(), (503, UNAVAILABLE));
    let labels = [("rpc_type", "jsonrpc"), ("served_by", "rest")];
    assert_eq!(world.counted("ha_relayer_backend_fallbacks_total", &labels), 2);
    world.end().await;
}

#[tokio::test]
async fn type_without_a_backend_is_refused_unless_there_is_a_fallback() {
    let node = Node::start("a").await;
    let world = world(&[&node], "").await;
    let relay = world.relay().await.with_outer("rpc-type", "4");
    assert_eq!(relay.send(&world.url()).await.refusal(), (503, UNAVAILABLE));
    assert_eq!(node.asked(), 0);
    world.end().await;
}

#[tokio::test]
async fn one_connection_serves_one_relay_after_another_where_no_more_are_allowed() {
    let node = Node::start("a").await;
    node.go(Way::AnswerAfter(Duration::from_millis(50)));
    let world = World::with(WorldConfig {
        backends: Some(backend("jsonrpc", &[&node], "")),
        top_level: "http_transport:\n  max_conns_per_host: 1".to_owned(),
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await;
    let url = world.url();
    let relays = (0..5).map(|_| relay.send(&url));
    for reply in futures::future::join_all(relays).await {
        reply.answer("supplier1");
    }
    assert_eq!((node.asked(), node.connections()), (5, 1));
    assert_eq!(
        world.gauge_of("ha_relayer_http_pool_max_conns", &[("service_id", "svc-http")]),
        1
    );
    assert_eq!(world.gauge_of("ha_relayer_http_pool_in_flight", &[]), 0);
    world.end().await;
}

#[tokio::test]
async fn stream_comes_from_a_backend_that_is_there_and_holds_its_place_until_it_ends() {
    let mut dead = Node::start("a").await;
    dead.stop().await;
    let backend = StreamBackend::start().await;
    let urls = format!("urls: ['{}', '{}']", dead.url(), backend.url());
    let mut world = World::with(WorldConfig {
        backends: Some(format!("jsonrpc:\n  {urls}\n  load_balancing: first_healthy")),
        top_level: "http_transport:\n  max_conns_per_host: 1".to_owned(),
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await;
    let url = world.url();
    let (mut reply, mut talk) = tokio::join!(StreamReply::open(&url, &relay, false), backend.answer("200 OK", SSE));
    talk.say(b"data: 1\n").await;
    assert_eq!(reply.batch().await.unwrap().unwrap().body_bz, "data: 1\n");

    let second = {
        let (relay, url) = (relay.clone().to("POST", "/second"), url.clone());
        tokio::spawn(async move { StreamReply::open(&url, &relay, false).await })
    };
    world
        .wait_until(|world| world.gauge_of("ha_relayer_http_pool_in_flight", &[]) == 1)
        .await;
    talk.end().await;
    assert!(reply.batch().await.unwrap().is_none());
    backend.answer("200 OK", SSE).await.end().await;
    assert!(second.await.unwrap().rest_of_bytes().await.unwrap().is_empty());
    assert_eq!(world.observed("ha_relayer_http_pool_wait_seconds", &[]), 1);
    assert_eq!(world.published("supplier1").await.len(), 2);
    world.end().await;
}

#[tokio::test]
async fn call_reaches_the_second_grpc_backend_when_the_first_is_dead() {
    let backend = GrpcBackend::start().await;
    let urls = format!("urls: ['grpc://{NOWHERE}', '{}']", backend.url);
    let mut world = World::with(WorldConfig {
        backends: Some(format!("grpc:\n  {urls}\n  load_balancing: first_healthy")),
        ..WorldConfig::default()
    })
    .await;
    let relay = call(&world.relay().await, "Say", b"hello").with_outer("rpc-type", "1");
    let answer = relay.send(&world.url()).await.answer("supplier1");
    assert_eq!(answer.body_bz, framed(b"hello"));
    assert_eq!(world.counted("ha_relayer_backend_retries_total", &[]), 1);
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn backend_that_fails_much_is_ejected_for_a_while() {
    let (a, b) = two().await;
    a.go(Way::Status(500));
    // Its breaker bears it.
    let keys = "health_check: {unhealthy_threshold: 1000}
outlier_ejection: {enabled: true, interval_seconds: 1, min_relays: 2, ejection_seconds: 5}";
    let world = world(&[&a, &b], keys).await;
    let relay = world.relay().await;
    let is_in = |world: &World| world.gauge_of("ha_relayer_backend_health_status", &[("endpoint", "a")]) == 1;
    while is_in(&world) {
        relay.send(&world.url()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = a.asked();
    assert_eq!(sent(&world, &relay, 4).await, "bbbb");
    assert_eq!(a.asked(), asked);
    a.go(Way::Answer);
    world.wait_until(is_in).await;
    let names = sent(&world, &relay, 2).await;
    assert!(names.contains('a') && names.contains('b'), "{names}");
    let ejected = [("endpoint", "a"), ("state", "ejected")];
    assert_eq!(world.counted("ha_relayer_backend_state_changes_total", &ejected), 1);
    world.end().await;
}
