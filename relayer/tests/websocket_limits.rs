//! What a `WebSocket` may not do: be silent, take nothing, hurry, claim a session it has not signed for.

mod common;

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use common::client::Relay;
use common::sockets::{Socket, SocketBackend, answer, closed_with, frame, handshake, next, open, signed, world_with};
use common::streaming::{SSE, StreamBackend, StreamReply};
use common::{World, WorldConfig};
use futures::{SinkExt as _, StreamExt as _};
use http::Request;
use pocket_devnet::{Actor, Localnet};
use pocket_store::PublisherConfig;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{accept_async, client_async, connect_async};

const REJECTED: &str = "ha_relayer_relays_rejected_total";

/// A world with these keys of the section `websocket`.
async fn limited(web_socket: &str) -> (World, SocketBackend) {
    world_with(WorldConfig {
        top_level: format!("websocket: {{{web_socket}}}"),
        ..WorldConfig::default()
    })
    .await
}

/// A relay goes through, on a socket of its own.
async fn serves(world: &World) {
    let mut socket = open(world).await;
    let request = frame(&world.relay().await, "still there?");
    socket.send(Message::Binary(request)).await.unwrap();
    assert_eq!(answer(&mut socket).await.0, "still there?");
}

#[tokio::test]
async fn ping_is_answered_and_who_answers_pings_may_be_silent() {
    let (world, _backend) = limited("ping_interval_seconds: 1, idle_timeout_seconds: 2").await;
    let mut socket = open(&world).await;
    socket.send(Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Pong("are you there".into()));
    // Longer than a silent peer may live. Reading answers each ping.
    for _ in 0..4 {
        assert_eq!(next(&mut socket).await, Message::Ping(Bytes::new()));
    }
    let request = frame(&world.relay().await, "hello");
    socket.send(Message::Binary(request)).await.unwrap();
    assert_eq!(answer(&mut socket).await.0, "hello");
    world.end().await;
}

#[tokio::test]
async fn gateway_that_answers_no_ping_is_closed() {
    let (world, mut backend) = limited("ping_interval_seconds: 1, idle_timeout_seconds: 2").await;
    let socket = TcpStream::connect(world.address()).await.unwrap();
    let (socket, _) = client_async(handshake(&world, "svc-http"), socket).await.unwrap();
    let mut said = Vec::new();
    socket.into_inner().read_to_end(&mut said).await.unwrap();
    let close = [&[0x88, 14, 0x03, 0xe9][..], b"ping timeout"].concat();
    assert!(said.starts_with(&[0x89, 0]), "no ping: {said:x?}");
    assert!(said.ends_with(&close), "{said:x?}");
    assert_eq!(backend.codes.recv().await, Some(1001));
    serves(&world).await;
    world.end().await;
}

