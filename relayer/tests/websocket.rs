//! Relays over `WebSocket`s: signed, mined, and closed with the right code.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::client::Relay;
use common::{World, WorldConfig};
use futures::{SinkExt as _, StreamExt as _};
use http::Request;
use pocket_devnet::Actor;
use pocket_proto::pocket::service::{Relay as MinedRelay, RelayRequest, RelayRequestMetadata, RelayResponse};
use pocket_protocol::relay::{payload_hash, received_response_signable_hash, request_signable_hash};
use pocket_protocol::signature::verify_response;
use pocket_ring::{PrivateKey, PublicKey, sign};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A backend that does what it is told: `push N`, `close CODE`, `empty`, otherwise it says the same again, in a binary
/// frame. Tells which codes its sockets were closed with.
struct SocketBackend {
    url: String,
    codes: tokio::sync::mpsc::UnboundedReceiver<u16>,
    _serving: JoinSet<()>,
}

impl SocketBackend {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (told, codes) = tokio::sync::mpsc::unbounded_channel();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut sockets = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let told = told.clone();
                sockets.spawn(async move {
                    if let Some(code) = obey(socket).await {
                        told.send(code).unwrap();
                    }
                });
            }
        });
        Self {
            url,
            codes,
            _serving: serving,
        }
    }
}

async fn obey(socket: TcpStream) -> Option<u16> {
    let mut socket = tokio_tungstenite::accept_async(socket).await.ok()?;
    while let Some(Ok(message)) = socket.next().await {
        let said = match &message {
            Message::Text(text) => text.as_bytes().to_vec(),
            Message::Binary(bytes) => bytes.to_vec(),
            Message::Close(close) => return close.as_ref().map(|close| close.code.into()),
            _ => continue,
        };
        let said = String::from_utf8(said).unwrap();
        match said.split_once(' ') {
            Some(("push", count)) => {
                for number in 0..count.parse::<usize>().unwrap() {
                    socket.send(Message::binary(format!("push {number}"))).await.unwrap();
                }
            }
            Some(("close", code)) => {
                let code = code.parse::<u16>().unwrap().into();
                let reason = "as told".into();
                socket.close(Some(CloseFrame { code, reason })).await.unwrap();
            }
            _ if said == "empty" => {
                socket.send(Message::binary(Bytes::new())).await.unwrap();
                socket.send(Message::binary("after")).await.unwrap();
            }
            _ => socket.send(Message::binary(said)).await.unwrap(),
        }
    }
    None
}

async fn world() -> (World, SocketBackend) {
    let backend = SocketBackend::start().await;
    let world = World::with(WorldConfig {
        web_socket: Some(backend.url.clone()),
        ..WorldConfig::default()
    })
    .await;
    (world, backend)
}

fn handshake(world: &World, service: &str) -> Request<()> {
    let mut request = format!("ws://{}/", world.address()).into_client_request().unwrap();
    request
        .headers_mut()
        .insert("Target-Service-Id", service.parse().unwrap());
    request.headers_mut().insert("Rpc-Type", "2".parse().unwrap());
    request
}

async fn open(world: &World) -> Socket {
    connect_async(handshake(world, "svc-http")).await.unwrap().0
}

/// A signed request whose payload is `text` itself.
fn frame(relay: &Relay, text: &str) -> Bytes {
    let mut request = RelayRequest {
        meta: Some(RelayRequestMetadata {
            session_header: Some(relay.header.clone()),
            signature: Bytes::new(),
            supplier_operator_address: relay.supplier.clone(),
        }),
        payload: Bytes::copy_from_slice(text.as_bytes()),
    };
    let ring = relay
        .ring
        .iter()
        .map(|name| PublicKey::parse(&Actor::named(name).public_key).unwrap());
    let ring: Vec<_> = ring.collect();
    let signer = PrivateKey::parse(&Actor::named(&relay.signer).private_key).unwrap();
    let signature = sign(&request_signable_hash(&request), &signer, &ring, &mut rand::rng()).unwrap();
    request.meta.as_mut().unwrap().signature = signature.to_bytes().into();
    request.encode_to_vec().into()
}

async fn next(socket: &mut Socket) -> Message {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, socket.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap()
}

/// The next answer's payload, its signature and hash found to be right.
async fn answer(socket: &mut Socket) -> (Bytes, RelayResponse) {
    let Message::Binary(bytes) = next(socket).await else {
        panic!("no answer")
    };
    let response = RelayResponse::decode(bytes.clone()).unwrap();
    let hash = received_response_signable_hash(&response, &bytes);
    let signature = &response.meta.as_ref().unwrap().supplier_operator_signature;
    verify_response(&hash, &Actor::named("supplier1").public_key, signature).unwrap();
    assert_eq!(response.payload_hash[..], payload_hash(&response.payload));
    (response.payload.clone(), response)
}

async fn closed_with(socket: &mut Socket) -> u16 {
    match next(socket).await {
        Message::Close(Some(close)) => close.code.into(),
        other => panic!("{other:?}"),
    }
}

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
        let request = frame(&relay, &format!("close {code}"));
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
