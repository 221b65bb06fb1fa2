//! Both ends of a WebSocket: a backend that does what it is told, and a gateway that signs messages.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::Request;
use pocket_devnet::Actor;
use pocket_proto::pocket::service::{RelayRequest, RelayRequestMetadata, RelayResponse};
use pocket_protocol::relay::{payload_hash, received_response_signable_hash, request_signable_hash};
use pocket_protocol::signature::verify_response;
use pocket_ring::{PrivateKey, PublicKey, sign};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::client::Relay;
use super::{World, WorldConfig};

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A backend that does what it is told: `push N`, `close CODE`, `empty`, otherwise it says the same again, in a binary
/// frame. Tells which codes its sockets were closed with.
pub struct SocketBackend {
    pub url: String,
    pub codes: tokio::sync::mpsc::UnboundedReceiver<u16>,
    _serving: JoinSet<()>,
}

impl SocketBackend {
    pub async fn start() -> Self {
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
            _ if said == "flood" => return flood(socket).await,
            _ if said == "empty" => {
                socket.send(Message::binary(Bytes::new())).await.unwrap();
                socket.send(Message::binary("after")).await.unwrap();
            }
            _ => socket.send(Message::binary(said)).await.unwrap(),
        }
    }
    None
}

/// Says more than any buffer holds until it is told to stop.
async fn flood(socket: WebSocketStream<TcpStream>) -> Option<u16> {
    let (mut sink, mut stream) = socket.split();
    let saying = async {
        let wave = Bytes::from(vec![b'~'; 64 << 10]);
        while sink.send(Message::Binary(wave.clone())).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    let told = async {
        while let Some(Ok(message)) = stream.next().await {
            if let Message::Close(close) = message {
                return close.map(|close| close.code.into());
            }
        }
        None
    };
    tokio::select! {
        code = told => code,
        () = saying => None,
    }
}

/// A world whose `svc-http` has a WebSocket backend.
pub async fn world() -> (World, SocketBackend) {
    world_with(WorldConfig::default()).await
}

pub async fn world_with(config: WorldConfig) -> (World, SocketBackend) {
    let backend = SocketBackend::start().await;
    let world = World::with(WorldConfig {
        web_socket: Some(backend.url.clone()),
        ..config
    })
    .await;
    (world, backend)
}

pub fn handshake(world: &World, service: &str) -> Request<()> {
    handshake_at(world.address(), service)
}

/// A handshake with the relayer at `address`.
pub fn handshake_at(address: SocketAddr, service: &str) -> Request<()> {
    let mut request = format!("ws://{address}/").into_client_request().unwrap();
    request
        .headers_mut()
        .insert("Target-Service-Id", service.parse().unwrap());
    request.headers_mut().insert("Rpc-Type", "2".parse().unwrap());
    request
}

pub async fn open(world: &World) -> Socket {
    connect_async(handshake(world, "svc-http")).await.unwrap().0
}

/// A signed request whose payload is `text` itself.
pub fn frame(relay: &Relay, text: impl AsRef<[u8]>) -> Bytes {
    signed(relay, Bytes::copy_from_slice(text.as_ref()))
        .encode_to_vec()
        .into()
}

/// A request with this payload, signed by the relay's signer.
pub fn signed(relay: &Relay, payload: Bytes) -> RelayRequest {
    let mut request = RelayRequest {
        meta: Some(RelayRequestMetadata {
            session_header: Some(relay.header.clone()),
            signature: Bytes::new(),
            supplier_operator_address: relay.supplier.clone(),
        }),
        payload,
    };
    let ring = relay
        .ring
        .iter()
        .map(|name| PublicKey::parse(&Actor::named(name).public_key).unwrap());
    let ring: Vec<_> = ring.collect();
    let signer = PrivateKey::parse(&Actor::named(&relay.signer).private_key).unwrap();
    let signature = sign(&request_signable_hash(&request), &signer, &ring, &mut rand::rng()).unwrap();
    request.meta.as_mut().unwrap().signature = signature.to_bytes().into();
    request
}

pub async fn next(socket: &mut Socket) -> Message {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, socket.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap()
}

/// The next answer's payload, its signature and hash found to be right.
pub async fn answer(socket: &mut Socket) -> (Bytes, RelayResponse) {
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

pub async fn closed_with(socket: &mut Socket) -> u16 {
    match next(socket).await {
        Message::Close(Some(close)) => close.code.into(),
        other => panic!("{other:?}"),
    }
}