#[tokio::test]
async fn backend_that_answers_no_ping_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::with(WorldConfig {
        web_socket: Some(format!("ws://{}", listener.local_addr().unwrap())),
        top_level: "websocket: {ping_interval_seconds: 1, idle_timeout_seconds: 2}".to_owned(),
        ..WorldConfig::default()
    })
    .await;
    let (mut socket, _silent) = tokio::join!(open(&world), async {
        accept_async(listener.accept().await.unwrap().0).await.unwrap()
    });
    let code = loop {
        match next(&mut socket).await {
            Message::Close(close) => break close.unwrap().code,
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(u16::from(code), 1001);
    world.end().await;
}

#[tokio::test]
async fn gateway_that_takes_nothing_is_cut_off_and_the_backend_told() {
    let (world, mut backend) = limited("write_timeout_seconds: 1").await;
    let mut socket = open(&world).await;
    let request = frame(&world.relay().await, "flood");
    socket.send(Message::Binary(request)).await.unwrap();
    // Nothing is read: the backend is told once the gateway's time is over.
    assert_eq!(backend.codes.recv().await, Some(1011));
    let mut answers = 0;
    while let Some(Ok(Message::Binary(_))) = socket.next().await {
        answers += 1;
    }
    assert!(answers > 0);
    serves(&world).await;
    world.end().await;
}

#[tokio::test]
async fn mebibyte_passes_both_ways_in_text_and_binary() {
    let (mut world, _backend) = limited("").await;
    let relay = world.relay().await;
    let mut socket = open(&world).await;
    for (kind, letter) in [(Data::Text, "t"), (Data::Binary, "b")] {
        let large = letter.repeat(1 << 20);
        let request = Frame::message(frame(&relay, &large), OpCode::Data(kind), true);
        socket.send(Message::Frame(request)).await.unwrap();
        assert!(answer(&mut socket).await.0 == large);
    }
    assert_eq!(world.published("supplier1").await.len(), 2);
    world.end().await;
}

#[tokio::test]
async fn limit_on_messages_is_the_operators() {
    let (world, mut backend) = limited("max_message_size_bytes: 2000").await;
    let relay = world.relay().await;
    let mut socket = open(&world).await;
    socket
        .send(Message::Binary(frame(&relay, "x".repeat(2000))))
        .await
        .unwrap();
    assert_eq!(closed_with(&mut socket).await, 1009);
    assert_eq!(backend.codes.recv().await, Some(1009));
    serves(&world).await;
    world.end().await;
}

#[tokio::test]
async fn socket_that_sends_too_fast_is_closed_and_what_it_got_is_mined() {
    let (mut world, mut backend) = limited("max_messages_per_second: 5").await;
    let relay = world.relay().await;
    let mut socket = open(&world).await;
    // More than the limit lets through while the first ones are being verified.
    for number in 0..30 {
        let request = frame(&relay, number.to_string());
        socket.feed(Message::Binary(request)).await.unwrap();
    }
    socket.flush().await.unwrap();
    let mut answers = 0;
    let code = loop {
        match next(&mut socket).await {
            Message::Binary(_) => answers += 1,
            Message::Close(close) => break close.unwrap().code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(u16::from(code), 1013);
    assert_eq!(backend.codes.recv().await, Some(1013));
    assert_eq!(world.counted(REJECTED, &[("reason", "rate_limited")]), 1);
    serves(&world).await;
    assert_eq!(world.published("supplier1").await.len(), answers + 1);
    world.end().await;
}

#[tokio::test]
async fn compression_is_not_negotiated_and_a_compressed_frame_is_an_error() {
    let (world, mut backend) = limited("").await;
    let mut request = handshake(&world, "svc-http");
    let offer = "permessage-deflate; client_max_window_bits".parse().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Extensions", offer);
    let (mut socket, response) = connect_async(request).await.unwrap();
    assert!(!response.headers().contains_key("sec-websocket-extensions"));
    let plain = frame(&world.relay().await, "plain");
    socket.send(Message::Binary(plain.clone())).await.unwrap();
    assert_eq!(answer(&mut socket).await.0, "plain");

    let header = FrameHeader {
        rsv1: true,
        opcode: OpCode::Data(Data::Binary),
        mask: Some([1, 2, 3, 4]),
        ..FrameHeader::default()
    };
    let compressed = Frame::from_payload(header, plain);
    socket.send(Message::Frame(compressed)).await.unwrap();
    assert_eq!(closed_with(&mut socket).await, 1002);
    assert_eq!(backend.codes.recv().await, Some(1002));
    world.end().await;
}

#[tokio::test]
async fn full_queue_holds_a_socket_back_instead_of_closing_it() {
    let streams = StreamBackend::start().await;
    let (mut world, _backend) = world_with(WorldConfig {
        backend: Some(streams.url()),
        publisher: PublisherConfig {
            queue: 1,
            ..WorldConfig::default().publisher
        },
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await;
    let url = world.url();
    // Holds the queue's only place.
    let (mut reply, talk) = tokio::join!(StreamReply::open(&url, &relay, false), streams.answer("200 OK", SSE));
    let mut socket = open(&world).await;
    socket.send(Message::Binary(frame(&relay, "hello"))).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), socket.next()).await;
    assert!(early.is_err(), "{early:?}");
    talk.end().await;
    reply.rest().await.unwrap();
    assert_eq!(answer(&mut socket).await.0, "hello");
    assert_eq!(world.published("supplier1").await.len(), 2);
    world.end().await;
}

#[tokio::test]
async fn forged_height_on_one_socket_keeps_no_other_open() {
    let (world, mut backend) = limited("").await;
    let relay = world.relay().await;
    let mut honest = open(&world).await;
    honest.send(Message::Binary(frame(&relay, "hello"))).await.unwrap();
    assert_eq!(answer(&mut honest).await.0, "hello");
    let mut forged = relay.clone();
    forged.header.session_end_block_height += 5000;
    let mut forger = open(&world).await;
    forger.send(Message::Binary(frame(&forged, "hello"))).await.unwrap();
    assert_eq!(closed_with(&mut forger).await, 4001);
    assert_eq!(backend.codes.recv().await, Some(1008));

    world.advance_to(relay.header.session_end_block_height + 1).await;
    assert!(answer(&mut honest).await.1.relay_miner_error.is_some());
    assert_eq!(closed_with(&mut honest).await, 4000);
    world.end().await;
}

/// A handshake that is signed as gateways sign it.
fn signed_handshake(world: &World, relay: &Relay) -> Request<()> {
    let mut request = handshake(world, "svc-http");
    let meta = signed(relay, Bytes::new()).meta.unwrap();
    let header = meta.session_header.unwrap();
    let signature = base64::engine::general_purpose::STANDARD.encode(meta.signature);
    for (name, value) in [
        ("App-Address", header.application_address),
        ("Pocket-Session-Id", header.session_id),
        (
            "Pocket-Session-Start-Height",
            header.session_start_block_height.to_string(),
        ),
        ("Pocket-Session-End-Height", header.session_end_block_height.to_string()),
        ("Pocket-Supplier-Address", meta.supplier_operator_address),
        ("Pocket-Signature", signature),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

/// The status of a handshake, 101 when it opens a socket.
async fn shake(request: Request<()>) -> Result<Socket, u16> {
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn wrong_handshake_signature_is_refused_where_the_operator_wants_it() {
    for (mode, wrong, missing) in [
        ("ignore", true, true),
        ("verify", false, true),
        ("require", false, false),
    ] {
        let (mut world, _backend) = limited(&format!("handshake_signature: {mode}")).await;
        let relay = world.relay().await;
        let mut socket = shake(signed_handshake(&world, &relay)).await.unwrap();
        socket.send(Message::Binary(frame(&relay, "hello"))).await.unwrap();
        assert_eq!(answer(&mut socket).await.0, "hello");

        let stranger = Relay {
            signer: "gateway9".to_owned(),
            ring: vec!["app1".to_owned(), "gateway9".to_owned()],
            ..relay.clone()
        };
        let mut altered = signed_handshake(&world, &relay);
        let supplier = Actor::named("supplier2").address;
        altered
            .headers_mut()
            .insert("Pocket-Supplier-Address", supplier.parse().unwrap());
        let mut garbled = signed_handshake(&world, &relay);
        garbled
            .headers_mut()
            .insert("Pocket-Signature", "no base64!".parse().unwrap());
        for request in [signed_handshake(&world, &stranger), altered, garbled] {
            assert_eq!(shake(request).await.err(), (!wrong).then_some(403), "{mode}");
        }
        let unsigned = handshake(&world, "svc-http");
        assert_eq!(shake(unsigned).await.err(), (!missing).then_some(403), "{mode}");
        assert_eq!(world.published("supplier1").await.len(), 1);
        world.end().await;
    }
}

#[tokio::test]
async fn signed_handshake_binds_its_socket_to_its_session() {
    let config = WorldConfig {
        localnet: Localnet {
            applications: 6,
            ..Localnet::default()
        },
        top_level: "websocket: {handshake_signature: verify}".to_owned(),
        ..WorldConfig::default()
    };
    let (world, mut backend) = world_with(config).await;
    let relay = world.relay().await;
    let other = Relay {
        header: world.session_of("app6", "svc-http").await,
        ring: vec!["app6".to_owned(), "gateway1".to_owned()],
        ..relay.clone()
    };
    let mut socket = shake(signed_handshake(&world, &relay)).await.unwrap();
    socket.send(Message::Binary(frame(&other, "hello"))).await.unwrap();
    assert_eq!(closed_with(&mut socket).await, 4001);
    assert_eq!(backend.codes.recv().await, Some(1008));

    // Closed at the session's end although it never said anything.
    let mut socket = shake(signed_handshake(&world, &relay)).await.unwrap();
    world.advance_to(relay.header.session_end_block_height + 1).await;
    assert_eq!(closed_with(&mut socket).await, 4000);
    assert_eq!(backend.codes.recv().await, Some(1001));
    world.end().await;
}
