//! Subscriptions: which events a query wants, and what they look like.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::json;
use crate::chain::{Block, Event};
use crate::node::tx_hash;

/// Conditions on events, all of which must hold, as `tm.event='Tx' AND tx.height=5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    text: String,
    conditions: Vec<(String, String)>,
}

impl Query {
    /// Reads a query. Only equality is known.
    pub fn parse(text: &str) -> Result<Self, String> {
        let conditions = text.split(" AND ").map(|condition| {
            let (key, value) = condition
                .split_once('=')
                .ok_or_else(|| format!("no equality: {condition}"))?;
            let key = key.trim();
            if key.is_empty() || key.ends_with(['<', '>', '!']) {
                return Err(format!("no equality: {condition}"));
            }
            Ok((key.to_owned(), value.trim().trim_matches('\'').to_owned()))
        });
        Ok(Self {
            text: text.to_owned(),
            conditions: conditions.collect::<Result<_, _>>()?,
        })
    }

    fn holds(&self, events: &BTreeMap<String, Vec<String>>) -> bool {
        self.conditions
            .iter()
            .all(|(key, value)| events.get(key).is_some_and(|values| values.contains(value)))
    }

    /// What the query wants of a block, in order: each the `result` of a message.
    pub fn select(&self, block: &Block, chain_id: &str) -> Vec<Value> {
        let mut selected = Vec::new();
        let mut offer = |kind: &str, events: BTreeMap<_, _>, value: &dyn Fn() -> Value| {
            if self.holds(&events) {
                let data = json!({"type": format!("tendermint/event/{kind}"), "value": value()});
                selected.push(json!({"query": self.text, "data": data, "events": events}));
            }
        };
        offer("NewBlock", named("NewBlock", &block.events), &|| {
            new_block(block, chain_id)
        });
        offer(
            "NewBlockHeader",
            named("NewBlockHeader", &[]),
            &|| json!({"header": json::header(block, chain_id)}),
        );
        for (index, (tx, result)) in block.txs.iter().zip(&block.results).enumerate() {
            let mut events = named("Tx", &result.events);
            events.insert("tx.hash".to_owned(), vec![json::hex(&tx_hash(tx))]);
            events.insert("tx.height".to_owned(), vec![block.height.to_string()]);
            offer("Tx", events, &|| {
                json!({"TxResult": {
                    "height": block.height.to_string(), "index": index, "tx": json::base64(tx),
                    "result": json::tx_result(result),
                }})
            });
        }
        selected
    }
}

fn new_block(block: &Block, chain_id: &str) -> Value {
    let results: Vec<_> = block.results.iter().map(json::tx_result).collect();
    json!({
        "block": json::inner_block(block, chain_id),
        "block_id": json::block_id(&block.hash),
        "result_finalize_block": {
            "events": json::events(&block.events), "tx_results": results, "validator_updates": Value::Null,
            "app_hash": json::base64(&json::app_hash(block)),
        },
    })
}

fn named(name: &str, events: &[Event]) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::from([("tm.event".to_owned(), vec![name.to_owned()])]);
    for event in events {
        for (key, value) in &event.attributes {
            all.entry(format!("{}.{key}", event.kind))
                .or_default()
                .push(value.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_conditions_must_hold() {
        let query = Query::parse("tm.event='Tx' AND message.sender='pokt1a'").unwrap();
        let event = Event::new("message").last("sender", "pokt1a");
        assert!(query.holds(&named("Tx", std::slice::from_ref(&event))));
        assert!(!query.holds(&named("NewBlock", &[event])));
        assert!(!query.holds(&named("Tx", &[])));
    }

    #[test]
    fn query_without_an_equality_is_refused() {
        assert!(Query::parse("tm.event EXISTS").is_err());
        assert!(Query::parse("tx.height>=5").is_err());
    }
}
