//! What the sample backend says.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, header};
use serde_json::{Value, json};

/// The answer to the call of this number. A body that looks like JSON-RPC is taken for it, whatever the path; `GET` of
/// a `CometBFT` method's path is that method; all else is echoed.
pub(super) fn answer(head: &Parts, body: &Bytes, number: u64, at_least: usize) -> Response<Bytes> {
    let path = head.uri.path();
    let plain = || {
        let mut answer = if head.method == Method::GET && matches!(path, "/status" | "/health") {
            result(&json!(-1), &comet(&path[1..], number))
        } else {
            echo(head, body)
        };
        pad(&mut answer, at_least);
        answer
    };
    let json_rpc = (head.method == Method::POST).then(|| message(body, number, at_least));
    let answer = json_rpc.flatten().unwrap_or_else(plain);
    let mut answer = Response::new(Bytes::from(answer.to_string()));
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The answer to a body that looks like JSON-RPC; `None` if it does not.
pub(super) fn message(body: &[u8], number: u64, at_least: usize) -> Option<Value> {
    let looks_so = body.first().is_some_and(|first| b"{[".contains(first));
    looks_so.then(|| {
        let mut answer = json_rpc(body, number);
        pad(&mut answer, at_least);
        answer
    })
}

fn json_rpc(body: &[u8], number: u64) -> Value {
    match serde_json::from_slice(body) {
        Ok(Value::Array(calls)) if !calls.is_empty() => calls.iter().map(|call| one_call(call, number)).collect(),
        Ok(call) => one_call(&call, number),
        Err(_) => error(&Value::Null, -32700, "Parse error"),
    }
}

fn one_call(call: &Value, number: u64) -> Value {
    let id = &call["id"];
    match call["method"].as_str() {
        Some("eth_blockNumber") => result(id, &json!(format!("{number:#x}"))),
        Some(method @ ("status" | "health" | "abci_info")) => result(id, &comet(method, number)),
        Some(_) => result(id, &call["params"]),
        None => error(id, -32600, "Invalid Request"),
    }
}

fn comet(method: &str, number: u64) -> Value {
    match method {
        "status" => json!({
            "node_info": { "network": "sample", "moniker": "sample-backend" },
            "sync_info": { "latest_block_height": number.to_string(), "catching_up": false },
        }),
        "abci_info" => json!({ "response": { "data": "sample", "last_block_height": number.to_string() } }),
        _ => json!({}),
    }
}

pub(super) fn result(id: &Value, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

fn error(id: &Value, code: i32, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

fn echo(head: &Parts, body: &Bytes) -> Value {
    let mut headers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.entry(name.as_str()).or_default().push(value);
    }
    json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "headers": headers,
        "body": String::from_utf8_lossy(body),
    })
}

/// A batch is padded in its first reply.
fn pad(answer: &mut Value, at_least: usize) {
    let missing = at_least.saturating_sub(answer.to_string().len());
    let padded = match answer {
        Value::Array(replies) => replies.first_mut(),
        other => Some(other),
    };
    if let Some(Value::Object(fields)) = padded
        && missing > 0
    {
        fields.insert("padding".to_owned(), "x".repeat(missing).into());
    }
}
