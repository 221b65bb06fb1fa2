//! The parts of the RPC's JSON that are read; 64-bit numbers are decimal text in it.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pocket_protocol::Height;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::QueryError;

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// The network, for instance `pocket`.
    pub chain_id: String,
    /// The newest committed block.
    pub height: Height,
    /// The time in that block's header.
    pub block_time: OffsetDateTime,
    /// The node is still fetching old blocks.
    pub catching_up: bool,
}

/// A committed block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its height.
    pub height: Height,
    /// `block_id.hash`: the hash that session ids and proof seeds are made of.
    pub hash: [u8; 32],
    /// The time in its header.
    pub time: OffsetDateTime,
    /// SHA-256 of each transaction, in order.
    pub tx_hashes: Vec<[u8; 32]>,
}

/// What a block did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockResults {
    /// One per transaction, in the block's order.
    pub txs: Vec<TxResult>,
    /// Events of the block's begin and end, among them those of settlement.
    pub end_block_events: Vec<Event>,
}

/// The outcome of a transaction in a block.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TxResult {
    /// 0 is success.
    #[serde(default)]
    pub code: u32,
    /// Who numbers the code.
    #[serde(default)]
    pub codespace: String,
    /// The failure in words.
    #[serde(default)]
    pub log: String,
    /// Gas used.
    #[serde(default, deserialize_with = "decimal")]
    pub gas_used: u64,
    /// What its messages did.
    #[serde(default)]
    pub events: Vec<Event>,
}

/// An event: typed events have a protobuf name as `kind`, and JSON values (spec `chain.md` §9).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Event {
    /// For instance `pocket.tokenomics.EventClaimSettled`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Keys and values in the chain's order.
    #[serde(deserialize_with = "pairs", default)]
    pub attributes: Vec<(String, String)>,
}

impl Event {
    /// The value of an attribute as it stands; strings of typed events are in JSON quotes.
    pub fn value(&self, key: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(name, _)| name == key)?;
        Some(&found.1)
    }

    /// The value of an attribute without the quotes of a JSON string.
    pub fn text(&self, key: &str) -> Option<String> {
        let raw = self.value(key)?;
        Some(serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned()))
    }
}

/// The part of a header that the feed publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewHeader {
    pub(crate) height: Height,
    pub(crate) time: OffsetDateTime,
}

pub(crate) fn status(result: &Value) -> Result<NodeStatus, QueryError> {
    Ok(NodeStatus {
        chain_id: text(result, "/node_info/network")?.to_owned(),
        height: Height(number(result, "/sync_info/latest_block_height")?),
        block_time: moment(result, "/sync_info/latest_block_time")?,
        catching_up: result
            .pointer("/sync_info/catching_up")
            .and_then(Value::as_bool)
            .unwrap_or(false),
    })
}

pub(crate) fn block(result: &Value) -> Result<Block, QueryError> {
    let hash = hex::decode(text(result, "/block_id/hash")?)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| QueryError::Malformed("/block_id/hash is not 32 bytes of hex".into()))?;
    let txs = result.pointer("/block/data/txs").and_then(Value::as_array);
    let tx_hashes = txs.into_iter().flatten().map(|tx| {
        let bytes = tx.as_str().and_then(|text| STANDARD.decode(text).ok());
        let bytes = bytes.ok_or_else(|| QueryError::Malformed("a transaction is not base64".into()))?;
        Ok(Sha256::digest(bytes).into())
    });
    Ok(Block {
        height: Height(number(result, "/block/header/height")?),
        hash,
        time: moment(result, "/block/header/time")?,
        tx_hashes: tx_hashes.collect::<Result<_, QueryError>>()?,
    })
}

pub(crate) fn block_results(result: &Value) -> Result<BlockResults, QueryError> {
    Ok(BlockResults {
        txs: list(result, "txs_results")?,
        end_block_events: list(result, "finalize_block_events")?,
    })
}

