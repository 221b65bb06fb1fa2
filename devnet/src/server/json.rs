//! Blocks and results in `CometBFT`'s JSON: 64-bit integers are text, hashes upper-case hex, bytes base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::chain::{Block, Event, TxResult};
use crate::node::tx_hash;

/// A time as text.
pub fn time(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).expect("block times have years of four digits")
}

/// Upper-case hex.
pub fn hex(bytes: &[u8]) -> String {
    hex::encode_upper(bytes)
}

/// Bytes as base64.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A block's id.
pub fn block_id(hash: &[u8; 32]) -> Value {
    json!({"hash": hex(hash), "parts": {"total": 1, "hash": hex(hash)}})
}

/// What `/block` answers.
pub fn block(block: &Block, chain_id: &str) -> Value {
    json!({"block_id": block_id(&block.hash), "block": inner_block(block, chain_id)})
}

/// A block without its id.
pub fn inner_block(block: &Block, chain_id: &str) -> Value {
    let txs: Vec<_> = block.txs.iter().map(|tx| base64(tx)).collect();
    let previous = block.height - 1;
    json!({
        "header": header(block, chain_id),
        "data": {"txs": txs},
        "evidence": {"evidence": []},
        "last_commit": {
            "height": previous.to_string(), "round": 0, "block_id": block_id(&block.last_hash), "signatures": [],
        },
    })
}

/// A block's header. It does not hold the block's own hash.
pub fn header(block: &Block, chain_id: &str) -> Value {
    let none = hex(&Sha256::digest(b""));
    json!({
        "version": {"block": "11"},
        "chain_id": chain_id,
        "height": block.height.to_string(),
        "time": time(block.time),
        "last_block_id": block_id(&block.last_hash),
        "last_commit_hash": none,
        "data_hash": hex(&data_hash(block)),
        "validators_hash": none,
        "next_validators_hash": none,
        "consensus_hash": none,
        "app_hash": hex(&app_hash(block)),
        "last_results_hash": none,
        "evidence_hash": none,
        "proposer_address": "",
    })
}

/// Stands for the state's hash: this chain keeps no tree of its state.
pub fn app_hash(block: &Block) -> [u8; 32] {
    Sha256::new_with_prefix(b"state")
        .chain_update(block.hash)
        .finalize()
        .into()
}

fn data_hash(block: &Block) -> [u8; 32] {
    let mut hasher = Sha256::new();
    block.txs.iter().for_each(|tx| hasher.update(tx_hash(tx)));
    hasher.finalize().into()
}

/// A transaction's result.
pub fn tx_result(result: &TxResult) -> Value {
    json!({
        "code": result.code,
        "data": Value::Null,
        "log": result.log,
        "info": "",
        "gas_wanted": result.gas_wanted.to_string(),
        "gas_used": result.gas_used.to_string(),
        "events": events(&result.events),
        "codespace": result.codespace,
    })
}

/// Events with their attributes.
pub fn events(events: &[Event]) -> Value {
    let one = |event: &Event| {
        let attributes: Vec<_> = event
            .attributes
            .iter()
            .map(|(key, value)| json!({"key": key, "value": value, "index": true}))
            .collect();
        json!({"type": event.kind, "attributes": attributes})
    };
    events.iter().map(one).collect()
}

/// What `/block_results` answers.
pub fn block_results(block: &Block) -> Value {
    let results: Vec<_> = block.results.iter().map(tx_result).collect();
    json!({
        "height": block.height.to_string(),
        "txs_results": if results.is_empty() { Value::Null } else { results.into() },
        "finalize_block_events": events(&block.events),
        "validator_updates": Value::Null,
        "consensus_param_updates": Value::Null,
        "app_hash": base64(&app_hash(block)),
    })
}

/// A transaction of a block.
pub fn tx(block: &Block, index: usize) -> Value {
    json!({
        "hash": hex(&tx_hash(&block.txs[index])),
        "height": block.height.to_string(),
        "index": index,
        "tx_result": tx_result(&block.results[index]),
        "tx": base64(&block.txs[index]),
    })
}
