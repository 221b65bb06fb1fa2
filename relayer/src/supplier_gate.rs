//! Whether a supplier may serve, by the registry that miners keep in Redis (spec `relay.md` §6.2).
//!
//! The entries of our own suppliers are read in the background, so that no relay waits for Redis.

use std::collections::HashMap;
use std::time::Duration;

use arc_swap::ArcSwap;
use pocket_config::RpcType;
use pocket_keys::LiveKeys;
use pocket_protocol::ServiceId;
use pocket_store::{Store, SupplierEntry, SupplierStatus};
use tokio_util::sync::CancellationToken;

use crate::refusal::Refusal;

/// How old an entry of our own suppliers may get.
const REFRESH: Duration = Duration::from_secs(5);
/// How long a request for a supplier that is not ours may wait for Redis.
const FOREIGN_LOOKUP: Duration = Duration::from_secs(1);

/// The registry as last read.
pub(crate) struct SupplierGate {
    store: Store,
    keys: LiveKeys,
    own: ArcSwap<HashMap<String, Option<SupplierEntry>>>,
}

/// The gate is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The registry has the supplier.
    Registered,
    /// It has, but the supplier declared other transports than this on chain.
    Undeclared,
    /// We hold its key, but the registry does not know it, or not yet, or cannot be read.
    OwnKeyOnly,
}

impl SupplierGate {
    pub fn new(store: Store, keys: LiveKeys) -> Self {
        Self {
            store,
            keys,
            own: ArcSwap::default(),
        }
    }

    /// Reads the registry for our own suppliers; what cannot be read stays as it was.
    pub async fn refresh(&self) {
        let known = self.own.load_full();
        let mut fresh = HashMap::with_capacity(known.len());
        for supplier in self.keys.current().addresses() {
            let supplier = supplier.as_str();
            match self.store.supplier(supplier).await {
                Ok(entry) => {
                    fresh.insert(supplier.to_owned(), entry);
                }
                Err(error) => {
                    tracing::warn!(%error, supplier, "supplier registry cannot be read");
                    if let Some(entry) = known.get(supplier) {
                        fresh.insert(supplier.to_owned(), entry.clone());
                    }
                    if error.is_transient() {
                        // The others would fail alike: keep what is known of them.
                        for (supplier, entry) in known.iter() {
                            fresh.entry(supplier.clone()).or_insert_with(|| entry.clone());
                        }
                        break;
                    }
                }
            }
        }
        self.own.store(fresh.into());
    }

    /// What the registry says of a supplier of ours, as last read.
    pub fn known(&self, supplier: &str) -> Option<SupplierEntry> {
        self.own.load().get(supplier).cloned().flatten()
    }

    /// Refreshes until `cancel`.
    pub async fn run(&self, cancel: CancellationToken) {
        while cancel.run_until_cancelled(tokio::time::sleep(REFRESH)).await.is_some() {
            cancel.run_until_cancelled(self.refresh()).await;
        }
    }

    /// Whether relays of `service` and of this type are to be served for a supplier.
    pub async fn admit(
        &self,
        supplier: &str,
        is_ours: bool,
        service: &ServiceId,
        kind: Option<RpcType>,
    ) -> Result<Admission, Refusal> {
        if is_ours {
            return match self.own.load().get(supplier) {
                Some(Some(entry)) => judge(entry, service, kind, true),
                Some(None) | None => Ok(Admission::OwnKeyOnly),
            };
        }
        // Boxed: rare, and large.
        let lookup = Box::pin(tokio::time::timeout(FOREIGN_LOOKUP, self.store.supplier(supplier)));
        match lookup.await {
            Ok(Ok(Some(entry))) => judge(&entry, service, kind, false),
            Ok(Ok(None)) => Err(Refusal::SupplierUnregistered(supplier.to_owned())),
            Ok(Err(_)) | Err(_) => Err(Refusal::SupplierStateUnknown),
        }
    }
}

