//! Relays over `WebSocket`s: signed, mined, and closed with the right code.

mod common;

use bytes::Bytes;
use common::client::Relay;
use common::sockets::{answer, closed_with, frame, handshake, open, world};
use common::{World, WorldConfig};
use futures::SinkExt as _;
use pocket_proto::pocket::service::Relay as MinedRelay;
use prost::Message as _;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};

#[tokio::test]
async fn request_is_answered_signed_and_mined() {
    let (mut world, _backend) = world().await;
    let relay = world.relay().await;
    let mut socket = open(&world).await;
    let request = frame(&relay, "hello");
    socket.send(Message::binary(request.clone())).await.unwrap();
    let (payload, sent) = answer(&mut socket).await;
    assert_eq!(payload, "hello");
    drop(socket);

    let published = world.published("supplier1").await;
    let [message] = &published[..] else {
        panic!("{} relays", published.len())
    };
    assert_eq!(message.session_id, relay.header.session_id);
    let mined = MinedRelay::decode(message.relay_bytes.clone()).unwrap();
    assert_eq!(mined.req.unwrap().encode_to_vec(), request);
    let res = mined.res.unwrap();
    assert_eq!((res.payload_hash, res.meta), (sent.payload_hash, sent.meta));
    world.end().await;
}

#[tokio::test]
async fn every_push_is_signed_and_mined() {
    let (mut world, _backend) = world().await;
    let relay = world.relay().await;
    let mut socket = open(&world).await;
    socket.send(Message::binary(frame(&relay, "push 20"))).await.unwrap();
    for number in 0..20 {
        assert_eq!(answer(&mut socket).await.0, format!("push {number}"));
    }
    drop(socket);
    assert_eq!(world.published("supplier1").await.len(), 20);
    world.end().await;
}

#[tokio::test]
async fn protobuf_in_a_text_frame_is_a_relay() {
    let (world, _backend) = world().await;
    let request = frame(&world.relay().await, "hello");
    assert!(std::str::from_utf8(&request).is_err());
    let mut socket = open(&world).await;
    let text = Frame::message(request, OpCode::Data(Data::Text), true);
    socket.send(Message::Frame(text)).await.unwrap();
    assert_eq!(answer(&mut socket).await.0, "hello");
    world.end().await;
}

#[tokio::test]
async fn empty_answer_is_left_out() {
    let (mut world, _backend) = world().await;
    let mut socket = open(&world).await;
    let request = frame(&world.relay().await, "empty");
    socket.send(Message::binary(request)).await.unwrap();
    assert_eq!(answer(&mut socket).await.0, "after");
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn frame_that_is_not_believed_closes_both_legs_and_is_not_forwarded() {
    let (mut world, mut backend) = world().await;
    let relay = world.relay().await;
    let stranger = Relay {
        signer: "gateway2".to_owned(),
        ring: vec!["app1".to_owned(), "gateway2".to_owned()],
        ..relay.clone()
    };
    let mut elsewhere = relay.clone();
    "svc-comet".clone_into(&mut elsewhere.header.service_id);
    let frames = [
        frame(&stranger, "hello"),
        Bytes::new(),
        Bytes::from_static(b"\xff\xff no relay"),
        frame(&relay, ""),
        frame(&elsewhere, "hello"),
    ];
    for bytes in frames {
        let mut socket = open(&world).await;
        socket.send(Message::binary(bytes)).await.unwrap();
        assert_eq!(closed_with(&mut socket).await, 4001);
        // Had the backend been sent the frame, it would have answered before it was told of the end.
        assert_eq!(backend.codes.recv().await, Some(1008));
    }
    assert!(world.published("supplier1").await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn close_codes_pass_both_ways() {
    let (world, mut backend) = world().await;
    let relay = world.relay().await;
    for code in [1000, 3001, 4444] {
        let mut socket = open(&world).await;
        let request = frame(&relay, format!("close {code}"));
        socket.send(Message::binary(request)).await.unwrap();
        assert_eq!(closed_with(&mut socket).await, code);
        assert_eq!(backend.codes.recv().await, Some(code));
    }
    for (code, told) in [(1000, 1000), (3001, 3001), (4444, 1001)] {
        let mut socket = open(&world).await;
        let reason = "enough".into();
        let close = CloseFrame {
            code: code.into(),
            reason,
        };
        socket.close(Some(close)).await.unwrap();
        assert_eq!(closed_with(&mut socket).await, code);
        assert_eq!(backend.codes.recv().await, Some(told));
    }
    world.end().await;
}

#[tokio::test]
async fn message_over_the_limit_is_closed_with_1009() {
    let (world, mut backend) = world().await;
    let mut socket = open(&world).await;
    // The relayer may hang up while it is still being written.
    drop(socket.send(Message::binary(vec![0; (15 << 20) + 1])).await);
    assert_eq!(closed_with(&mut socket).await, 1009);
    assert_eq!(backend.codes.recv().await, Some(1009));
    world.end().await;
}

#[tokio::test]
async fn socket_closes_at_the_end_of_its_session() {
    let (world, mut backend) = world().await;
    let relay = world.relay().await;
    let mut socket = open(&world).await;
    socket.send(Message::binary(frame(&relay, "hello"))).await.unwrap();
    assert_eq!(answer(&mut socket).await.0, "hello");

    world.advance_to(relay.header.session_end_block_height + 1).await;
    let (_, parting) = answer(&mut socket).await;
    assert_eq!(parting.relay_miner_error.unwrap().code, 410);
    assert_eq!(closed_with(&mut socket).await, 4000);
    assert_eq!(backend.codes.recv().await, Some(1001));
    world.end().await;
}

#[tokio::test]
async fn unreachable_backend_is_told_with_4003() {
    let world = World::with(WorldConfig {
        web_socket: Some(format!("ws://{}", common::NOWHERE)),
        ..WorldConfig::default()
    })
    .await;
    let mut socket = open(&world).await;
    assert_eq!(closed_with(&mut socket).await, 4003);
    world.end().await;
}

#[tokio::test]
async fn handshake_for_what_is_not_served_is_refused_before_the_upgrade() {
    let (world, _backend) = world().await;
    for (service, status) in [("nobody", 404), ("svc-comet", 503), ("", 400)] {
        match connect_async(handshake(&world, service)).await {
            Err(Error::Http(response)) => assert_eq!(response.status(), status, "{service}"),
            other => panic!("{other:?}"),
        }
    }
    world.end().await;
}

#[tokio::test]
async fn shutdown_closes_sockets() {
    let (mut world, mut backend) = world().await;
    let mut socket = open(&world).await;
    socket
        .send(Message::binary(frame(&world.relay().await, "hello")))
        .await
        .unwrap();
    assert_eq!(answer(&mut socket).await.0, "hello");
    let (published, code) = tokio::join!(world.published("supplier1"), closed_with(&mut socket));
    assert_eq!((published.len(), code), (1, 1001));
    assert_eq!(backend.codes.recv().await, Some(1001));
    world.end().await;
}
