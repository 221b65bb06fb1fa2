//! The `CometBFT` RPC and its socket.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::Node;

pub async fn serve(node: Arc<Node>, stop: CancellationToken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(serve_connection(node.clone(), stream));
        }
    }));
    address
}

async fn serve_connection(node: Arc<Node>, stream: TcpStream) {
    let mut start = [0; 14];
    while stream.peek(&mut start).await.unwrap_or(0) < start.len() {
        tokio::task::yield_now().await;
    }
    if start == *b"GET /websocket" {
        if !node.no_socket.load(Ordering::SeqCst) {
            announce(node, stream).await;
        }
        return;
    }
    let answer = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let node = node.clone();
        async move {
            node.answers().await;
            let body = respond(&node, request.uri()).to_string();
            Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from(body))))
        }
    });
    // A client that goes away is no failure of the test.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

/// Announces the head at each change until the socket is cut.
async fn announce(node: Arc<Node>, stream: TcpStream) {
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let request = socket.next().await.unwrap().unwrap();
    assert!(request.to_text().unwrap().contains("tm.event='NewBlockHeader'"));
    let (mut head, mut cut) = (node.head.subscribe(), node.cut.subscribe());
    head.mark_unchanged();
    cut.mark_unchanged();
    socket
        .send(Message::text(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#))
        .await
        .unwrap();
    node.subscriptions.fetch_add(1, Ordering::SeqCst);
    loop {
        tokio::select! {
            _ = cut.changed() => return,
            changed = head.changed() => if changed.is_err() { return },
        }
        let height = *head.borrow_and_update();
        node.answers().await;
        if !node.mute.load(Ordering::SeqCst) {
            let header = json!({"height": height.to_string(), "time": TIME});
            let event =
                json!({"result": {"data": {"type": "tendermint/event/NewBlockHeader", "value": {"header": header}}}});
            if socket.send(Message::text(event.to_string())).await.is_err() {
                return;
            }
        }
    }
}

const TIME: &str = "2026-11-21T07:40:42.125529702Z";

fn respond(node: &Node, uri: &hyper::Uri) -> Value {
    let head = *node.head.borrow();
    match uri.path() {
        "/status" => json!({"result": {
            "node_info": {"network": *node.network.lock().unwrap()},
            "sync_info": {"latest_block_height": head.to_string(), "latest_block_time": TIME, "catching_up": false}}}),
        "/block" => {
            let asked: i64 = uri
                .query()
                .and_then(|query| query.strip_prefix("height=")?.parse().ok())
                .unwrap_or(head);
            node.asked.fetch_add(1, Ordering::SeqCst);
            if asked > head {
                let data = format!("height {asked} must be less than or equal to the current blockchain height {head}");
                return json!({"error": {"code": -32603, "message": "Internal error", "data": data}});
            }
            json!({"result": {
                "block_id": {"hash": format!("{asked:064X}")},
                "block": {"header": {"height": asked.to_string(), "time": TIME}, "data": {"txs": []}}}})
        }
        _ => json!({"error": {"code": -32601, "message": "Method not found"}}),
    }
}
