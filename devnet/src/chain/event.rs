//! Typed events as block results show them (spec `chain.md` §9).

use serde_json::Value;

/// An event: its type and its attributes in alphabetical order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Full protobuf name, as `pocket.tokenomics.EventClaimSettled`.
    pub kind: String,
    /// Key and value; values of typed events are JSON text.
    pub attributes: Vec<(String, String)>,
}

impl Event {
    /// An event without attributes; `kind` is a protobuf name.
    pub fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            attributes: Vec::new(),
        }
    }

    /// Adds a field as JSON. 64-bit integers are to be given as text, others as numbers.
    #[must_use]
    pub fn with(self, key: &str, value: impl Into<Value>) -> Self {
        self.raw(key, value.into().to_string())
    }

    /// Adds a 64-bit integer, which is text in JSON.
    #[must_use]
    pub fn with_integer(self, key: &str, value: impl Into<i128>) -> Self {
        self.with(key, value.into().to_string())
    }

    /// Adds an attribute that is not JSON, as `mode` and `msg_index` are.
    #[must_use]
    pub fn raw(mut self, key: &str, value: impl Into<String>) -> Self {
        let at = self.attributes.partition_point(|(known, _)| known.as_str() < key);
        self.attributes.insert(at, (key.to_owned(), value.into()));
        self
    }

    /// Adds an attribute after all others, where the SDK puts its own.
    #[must_use]
    pub fn last(mut self, key: &str, value: &str) -> Self {
        self.attributes.push((key.to_owned(), value.to_owned()));
        self
    }

    /// A value without its JSON quotes.
    pub fn value(&self, key: &str) -> Option<String> {
        let (_, text) = self.attributes.iter().find(|(known, _)| known == key)?;
        Some(match serde_json::from_str(text) {
            Ok(Value::String(plain)) => plain,
            _ => text.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_sorted_and_integers_of_64_bits_are_quoted() {
        let event = Event::new("pocket.tokenomics.EventClaimExpired")
            .with("service_id", "svc1")
            .with_integer("num_relays", 10)
            .with("claim_proof_status_int", 0)
            .last("mode", "EndBlock");
        let pairs: Vec<_> = event
            .attributes
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(
            pairs,
            [
                "claim_proof_status_int=0",
                "num_relays=\"10\"",
                "service_id=\"svc1\"",
                "mode=EndBlock"
            ]
        );
        assert_eq!(event.value("num_relays").as_deref(), Some("10"));
    }
}
