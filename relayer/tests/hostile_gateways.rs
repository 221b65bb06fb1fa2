//! Gateways that misbehave: each is told or cut off, nothing is mined by mistake, and others are served on.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::backend::Backend;
use common::raw::{RawGateway, reset};
use common::{World, WorldConfig, client};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::AsyncReadExt as _;

const RECEIVED: &str = "ha_relayer_relays_received_total";
const UNREADABLE: &str = r#"{"error":"failed to read request body"}"#;
const TOO_LARGE: &str = r#"{"error":"request body too large"}"#;

/// Gateways have a second for everything, backends too; bodies may have so many bytes.
async fn impatient() -> World {
    World::with(WorldConfig {
        top_level: "inbound: {idle_timeout_seconds: 1, stall_timeout_seconds: 1}
default_request_timeout_seconds: 1
timeout_profiles: {fast: {}}
default_max_body_size_bytes: 3000000"
            .to_owned(),
        ..WorldConfig::default()
    })
    .await
}

/// Serves a good relay still, has mined it alone, and has let go of everything else.
async fn ends_well(mut world: World) {
    let relay = world.relay().await;
    let asked = world.backend.asked().len();
    relay.send(&world.url()).await.answer("supplier1");
    assert_eq!(world.backend.asked().len(), asked + 1);
    // A keep-alive connection of the good relay may be open still.
    while world.gauge("ha_relayer_active_connections") > 1 || world.gauge("ha_relayer_relays_in_flight") > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

/// What the relayer says to a gateway that writes this and then nothing.
async fn told(world: &World, bytes: impl AsRef<[u8]>) -> String {
    let mut gateway = RawGateway::connect(world.address()).await;
    gateway.say(bytes).await;
    gateway.rest().await
}

/// Writes the same a few times a second until the relayer hangs up; what it said.
async fn dripped(world: &World, head: &str, drop: &str) -> String {
    let mut gateway = RawGateway::connect(world.address()).await;
    gateway.say(head).await;
    let mut said = Vec::new();
    loop {
        gateway.say(drop).await;
        match tokio::time::timeout(Duration::from_millis(200), gateway.0.read_buf(&mut said)).await {
            Err(_) => {}
            Ok(Ok(read)) if read > 0 => {}
            Ok(_) => return String::from_utf8(said).unwrap(),
        }
    }
}

#[tokio::test]
async fn slow_head_is_cut_off_even_when_it_drips() {
    let world = impatient().await;
    let (silent, half, slow) = tokio::join!(
        told(&world, ""),
        told(&world, "POST / HTTP/1.1\r\nHost: x\r\nX-Half"),
        dripped(&world, "POST / HTTP/1.1\r\n", "X-More: and more\r\n"),
    );
    for answer in [silent, half, slow] {
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    assert_eq!(world.counted(RECEIVED, &[]), 0);
    ends_well(world).await;
}

#[tokio::test]
async fn slow_body_is_refused_even_when_it_drips() {
    let world = impatient().await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    let (silent, half, slow) = tokio::join!(
        told(&world, head),
        told(&world, format!("{head}half")),
        dripped(&world, head, "x"),
    );
    for answer in [silent, half, slow] {
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.ends_with(UNREADABLE), "{answer}");
    }
    ends_well(world).await;
}

#[tokio::test]
async fn huge_head_is_refused() {
    let world = impatient().await;
    let begin = "POST / HTTP/1.1\r\nHost: x\r\n";
    let (large, many, endless) = tokio::join!(
        told(&world, format!("{begin}X-Large: {}\r\n\r\n", "x".repeat(2 << 20))),
        told(&world, format!("{begin}{}\r\n", "X-Many: y\r\n".repeat(1000))),
        told(&world, format!("POST /{} HTTP/1.1\r\n", "y".repeat(2 << 20))),
    );
    assert!(large.starts_with("HTTP/1.1 431"), "{large}");
    assert!(many.starts_with("HTTP/1.1 431"), "{many}");
    // A reset may overtake the answer to a line that is still being written.
    assert!(endless.is_empty() || endless.starts_with("HTTP/1.1 4"), "{endless}");
    assert_eq!(world.counted(RECEIVED, &[]), 0);
    ends_well(world).await;
}

#[tokio::test]
async fn huge_head_over_http2_is_refused() {
    let world = impatient().await;
    let mut request = Request::post(world.url());
    for number in 0..200 {
        request = request.header(format!("x-large-{number}"), "x".repeat(10_000));
    }
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let answer = client.request(request.body(Full::<Bytes>::default()).unwrap()).await;
    assert!(answer.map_or(true, |answer| answer.status() == 431));
    assert_eq!(world.counted(RECEIVED, &[]), 0);
    ends_well(world).await;
}

#[tokio::test]
async fn body_over_the_limit_is_refused_before_it_is_there() {
    let world = impatient().await;
    let announced = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000001\r\n\r\n";
    let endless = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\n\r\n";
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
    let chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (announced, endless, chunked) = tokio::join!(
        told(&world, announced),
        told(&world, endless),
        // The fourth is never sent.
        told(&world, format!("{chunked}{}", chunk.repeat(3))),
    );
    for answer in [announced, endless, chunked] {
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.ends_with(TOO_LARGE), "{answer}");
    }
    ends_well(world).await;
}

