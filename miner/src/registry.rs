//! The supplier registry: what the chain knows of a supplier, told to relayers.

use std::collections::BTreeSet;

use pocket_proto::pocket::shared::{RpcType, Supplier};
use pocket_protocol::{Height, SupplierAddress};
use pocket_query::{ChainClient, QueryError};
use pocket_store::{StakedEndpoint, SupplierEntry, SupplierStatus};
use time::OffsetDateTime;

/// The registry entry of a supplier as the chain has it at `height`.
pub(crate) async fn entry(
    chain: &ChainClient,
    supplier: &SupplierAddress,
    height: Height,
    instance: &str,
) -> Result<SupplierEntry, QueryError> {
    let found = match chain.supplier(supplier.as_str()).await {
        Ok(found) => Some(found),
        Err(QueryError::NotFound(_)) => None,
        Err(error) => return Err(error),
    };
    let mut entry = SupplierEntry {
        status: SupplierStatus::NotStaked,
        staked: false,
        services: Vec::new(),
        staked_endpoints: Vec::new(),
        unstake_session_end_height: 0,
        operator_address: supplier.to_string(),
        owner_address: String::new(),
        last_updated: OffsetDateTime::now_utc().unix_timestamp(),
        last_refresh_session_start: None,
        updated_by: instance.to_owned(),
    };
    if let Some(found) = found {
        describe(&mut entry, &found, height);
    }
    Ok(entry)
}

fn describe(entry: &mut SupplierEntry, supplier: &Supplier, height: Height) {
    entry.staked = true;
    entry.unstake_session_end_height = supplier.unstake_session_end_height;
    entry.status = match supplier.unstake_session_end_height {
        0 => SupplierStatus::Active,
        _ => SupplierStatus::Unstaking,
    };
    entry.owner_address.clone_from(&supplier.owner_address);
    // A change of services takes effect at a session's start: the history has old, current and coming ones.
    let history = supplier.service_config_history.iter();
    let staying = history.filter(|update| update.deactivation_height == 0 || update.deactivation_height > height.0);
    let configs = staying
        .filter_map(|update| update.service.as_ref())
        .chain(&supplier.services);
    let (mut services, mut endpoints) = (BTreeSet::new(), BTreeSet::new());
    for config in configs {
        services.insert(config.service_id.clone());
        let names = config
            .endpoints
            .iter()
            .filter_map(|endpoint| rpc_name(endpoint.rpc_type()));
        endpoints.extend(names.map(|name| (config.service_id.clone(), name)));
    }
    entry.services = services.into_iter().collect();
    let staked = |(service_id, rpc_type): (String, &str)| StakedEndpoint {
        service_id,
        rpc_type: rpc_type.to_owned(),
    };
    entry.staked_endpoints = endpoints.into_iter().map(staked).collect();
}

fn rpc_name(kind: RpcType) -> Option<&'static str> {
    match kind {
        RpcType::UnknownRpc => None,
        RpcType::Grpc => Some("grpc"),
        RpcType::Websocket => Some("websocket"),
        RpcType::JsonRpc => Some("jsonrpc"),
        RpcType::Rest => Some("rest"),
        RpcType::CometBft => Some("cometbft"),
    }
}
