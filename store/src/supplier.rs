use pocket_protocol::ServiceId;
use serde::{Deserialize, Serialize};

use crate::{Store, StoreError};

/// Whether a supplier may serve, as the registry says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SupplierStatus {
    /// Staked.
    Active,
    /// On its way out; still serves until its last session is over.
    Unstaking,
    /// The key is there, but the chain knows no such supplier.
    NotStaked,
}

/// One transport that a supplier declared on chain for a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StakedEndpoint {
    /// The service.
    pub service_id: String,
    /// `jsonrpc`, `rest`, `websocket`, `grpc` or `cometbft`.
    pub rpc_type: String,
}

/// A supplier's entry in the registry: written by miners, read by relayers. JSON with the Go peer's
/// field names (spec: relay.md §6.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupplierEntry {
    /// Whether it may serve.
    pub status: SupplierStatus,
    /// Whether the chain knows it.
    pub staked: bool,
    /// Services it is staked for.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub services: Vec<String>,
    /// Transports it declared; empty means unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub staked_endpoints: Vec<StakedEndpoint>,
    /// End height of its last session when unstaking, else 0.
    #[serde(default)]
    pub unstake_session_end_height: u64,
    /// Its operator address.
    pub operator_address: String,
    /// Its owner address.
    #[serde(default)]
    pub owner_address: String,
    /// Unix time in seconds of the last change.
    #[serde(default)]
    pub last_updated: i64,
    /// Start height of the session in which the stake was last looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refresh_session_start: Option<i64>,
    /// The miner that wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub updated_by: String,
}

impl SupplierEntry {
    /// Whether relays of `service` are to be served. Staked and active with no service at all is how
    /// a broken write of the Go peer looks: it says nothing (`None`).
    pub fn serves(&self, service: &ServiceId) -> Option<bool> {
        if self.staked && self.status == SupplierStatus::Active && self.services.is_empty() {
            return None;
        }
        let known = self.services.iter().any(|id| id == service.as_str());
        Some(self.staked && self.status != SupplierStatus::NotStaked && known)
    }
}

impl Store {
    /// A supplier's registry entry.
    pub async fn supplier(&self, operator: &str) -> Result<Option<SupplierEntry>, StoreError> {
        let key = self.keys().supplier(operator);
        let text: Option<String> = self.query(redis::cmd("GET").arg(&key)).await?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| StoreError::malformed(key, error)))
            .transpose()
    }

    /// Writes a registry entry and tells the relayers of it.
    pub async fn write_supplier(&self, entry: &SupplierEntry) -> Result<(), StoreError> {
        let text = serde_json::to_string(entry).expect("texts and numbers are JSON");
        let told = serde_json::json!({
            "action": "update", "operator_addr": entry.operator_address, "services": entry.services,
        });
        let mut set = redis::cmd("SET");
        set.arg(self.keys().supplier(&entry.operator_address)).arg(text);
        self.query::<()>(&set).await?;
        // Key and channel are no pair of one slot.
        let mut tell = redis::cmd("PUBLISH");
        tell.arg(self.keys().supplier_updates()).arg(told.to_string());
        self.query(&tell).await
    }
}

// Go writes an empty list as null.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(json: &str) -> SupplierEntry {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn entry_of_the_go_peer_is_read() {
        let service: ServiceId = "eth".parse().unwrap();
        let go = r#"{"status":"active","staked":true,"services":["eth"],"unstake_session_end_height":0,
            "operator_address":"pokt1a","owner_address":"pokt1b","last_updated":5}"#;
        assert_eq!(entry(go).serves(&service), Some(true));
        assert_eq!(entry(&go.replace("[\"eth\"]", "null")).serves(&service), None);
        assert_eq!(entry(&go.replace("active", "unstaking")).serves(&service), Some(true));
        assert_eq!(entry(&go.replace("active", "not_staked")).serves(&service), Some(false));
        assert_eq!(entry(&go.replace("true", "false")).serves(&service), Some(false));
        assert_eq!(
            entry(&go.replace("[\"eth\"]", "[\"other\"]")).serves(&service),
            Some(false)
        );
    }
}