fn judge(
    entry: &SupplierEntry,
    service: &ServiceId,
    kind: Option<RpcType>,
    is_ours: bool,
) -> Result<Admission, Refusal> {
    let supplier = || entry.operator_address.clone();
    match entry.serves(service) {
        Some(true) if is_declared(entry, service, kind) => Ok(Admission::Registered),
        Some(true) => Ok(Admission::Undeclared),
        None if is_ours => Ok(Admission::OwnKeyOnly),
        None => Err(Refusal::SupplierUnregistered(supplier())),
        Some(false) if !entry.staked || entry.status == SupplierStatus::NotStaked => Err(Refusal::SupplierInactive {
            supplier: supplier(),
            status: status_name(entry.status).to_owned(),
        }),
        Some(false) if entry.services.is_empty() => Err(Refusal::SupplierWithoutServices(supplier())),
        Some(false) => Err(Refusal::SupplierNotStakedFor {
            supplier: supplier(),
            service: service.as_str().to_owned(),
        }),
    }
}

/// As gateways and operators are told.
pub(crate) fn status_name(status: SupplierStatus) -> &'static str {
    match status {
        SupplierStatus::Active => "active",
        SupplierStatus::Unstaking => "unstaking",
        SupplierStatus::NotStaked => "not_staked",
    }
}

/// An empty list says nothing about any transport.
fn is_declared(entry: &SupplierEntry, service: &ServiceId, kind: Option<RpcType>) -> bool {
    let Some(kind) = kind else { return true };
    let mut declared = entry.staked_endpoints.iter();
    declared.len() == 0
        || declared.any(|endpoint| endpoint.service_id == service.as_str() && endpoint.rpc_type == kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(status: SupplierStatus, staked: bool, services: &[&str]) -> SupplierEntry {
        SupplierEntry {
            status,
            staked,
            services: services.iter().map(|&id| id.to_owned()).collect(),
            staked_endpoints: Vec::new(),
            unstake_session_end_height: 0,
            operator_address: "pokt1s".to_owned(),
            owner_address: String::new(),
            last_updated: 0,
            last_refresh_session_start: None,
            updated_by: String::new(),
        }
    }

    #[test]
    fn registry_is_authoritative_also_over_a_held_key() {
        let service: ServiceId = "eth".parse().unwrap();
        let judged = |status, staked, services: &[&str]| {
            judge(&entry(status, staked, services), &service, Some(RpcType::JsonRpc), true)
        };
        assert_eq!(
            judged(SupplierStatus::Active, true, &["eth"]),
            Ok(Admission::Registered)
        );
        assert_eq!(
            judged(SupplierStatus::Unstaking, true, &["eth"]),
            Ok(Admission::Registered)
        );
        assert_eq!(judged(SupplierStatus::Active, true, &[]), Ok(Admission::OwnKeyOnly));
        let supplier = || "pokt1s".to_owned();
        assert_eq!(
            judged(SupplierStatus::NotStaked, false, &["eth"]),
            Err(Refusal::SupplierInactive {
                supplier: supplier(),
                status: "not_staked".into()
            })
        );
        assert_eq!(
            judged(SupplierStatus::Unstaking, true, &[]),
            Err(Refusal::SupplierWithoutServices(supplier()))
        );
        assert_eq!(
            judged(SupplierStatus::Active, true, &["other"]),
            Err(Refusal::SupplierNotStakedFor {
                supplier: supplier(),
                service: "eth".into()
            })
        );
    }

    #[test]
    fn undeclared_transport_is_served_and_told() {
        let service: ServiceId = "eth".parse().unwrap();
        let mut entry = entry(SupplierStatus::Active, true, &["eth"]);
        let judged = |entry: &SupplierEntry, kind| judge(entry, &service, Some(kind), true);
        assert_eq!(judged(&entry, RpcType::Rest), Ok(Admission::Registered));
        entry.staked_endpoints.push(pocket_store::StakedEndpoint {
            service_id: "eth".to_owned(),
            rpc_type: "jsonrpc".to_owned(),
        });
        assert_eq!(judged(&entry, RpcType::JsonRpc), Ok(Admission::Registered));
        assert_eq!(judged(&entry, RpcType::Rest), Ok(Admission::Undeclared));
    }
}
