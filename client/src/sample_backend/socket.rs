//! Messages over `WebSocket`s: JSON-RPC is answered, in text as nodes do it; all else is said again as it came.
//!
//! `eth_subscribe` is answered and then followed by messages: five, or as many as its second parameter says under
//! `pushes`.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use pocket_websocket::{FrameError, Kind, Message, MessageCodec, Role};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::codec::Framed;

use super::{Answer, Failure, Sockets, State, answers};

/// Largest message.
const LIMIT: usize = 16 << 20;
const USUAL_PUSHES: u64 = 5;
const INTERNAL_ERROR: u16 = 1011;

type Frames = Framed<TokioIo<Upgraded>, MessageCodec>;

pub(super) fn is_upgrade(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    upgrade.is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers a handshake, and serves the socket that comes of it.
pub(super) fn open(state: Arc<State>, mut request: Request<Incoming>, sockets: &Weak<Sockets>) -> Response<Answer> {
    let upgrade = hyper::upgrade::on(&mut request);
    let accept = request.headers().get(header::SEC_WEBSOCKET_KEY);
    let accept = accept.and_then(|key| HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok());
    let mut answer = Response::new(Full::default().boxed_unsync());
    let (Some(accept), Some(sockets)) = (accept, sockets.upgrade()) else {
        *answer.status_mut() = StatusCode::BAD_REQUEST;
        return answer;
    };
    let mut sockets = sockets.lock();
    while sockets.try_join_next().is_some() {}
    sockets.spawn(serve(state, upgrade));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    answer
}

async fn serve(state: Arc<State>, upgrade: OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut frames = Framed::new(TokioIo::new(upgraded), MessageCodec::new(Role::Server, LIMIT));
    if let Err(error) = state.converse(&mut frames).await {
        tracing::debug!(%error, "socket ended");
    }
}

impl State {
    async fn converse(&self, frames: &mut Frames) -> Result<(), FrameError> {
        while let Some(message) = frames.next().await {
            let (kind, said) = match message? {
                Message::Data(kind, said) => (kind, said),
                Message::Ping(body) => {
                    frames.send(Message::Pong(body)).await?;
                    continue;
                }
                Message::Pong(_) => continue,
                Message::Close(body) => return frames.send(Message::Close(body)).await,
            };
            let call = self.take().await;
            match call.failure() {
                Failure::Hangup { .. } => return Ok(()),
                Failure::Status { .. } => {
                    let code = Bytes::copy_from_slice(&INTERNAL_ERROR.to_be_bytes());
                    return frames.send(Message::Close(code)).await;
                }
                Failure::None => {}
            }
            for answer in conversation(kind, said, call.number, call.behaviour.answer_bytes) {
                frames.feed(answer).await?;
            }
            frames.flush().await?;
            self.served.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// What is said to a message, one after the other.
fn conversation(kind: Kind, said: Bytes, number: u64, at_least: usize) -> Vec<Message> {
    let call: Value = serde_json::from_slice(&said).unwrap_or_default();
    if call["method"] == "eth_subscribe" {
        return subscription(&call, number);
    }
    vec![match answers::message(&said, number, at_least) {
        Some(answer) => text(&answer),
        None => Message::Data(kind, said),
    }]
}

fn subscription(call: &Value, number: u64) -> Vec<Message> {
    let id = json!(format!("{number:#x}"));
    let pushes = call["params"][1]["pushes"].as_u64().unwrap_or(USUAL_PUSHES);
    let pushed = (1..=pushes).map(|block| {
        let head = json!({ "number": format!("{block:#x}") });
        text(&json!({
            "jsonrpc": "2.0",
            "method": "eth_subscription",
            "params": { "subscription": id, "result": head },
        }))
    });
    [text(&answers::result(&call["id"], &id))]
        .into_iter()
        .chain(pushed)
        .collect()
}

fn text(said: &Value) -> Message {
    Message::Data(Kind::Text, said.to_string().into())
}
