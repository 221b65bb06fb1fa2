//! JSON-RPC over HTTP: methods as paths or as bodies, and the way to the WebSocket.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::methods::{self, Params, RpcError};
use super::websocket;
use crate::node::Node;

/// What all connections share.
#[derive(Clone, Debug)]
pub struct Door {
    pub(super) node: Arc<Node>,
    pub(super) stop: CancellationToken,
    /// Owns the web sockets, which outlive the request that opened them.
    pub(super) sockets: tokio_util::task::TaskTracker,
}

/// Serves until `stop`; returns when the last connection is closed.
pub async fn serve(node: Arc<Node>, listener: TcpListener, stop: CancellationToken) {
    let door = Door {
        node,
        stop: stop.clone(),
        sockets: tokio_util::task::TaskTracker::new(),
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(door.clone(), stream));
                }
                Err(error) => tracing::warn!(%error, "connection not accepted"),
            },
        }
    }
    while connections.join_next().await.is_some() {}
    door.sockets.close();
    door.sockets.wait().await;
}

async fn serve_connection(door: Door, stream: tokio::net::TcpStream) {
    let stop = door.stop.clone();
    let service = service_fn(move |request| {
        let door = door.clone();
        async move { Ok::<_, Infallible>(answer(&door, request).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection ended");
    }
}

async fn answer(door: &Door, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path() == "/websocket" {
        return websocket::upgrade(door, request);
    }
    if request.method() == Method::POST {
        return match request.into_body().collect().await {
            Ok(body) => respond(&post(&door.node, &body.to_bytes())),
            Err(error) => respond(&failure(&json!(-1), &RpcError::malformed(error.to_string()))),
        };
    }
    let method = request.uri().path().trim_matches('/');
    let params = address_params(request.uri().query().unwrap_or_default());
    let answer = outcome(&json!(-1), methods::call(&door.node, method, &params));
    let mut response = respond(&answer);
    if answer["error"]["code"] == json!(-32601) {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

fn post(node: &Node, body: &[u8]) -> Value {
    match serde_json::from_slice(body) {
        Ok(Value::Array(calls)) => calls.iter().map(|call| answer_call(node, call)).collect(),
        Ok(call) => answer_call(node, &call),
        Err(error) => failure(&Value::Null, &RpcError::malformed(error.to_string())),
    }
}

/// Answers one JSON-RPC call.
pub(super) fn answer_call(node: &Node, call: &Value) -> Value {
    let method = call["method"].as_str().unwrap_or_default();
    outcome(
        &call["id"],
        methods::call(node, method, &body_params(method, &call["params"])),
    )
}

/// Parameters of a body: named, or in the order of the method's own.
pub(super) fn body_params(method: &str, params: &Value) -> Params {
    match params {
        Value::Object(named) => Params(named.clone()),
        Value::Array(listed) => {
            let names: &[&str] = match method {
                "tx" => &["hash", "prove"],
                "broadcast_tx_sync" | "broadcast_tx_async" => &["tx"],
                "abci_query" => &["path", "data", "height", "prove"],
                "subscribe" | "unsubscribe" => &["query"],
                _ => &["height"],
            };
            Params(
                names
                    .iter()
                    .map(|name| (*name).to_owned())
                    .zip(listed.iter().cloned())
                    .collect(),
            )
        }
        _ => Params::default(),
    }
}

/// Parameters of an address: text may be quoted.
fn address_params(query: &str) -> Params {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let texts = pairs.map(|(key, value)| (key.into_owned(), Value::String(value.trim_matches('"').to_owned())));
    Params(texts.collect::<Map<_, _>>())
}

/// The answer to the call `id`.
pub(super) fn outcome(id: &Value, result: Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => failure(id, &error),
    }
}

fn failure(id: &Value, error: &RpcError) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": error.to_json()})
}

fn respond(answer: &Value) -> Response<Full<Bytes>> {
    let status = if answer.get("error").is_some() {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::OK
    };
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::from(answer.to_string()))
        .expect("a constant header is legal")
}