/// The header in a WebSocket message; `None` for the answer to the subscription itself.
pub(crate) fn header_of_event(message: &Value) -> Result<Option<NewHeader>, QueryError> {
    if let Some(error) = message.get("error") {
        return Err(QueryError::Malformed(format!("the subscription failed: {error}")));
    }
    let Some(header) = message.pointer("/result/data/value/header") else {
        return Ok(None);
    };
    Ok(Some(NewHeader {
        height: Height(number(header, "/height")?),
        time: moment(header, "/time")?,
    }))
}

/// A list that may be absent or null.
fn list<T: serde::de::DeserializeOwned>(result: &Value, key: &str) -> Result<Vec<T>, QueryError> {
    match result.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(found) => Vec::deserialize(found).map_err(|error| QueryError::Malformed(format!("{key}: {error}"))),
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str, QueryError> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .ok_or_else(|| QueryError::missing(pointer))
}

fn number<T: FromStr>(value: &Value, pointer: &str) -> Result<T, QueryError> {
    text(value, pointer)?
        .parse()
        .map_err(|_| QueryError::Malformed(format!("{pointer} is no number")))
}

fn moment(value: &Value, pointer: &str) -> Result<OffsetDateTime, QueryError> {
    OffsetDateTime::parse(text(value, pointer)?, &Rfc3339)
        .map_err(|_| QueryError::Malformed(format!("{pointer} is no RFC 3339 time")))
}

fn decimal<'de, D: serde::Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
    String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
}

fn pairs<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<(String, String)>, D::Error> {
    #[derive(Deserialize)]
    struct Attribute {
        #[serde(default)]
        key: Option<String>,
        #[serde(default)]
        value: Option<String>,
    }
    let found: Option<Vec<Attribute>> = Option::deserialize(input)?;
    let pair = |attribute: Attribute| (attribute.key.unwrap_or_default(), attribute.value.unwrap_or_default());
    Ok(found.into_iter().flatten().map(pair).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn block_has_the_sha256_of_each_transaction() {
        let answer = json!({
            "block_id": {"hash": "DC0496AEF00911A96E039C4CA6BD40C67BF6010A40364787AB81CB07CD774358"},
            "block": {
                "header": {"height": "2", "time": "2026-11-21T07:40:42.125529702Z"},
                "data": {"txs": ["YWJj"]},
            },
        });
        let block = block(&answer).unwrap();
        assert_eq!(block.height, Height(2));
        assert_eq!(block.hash[..2], [0xDC, 0x04]);
        assert_eq!(block.time.nanosecond(), 125_529_702);
        assert_eq!(
            hex::encode(block.tx_hashes[0]),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn block_results_without_transactions_are_empty() {
        let answer = json!({"height": "2", "txs_results": null, "finalize_block_events": [
            {"type": "pocket.tokenomics.EventClaimExpired", "attributes": [
                {"key": "num_relays", "value": "\"10\"", "index": true},
                {"key": "mode", "value": "EndBlock", "index": true}]}]});
        let results = block_results(&answer).unwrap();
        assert_eq!(results.txs, []);
        let event = &results.end_block_events[0];
        assert_eq!(event.value("num_relays"), Some("\"10\""));
        assert_eq!(event.text("num_relays").as_deref(), Some("10"));
        assert_eq!(event.text("mode").as_deref(), Some("EndBlock"));
    }

    #[test]
    fn failed_transaction_has_code_and_log() {
        let answer = json!({"txs_results": [
            {"code": 1, "codespace": "undefined", "log": "failed", "gas_used": "61234", "events": []}]});
        let tx = block_results(&answer).unwrap().txs.remove(0);
        assert_eq!((tx.code, tx.gas_used, tx.log.as_str()), (1, 61_234, "failed"));
    }

    #[test]
    fn answer_to_the_subscription_has_no_header() {
        assert_eq!(header_of_event(&json!({"id": 1, "result": {}})), Ok(None));
        assert!(header_of_event(&json!({"id": 1, "error": {"code": -32603}})).is_err());
    }
}
