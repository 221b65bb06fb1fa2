//! `/websocket`: every method, and subscriptions to blocks and transactions.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::http::{Door, answer_call, body_params, outcome};
use super::methods::RpcError;
use super::subscription::Query;
use crate::chain::Block;

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Answers the handshake; the socket's task belongs to the door.
pub fn upgrade(door: &Door, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        let mut refusal = Response::new(Full::from("not a WebSocket handshake"));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return refusal;
    };
    let accept = derive_accept_key(key.as_bytes());
    let own = door.clone();
    door.sockets.spawn(async move {
        match hyper::upgrade::on(&mut request).await {
            Ok(upgraded) => {
                let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
                if let Err(error) = serve(&own, socket).await {
                    tracing::debug!(%error, "WebSocket ended");
                }
            }
            Err(error) => tracing::debug!(%error, "WebSocket handshake failed"),
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept)
        .body(Full::default())
        .expect("a derived key is a legal header")
}

async fn serve(door: &Door, mut socket: Socket) -> Result<(), Error> {
    let mut feed = door.node.subscribe();
    let chain_id = door.node.read(|chain| chain.chain_id().to_owned());
    let mut subscriptions = Subscriptions::default();
    loop {
        tokio::select! {
            () = door.stop.cancelled() => return socket.close(None).await,
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let answer = subscriptions.answer(door, text.as_str());
                    socket.send(text_message(&answer)).await?;
                }
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
            },
            block = feed.recv() => match block {
                Ok(block) => {
                    for answer in subscriptions.events(&block, &chain_id) {
                        socket.feed(text_message(&answer)).await?;
                    }
                    socket.flush().await?;
                }
                // A client that is too slow misses blocks, as it would on a node.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return socket.close(None).await,
            },
        }
    }
}

fn text_message(value: &Value) -> Message {
    Message::text(value.to_string())
}

/// By query text: the call's id, which every event repeats, and the query.
#[derive(Default)]
struct Subscriptions(HashMap<String, (Value, Query)>);

impl Subscriptions {
    fn answer(&mut self, door: &Door, text: &str) -> Value {
        let call: Value = match serde_json::from_str(text) {
            Ok(call) => call,
            Err(error) => return outcome(&Value::Null, Err(RpcError::malformed(error.to_string()))),
        };
        let id = &call["id"];
        let params = body_params(call["method"].as_str().unwrap_or_default(), &call["params"]);
        let query = params.0.get("query").and_then(Value::as_str).unwrap_or_default();
        match call["method"].as_str() {
            Some("subscribe") => outcome(id, self.subscribe(id, query)),
            Some("unsubscribe") => {
                self.0.remove(query);
                outcome(id, Ok(json!({})))
            }
            Some("unsubscribe_all") => {
                self.0.clear();
                outcome(id, Ok(json!({})))
            }
            _ => answer_call(&door.node, &call),
        }
    }

    fn subscribe(&mut self, id: &Value, text: &str) -> Result<Value, RpcError> {
        let error = |data| RpcError {
            code: -32603,
            message: "Internal error",
            data,
        };
        let query = Query::parse(text).map_err(|reason| error(format!("failed to parse query: {reason}")))?;
        if self.0.contains_key(text) {
            return Err(error("already subscribed".to_owned()));
        }
        self.0.insert(text.to_owned(), (id.clone(), query));
        Ok(json!({}))
    }

    fn events(&self, block: &Arc<Block>, chain_id: &str) -> Vec<Value> {
        let wanted = self.0.values().flat_map(|(id, query)| {
            query
                .select(block, chain_id)
                .into_iter()
                .map(|event| outcome(id, Ok(event)))
        });
        wanted.collect()
    }
}
