//! Status, blocks and their results.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Node;

pub async fn serve(node: Arc<Mutex<Node>>, stop: CancellationToken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let node = node.clone();
            let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let body = respond(&node.lock(), request.uri()).to_string();
                async move { Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from(body)))) }
            });
            connections
                .spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    }));
    address
}

/// A block comes every ten seconds.
fn time(height: usize) -> String {
    format!("2026-01-01T00:{:02}:{:02}Z", height / 6, height % 6 * 10)
}

fn respond(node: &Node, uri: &hyper::Uri) -> Value {
    let head = node.blocks.len();
    let asked = uri
        .query()
        .and_then(|query| query.strip_prefix("height=")?.parse().ok())
        .unwrap_or(head);
    if asked > head {
        let data = format!("height {asked} must be less than or equal to the current blockchain height {head}");
        return json!({"error": {"code": -32603, "message": "Internal error", "data": data}});
    }
    let txs = &node.blocks[asked - 1];
    match uri.path() {
        "/status" => json!({"result": {"node_info": {"network": "pocket"}, "sync_info": {
            "latest_block_height": head.to_string(), "latest_block_time": time(head), "catching_up": false}}}),
        "/block" => {
            let txs: Vec<_> = txs.iter().map(|(tx, ..)| STANDARD.encode(tx)).collect();
            json!({"result": {"block_id": {"hash": "00".repeat(32)}, "block": {
                "header": {"height": asked.to_string(), "time": time(asked)}, "data": {"txs": txs}}}})
        }
        "/block_results" => {
            let result = |(_, code, log): &(Bytes, u32, &str)| {
                let codespace = if *code == 0 { "" } else { "undefined" };
                json!({"code": code, "log": log, "codespace": codespace, "gas_used": "90000"})
            };
            json!({"result": {"txs_results": txs.iter().map(result).collect::<Vec<_>>()}})
        }
        _ => json!({"error": {"code": -32601, "message": "Method not found"}}),
    }
}
