//! What the chain knows of the suppliers, beside what is configured.

use std::collections::{BTreeMap, BTreeSet};

use pocket_config::{MinerConfig, RelayerConfig, RpcType};
use pocket_keys::KeySet;
use pocket_protocol::Upokt;
use pocket_query::{ChainClient, QueryError};
use pocket_tx::GasPrice;

use super::Finding;

const ABOUT: &str = "stake";
/// The gas of a small transaction with a claim or a proof.
const GAS: u64 = 200_000;

/// What a supplier staked for, by service.
type Staked = BTreeMap<String, BTreeSet<RpcType>>;

/// Suppliers' records: what is staked, and what is wrong with it.
pub async fn suppliers(keys: &KeySet, chain: &ChainClient) -> (Vec<(String, Staked)>, Vec<Finding>) {
    let (mut staked, mut findings) = (Vec::new(), Vec::new());
    for address in keys.addresses() {
        match chain.supplier(address.as_str()).await {
            Ok(supplier) => {
                let services: Staked = supplier
                    .services
                    .iter()
                    .map(|service| {
                        (
                            service.service_id.clone(),
                            kinds(service.endpoints.iter().map(|one| one.rpc_type)),
                        )
                    })
                    .collect();
                let stake = supplier.stake.as_ref().map_or("0", |coin| &coin.amount);
                let names: Vec<&str> = services.keys().map(String::as_str).collect();
                let what = format!(
                    "{address}: {stake} upokt, owner {}, services {}",
                    supplier.owner_address,
                    names.join(", ")
                );
                findings.push(Finding::ok(ABOUT, what));
                if supplier.unstake_session_end_height > 0 {
                    let what = format!("{address} leaves at block {}", supplier.unstake_session_end_height);
                    findings.push(Finding::warning(ABOUT, what, "stake it again if that is not meant"));
                }
                staked.push((address.to_string(), services));
            }
            Err(QueryError::NotFound(_)) => {
                let what = format!("{address} is not staked: it gets no relays");
                findings.push(Finding::error(
                    ABOUT,
                    what,
                    "stake it as a supplier, or take its key out",
                ));
            }
            Err(error) => {
                let remedy = "try again when the node answers";
                findings.push(Finding::error(ABOUT, format!("{address}: {error}"), remedy));
            }
        }
    }
    (staked, findings)
}

fn kinds(numbers: impl Iterator<Item = i32>) -> BTreeSet<RpcType> {
    let all = [
        RpcType::Grpc,
        RpcType::WebSocket,
        RpcType::JsonRpc,
        RpcType::Rest,
        RpcType::CometBft,
    ];
    numbers
        .filter_map(|number| all.into_iter().find(|kind| *kind as i32 == number))
        .collect()
}

/// Services and types that are staked and have no backend, and the other way round.
pub fn services(config: &RelayerConfig, staked: &[(String, Staked)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (address, services) in staked {
        for (id, kinds) in services {
            for kind in kinds {
                findings.extend(unserved(config, address, id, *kind));
            }
        }
    }
    // Without a supplier nothing can be said of backends.
    if staked.is_empty() {
        return findings;
    }
    for (id, service) in &config.services {
        let is_staked = |kind: &RpcType| {
            staked
                .iter()
                .any(|(_, services)| services.get(id.as_str()).is_some_and(|kinds| kinds.contains(kind)))
        };
        for kind in service.backends.keys().filter(|kind| !is_staked(kind)) {
            let what = "no supplier is staked for it: it gets no relays";
            let remedy = format!("stake a supplier for {id} with an endpoint of this type, or take the backend out");
            let key = format!("services.{id}.backends.{}", kind.as_str());
            findings.push(Finding::warning(ABOUT, what, remedy).at_key(key));
        }
    }
    findings
}

fn unserved(config: &RelayerConfig, address: &str, id: &str, kind: RpcType) -> Option<Finding> {
    let kind_name = kind.as_str();
    let Some(service) = config.services.get(id) else {
        let what = format!("{address} is staked for {id} ({kind_name}), which has no backend: its relays are refused");
        let remedy = format!("add services.{id}.backends.{kind_name} with its url, or unstake the service");
        return Some(Finding::error(ABOUT, what, remedy));
    };
    let is_http = matches!(kind, RpcType::JsonRpc | RpcType::Rest | RpcType::CometBft);
    let has_fallback = is_http && !service.fallback_backends.is_empty();
    if service.backends.contains_key(&kind) || has_fallback {
        return None;
    }
    let what = format!("{address} is staked for {id} with {kind_name}, which has no backend: its relays are refused");
    let remedy = format!("add services.{id}.backends.{kind_name} with its url, or stake without this type");
    Some(Finding::error(ABOUT, what, remedy))
}

/// Whether the suppliers' operators can pay for claims and proofs.
pub async fn accounts(config: &MinerConfig, keys: &KeySet, chain: &ChainClient) -> Vec<Finding> {
    let proof_fee = match chain.proof_params().await {
        Ok(params) => params
            .proof_submission_fee
            .as_ref()
            .and_then(|coin| coin.amount.parse().ok())
            .unwrap_or(0),
        Err(error) => {
            let what = format!("the chain's parameters cannot be read: {error}");
            return vec![Finding::error(ABOUT, what, "try again when the node answers")];
        }
    };
    let gas = GasPrice::of_atto(config.transaction.gas_price.atto_upokt).map_or(0, |price| price.fee(GAS).0);
    // A claim, and a proof with its fee.
    let least = 2 * gas + proof_fee;
    let threshold = config.balance_monitor.balance_threshold.0;
    let mut findings = Vec::new();
    for address in keys.addresses() {
        let found = match chain.balance(address.as_str()).await {
            Ok(Upokt(balance)) if balance < least.max(1) => {
                let what =
                    format!("{address} has {balance} upokt, too little for a claim and a proof, which cost {least}");
                Finding::error(ABOUT, what, format!("send upokt to {address}"))
            }
            Ok(Upokt(balance)) if balance < threshold => {
                let what = format!("{address} has {balance} upokt, less than balance_threshold_upokt, {threshold}");
                Finding::warning(ABOUT, what, format!("send upokt to {address}"))
            }
            Ok(Upokt(balance)) => Finding::ok(ABOUT, format!("{address} has {balance} upokt for fees")),
            Err(error) => Finding::error(ABOUT, format!("{address}: {error}"), "try again when the node answers"),
        };
        findings.push(found);
    }
    findings
}
