//! The methods of `CometBFT`'s RPC.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{grpc, json};
use crate::chain::Block;
use crate::node::{Broadcast, Node, TxHash, tx_hash};

/// A JSON-RPC error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// Of JSON-RPC.
    pub code: i64,
    /// What the code means.
    pub message: &'static str,
    /// What happened.
    pub data: String,
}

impl RpcError {
    fn internal(data: impl Into<String>) -> Self {
        Self {
            code: -32603,
            message: "Internal error",
            data: data.into(),
        }
    }

    fn invalid_params(data: impl Into<String>) -> Self {
        Self {
            code: -32602,
            message: "Invalid params",
            data: data.into(),
        }
    }

    /// Nobody serves this method.
    pub fn method_not_found() -> Self {
        Self {
            code: -32601,
            message: "Method not found",
            data: String::new(),
        }
    }

    /// The request is no JSON-RPC.
    pub fn malformed(data: impl Into<String>) -> Self {
        Self {
            code: -32700,
            message: "Parse error. Invalid JSON",
            data: data.into(),
        }
    }

    /// As it stands in an answer.
    pub fn to_json(&self) -> Value {
        json!({"code": self.code, "message": self.message, "data": self.data})
    }
}

/// Parameters of a call. In an address they are text, quoted or `0x…`; in JSON, bytes are base64.
#[derive(Clone, Debug, Default)]
pub struct Params(pub Map<String, Value>);

impl Params {
    fn height(&self) -> Result<Option<i64>, RpcError> {
        let parsed = match self.0.get("height") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) => text.parse().ok(),
            Some(other) => other.as_i64(),
        };
        parsed
            .map(Some)
            .ok_or_else(|| RpcError::invalid_params("height is no number"))
    }

    fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn bytes(&self, key: &str) -> Result<Bytes, RpcError> {
        let text = self.text(key);
        let decoded = match text.strip_prefix("0x") {
            Some(digits) => hex::decode(digits).ok(),
            None => STANDARD.decode(text).ok(),
        };
        decoded
            .map(Bytes::from)
            .ok_or_else(|| RpcError::invalid_params(format!("{key} is neither hex nor base64")))
    }
}

/// Answers a method. Subscriptions are the WebSocket's own matter.
pub fn call(node: &Node, method: &str, params: &Params) -> Result<Value, RpcError> {
    match method {
        "health" => Ok(json!({})),
        "status" => status(node),
        "abci_info" => Ok(abci_info(node)),
        "block" => with_block(node, params, |chain_id, block| json::block(block, chain_id)),
        "header" => with_block(
            node,
            params,
            |chain_id, block| json!({"header": json::header(block, chain_id)}),
        ),
        "block_results" => with_block(node, params, |_, block| json::block_results(block)),
        "tx" => tx(node, params),
        "num_unconfirmed_txs" => {
            let count = node.pending().to_string();
            Ok(json!({"n_txs": count, "total": count, "total_bytes": "0", "txs": Value::Null}))
        }
        "abci_query" => abci_query(node, params),
        "broadcast_tx_sync" | "broadcast_tx_async" => broadcast(node, params),
        _ => Err(RpcError::method_not_found()),
    }
}

fn with_block(node: &Node, params: &Params, show: impl FnOnce(&str, &Block) -> Value) -> Result<Value, RpcError> {
    let wanted = params.height()?;
    let (chain_id, last, block) = node.read(|chain| {
        let height = wanted.unwrap_or(chain.height());
        (
            chain.chain_id().to_owned(),
            chain.height(),
            chain.block(height).map(Arc::clone),
        )
    });
    match (block, wanted) {
        (Some(block), _) => Ok(show(&chain_id, &block)),
        (None, Some(height)) if height <= 0 => Err(RpcError::internal(format!(
            "height must be greater than 0, but got {height}"
        ))),
        (None, height) => {
            let height = height.unwrap_or(last);
            let data = format!("height {height} must be less than or equal to the current blockchain height {last}");
            Err(RpcError::internal(data))
        }
    }
}

