//! Backends that are asked whether they are well, and left alone when they are not; and what the relayer says when it is
//! asked itself.

mod common;
#[path = "probes/status.rs"]
mod status;

use std::time::Duration;

use common::fleet::{Node, Way};
use common::{World, WorldConfig};
use futures::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// A world with two JSON-RPC nodes that are probed every second, out and back after one probe.
async fn world(a: &Node, b: &Node, probe: &str) -> World {
    let backends = format!(
        "jsonrpc:
  urls: [{{name: a, url: '{}'}}, {{name: b, url: '{}'}}]
  recovery_timeout_seconds: 0
  health_check:
    enabled: true
    interval_seconds: 1
    unhealthy_threshold: 1
    healthy_threshold: 1
    {}
",
        a.url(),
        b.url(),
        probe.replace('\n', "\n    ")
    );
    World::with(WorldConfig {
        backends: Some(backends),
        ..WorldConfig::default()
    })
    .await
}

fn is_healthy(world: &World, endpoint: &str) -> bool {
    world.gauge_of("ha_relayer_backend_health_status", &[("endpoint", endpoint)]) == 1
}

async fn names(world: &World, count: usize) -> String {
    let relay = world.relay().await;
    let mut names = String::new();
    for _ in 0..count {
        let answer = relay.send(&world.url()).await.answer("supplier1");
        names.push_str(std::str::from_utf8(&answer.body_bz).unwrap());
    }
    names
}

/// A node whose probe fails is left alone, and asked again once it is well.
async fn sick_node_is_left_alone_and_comes_back(probe: &str, sick: (u16, &'static [u8]), well: (u16, &'static [u8])) {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    a.is_well(sick.0, sick.1);
    b.is_well(well.0, well.1);
    let world = world(&a, &b, probe).await;
    world.wait_until(|world| !is_healthy(world, "a")).await;
    assert_eq!(names(&world, 4).await, "bbbb");
    assert!(world.counted("ha_relayer_health_check_failures_total", &[("endpoint", "a")]) > 0);
    world
        .wait_until(|world| world.counted("ha_relayer_health_check_successes_total", &[("endpoint", "b")]) > 0)
        .await;
    a.is_well(well.0, well.1);
    world.wait_until(|world| is_healthy(world, "a")).await;
    let names = names(&world, 2).await;
    assert!(names.contains('a') && names.contains('b'), "{names}");
    world.end().await;
}

#[tokio::test]
async fn http_probe_takes_a_node_out_and_back() {
    let probe = "endpoint: /probe\nexpected_status: [204]";
    sick_node_is_left_alone_and_comes_back(probe, (200, b""), (204, b"")).await;
}

#[tokio::test]
async fn node_that_is_still_syncing_is_found_by_the_expected_result() {
    let probe = "type: jsonrpc\nendpoint: /probe\nrpc_method: eth_syncing\nexpected_result: false";
    let (sick, well): (&[u8], &[u8]) = (br#"{"result":{"currentBlock":"0x1"}}"#, br#"{"id":1,"result":false}"#);
    sick_node_is_left_alone_and_comes_back(probe, (200, sick), (200, well)).await;
}

#[tokio::test]
async fn grpc_health_decides() {
    let (sick, well): (&[u8], &[u8]) = (&[0, 0, 0, 0, 2, 8, 2], &[0, 0, 0, 0, 2, 8, 1]);
    sick_node_is_left_alone_and_comes_back("type: grpc", (200, sick), (200, well)).await;
}

#[tokio::test]
async fn service_is_unready_while_all_its_nodes_are_sick() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    for node in [&a, &b] {
        node.is_well(500, b"");
    }
    let world = world(&a, &b, "endpoint: /probe").await;
    world
        .wait_until(|world| !is_healthy(world, "a") && !is_healthy(world, "b"))
        .await;
    let relay = world.relay().await;
    assert_eq!(relay.send(&world.url()).await.status.as_u16(), 503);
    assert_eq!(a.asked() + b.asked(), 0);
    let get = |path: &str| {
        let url = format!("{}{path}", world.url());
        async move { common::client::send(&url, http::Method::GET, &[], bytes::Bytes::new()).await }
    };
    let ready = get("/ready/svc-http").await;
    assert_eq!(ready.status.as_u16(), 503);
    let body: serde_json::Value = serde_json::from_slice(&ready.body).unwrap();
    assert_eq!(body["ready"], false);
    assert_eq!(body["backends"]["total"], 2);
    assert_eq!(body["backends"]["healthy"], 0);
    assert_eq!(body["backends"]["endpoints"][0]["name"], "a");
    assert_eq!(body["backends"]["endpoints"][0]["state"], "down");
    a.is_well(200, b"");
    world.wait_until(|world| is_healthy(world, "a")).await;
    assert_eq!(get("/ready/svc-http").await.status.as_u16(), 200);
    assert_eq!(names(&world, 2).await, "aa");
    world.end().await;
}

#[tokio::test]
async fn good_probe_lets_a_relay_try_an_endpoint_that_failed_relays() {
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let world = world(&a, &b, "endpoint: /probe").await;
    a.go(Way::Status(500));
    let relay = world.relay().await.to("GET", "/");
    // There is no recovery by time. A relay that finds the bad one is retried at the good one.
    while a.asked() == 0 {
        relay.send(&world.url()).await.answer("supplier1");
    }
    a.go(Way::Answer);
    while a.asked() == 1 {
        relay.send(&world.url()).await.answer("supplier1");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.wait_until(|world| is_healthy(world, "a")).await;
    world.end().await;
}

#[tokio::test]
async fn socket_opens_at_a_backend_that_takes_sockets() {
    // The first answers HTTP, but opens no socket.
    let plain = Node::start("a").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut sockets = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            sockets.spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(socket).await else {
                    return;
                };
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_binary() && socket.send(Message::binary("from b")).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let urls = format!(
        "urls: [{{name: a, url: '{}'}}, {{name: b, url: 'ws://localhost:{port}'}}]",
        plain.url()
    )
    .replace("http://", "ws://");
    let probe = "health_check: {enabled: true, interval_seconds: 1, unhealthy_threshold: 1}";
    let world = World::with(WorldConfig {
        backends: Some(format!(
            "websocket:\n  {urls}\n  load_balancing: first_healthy\n  max_retries: 1\n  {probe}\n"
        )),
        ..WorldConfig::default()
    })
    .await;
    // Whether the probe came first or the retry does it: the socket is the second one's.
    for is_out in [false, true] {
        if is_out {
            world.wait_until(|world| !is_healthy(world, "a")).await;
        }
        let mut request = world.url().replace("http", "ws").into_client_request().unwrap();
        request
            .headers_mut()
            .insert("target-service-id", "svc-http".parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        let relay = world.relay().await.request_of("ask".into());
        socket.send(Message::binary(relay.encode_to_vec())).await.unwrap();
        let Message::Binary(wire) = socket.next().await.unwrap().unwrap() else {
            panic!()
        };
        assert!(wire.windows(6).any(|window| window == b"from b"));
        socket.close(None).await.unwrap();
    }
    world.end().await;
}