#[tokio::test]
async fn what_is_no_http_is_refused() {
    let world = impatient().await;
    let requests = [
        "\0\u{1}\u{2}\u{3}\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
        "POST / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n0123456789",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nno frame of any kind is this",
    ];
    for request in requests {
        let answer = told(&world, request).await;
        let is_refusal = answer.starts_with("HTTP/1.1 400") || answer.is_empty();
        // HTTP/2 says it in frames of its own.
        assert!(is_refusal || request.starts_with("PRI"), "{request:?}: {answer}");
    }
    assert!(world.backend.asked().is_empty());
    ends_well(world).await;
}

/// The head and body of a good relay whose inner request goes to `path`.
async fn request_for(world: &World, path: &str) -> Vec<u8> {
    let body = world.relay().await.to("POST", path).bytes();
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body].concat()
}

#[tokio::test]
async fn gateway_that_leaves_while_its_relay_is_being_answered_ends_it() {
    let mut world = World::new().await;
    let request = request_for(&world, "/held").await;
    for is_orderly in [true, false] {
        let asked = world.backend.asked().len();
        let mut gateway = RawGateway::connect(world.address()).await;
        gateway.say(&request).await;
        world.backend.wait_until_asked(asked + 1).await;
        if is_orderly {
            drop(gateway);
        } else {
            reset(gateway.0);
        }
        while world.gauge("ha_relayer_active_connections") > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    // Nobody got an answer, so nobody pays.
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn gateway_that_leaves_in_its_body_is_forgotten() {
    let world = impatient().await;
    let request = request_for(&world, "/").await;
    for length in [1, 20, request.len() / 2, request.len() - 1] {
        let mut gateway = RawGateway::connect(world.address()).await;
        gateway.say(&request[..length]).await;
        drop(gateway);
    }
    assert!(world.backend.asked().is_empty());
    ends_well(world).await;
}

#[tokio::test]
async fn gateway_that_takes_no_answer_is_cut_off() {
    let mut world = impatient().await;
    // Each answer is a mebibyte, and there is room for a few of them only on the way.
    let request = request_for(&world, "/large").await;
    let mut gateway = RawGateway::connect(world.address()).await;
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_millis(100), gateway.0.writable())
        .await
        .is_ok()
        && sent < 64
    {
        gateway.say(&request).await;
        sent += 1;
    }
    world.backend.wait_until_asked(1).await;
    while world.gauge("ha_relayer_active_connections") > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answered = world.counted("ha_relayer_relays_served_total", &[]) as usize;
    assert!(answered < sent, "the gateway's buffers took all {answered}");
    client::verified(&world.relay().await.send(&world.url()).await.body, "supplier1");
    assert_eq!(world.published("supplier1").await.len(), answered + 1);
    world.end().await;
}

#[tokio::test]
async fn gateway_that_keeps_its_window_shut_is_cut_off() {
    let mut world = impatient().await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .http2_initial_stream_window_size(1000)
        .build_http();
    let request = Request::post(world.url())
        .body(Full::new(world.relay().await.to("POST", "/large").bytes()))
        .unwrap();
    // The head has come. What fits the window too, and the rest waits for more.
    let answer = client.request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    while world.gauge("ha_relayer_active_connections") > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(answer.into_body().collect().await.is_err());
    world.relay().await.send(&world.url()).await.answer("supplier1");
    assert_eq!(world.published("supplier1").await.len(), 2);
    world.end().await;
}

#[tokio::test]
async fn relays_that_come_at_once_on_one_connection_are_served_in_order() {
    let mut world = World::new().await;
    let request = [
        request_for(&world, "/status/404").await,
        request_for(&world, "/first").await,
    ]
    .concat();
    let mut gateway = RawGateway::connect(world.address()).await;
    gateway.say(request).await;
    let asked = |backend: &Backend| {
        backend
            .asked()
            .iter()
            .map(|asked| asked.target.clone())
            .collect::<Vec<_>>()
    };
    world.backend.wait_until_asked(2).await;
    assert_eq!(asked(&world.backend), ["/status/404", "/first"]);
    drop(gateway);
    world.published("supplier1").await;
    world.end().await;
}