fn status(node: &Node) -> Result<Value, RpcError> {
    let (chain_id, first, last) = node.read(|chain| {
        let blocks = chain.blocks().next().zip(chain.blocks().next_back());
        let (first, last) = blocks
            .map(|(first, last)| (Arc::clone(first), Arc::clone(last)))
            .unzip();
        (chain.chain_id().to_owned(), first, last)
    });
    let (Some(first), Some(last)) = (first, last) else {
        return Err(RpcError::internal("no block yet"));
    };
    Ok(json!({
        "node_info": {
            "protocol_version": {"p2p": "8", "block": "11", "app": "0"},
            "id": "0000000000000000000000000000000000000000",
            "listen_addr": "tcp://127.0.0.1:0",
            "network": chain_id,
            "version": "0.38.0",
            "channels": "",
            "moniker": "devnet",
            "other": {"tx_index": "on", "rpc_address": ""},
        },
        "sync_info": {
            "latest_block_hash": json::hex(&last.hash),
            "latest_app_hash": json::hex(&json::app_hash(&last)),
            "latest_block_height": last.height.to_string(),
            "latest_block_time": json::time(last.time),
            "earliest_block_hash": json::hex(&first.hash),
            "earliest_app_hash": json::hex(&json::app_hash(&first)),
            "earliest_block_height": first.height.to_string(),
            "earliest_block_time": json::time(first.time),
            "catching_up": false,
        },
        "validator_info": {"address": "", "pub_key": Value::Null, "voting_power": "0"},
    }))
}

fn abci_info(node: &Node) -> Value {
    let height = node.read(crate::chain::Chain::height);
    json!({"response": {"data": "pocket", "version": "devnet", "last_block_height": height.to_string()}})
}

fn tx(node: &Node, params: &Params) -> Result<Value, RpcError> {
    let bytes = params.bytes("hash")?;
    let hash = TxHash::try_from(bytes.as_ref()).map_err(|_| RpcError::invalid_params("a hash has 32 bytes"))?;
    match node.find(&hash) {
        Some((block, index)) => Ok(json::tx(&block, index)),
        None => Err(RpcError::internal(format!("tx ({}) not found", json::hex(&hash)))),
    }
}

fn abci_query(node: &Node, params: &Params) -> Result<Value, RpcError> {
    let (path, height) = (params.text("path"), params.height()?.unwrap_or_default());
    // In `abci_query` alone, data is hex in JSON too.
    let data = params.text("data").trim_start_matches("0x");
    let data = hex::decode(data).map_err(|_| RpcError::invalid_params("data is no hex"))?;
    let (last, answer) = node.read(|chain| (chain.height(), grpc::query_by_path(chain, path, data.into(), height)));
    let answered = if height == 0 { last } else { height };
    let (code, log, value) = match answer {
        Some(Ok(value)) => (0, String::new(), Value::String(json::base64(&value))),
        Some(Err(status)) => (status_code(status.code()), status.message().to_owned(), Value::Null),
        None => (6, format!("unknown query path: {path}: unknown request"), Value::Null),
    };
    let codespace = if code == 0 { "" } else { "sdk" };
    Ok(json!({"response": {
        "code": code, "log": log, "info": "", "index": "0", "key": Value::Null, "value": value,
        "proofOps": Value::Null, "height": answered.to_string(), "codespace": codespace,
    }}))
}

/// What the SDK makes of a query's gRPC status.
fn status_code(code: tonic::Code) -> u32 {
    match code {
        tonic::Code::NotFound => 22,
        tonic::Code::InvalidArgument => 18,
        tonic::Code::Unauthenticated => 4,
        _ => 6,
    }
}

fn broadcast(node: &Node, params: &Params) -> Result<Value, RpcError> {
    let tx = params.bytes("tx")?;
    let result = match node.broadcast(&tx) {
        Broadcast::Checked(result) => result,
        Broadcast::Known => return Err(RpcError::internal("tx already exists in cache")),
        Broadcast::Full => {
            return Err(RpcError::internal(
                "mempool is full: number of txs 0 (max: 0), total txs bytes 0 (max: 0)",
            ));
        }
        Broadcast::TooLarge(limit) => {
            let length = tx.len();
            return Err(RpcError::internal(format!(
                "Tx too large. Max size is {limit}, but got {length}"
            )));
        }
    };
    Ok(json!({
        "code": result.code, "data": "", "log": result.log, "codespace": result.codespace,
        "hash": json::hex(&tx_hash(&tx)),
    }))
}
