//! The Pocket modules' queries.

use std::sync::Arc;

use pocket_proto::pocket::application as app;
use pocket_proto::pocket::application::Application;
use pocket_proto::pocket::proof::query_all_claims_request::Filter;
use pocket_proto::pocket::proof::{self, Claim};
use pocket_proto::pocket::shared::{self, Service, Supplier};
use pocket_proto::pocket::{gateway, service, session, supplier};
use tonic::Status;

use super::page::page;
use crate::chain::session::{SessionRefusal, get_session};
use crate::chain::{ClaimKey, View, is_active};

/// Live shared parameters.
pub fn shared_params(view: View<'_>, _: &shared::QueryParamsRequest) -> Result<shared::QueryParamsResponse, Status> {
    Ok(shared::QueryParamsResponse {
        params: Some(*view.state.shared.live()),
    })
}

/// Shared parameters at a height, which may lie ahead.
pub fn shared_params_at(
    view: View<'_>,
    request: &shared::QueryParamsAtHeightRequest,
) -> Result<shared::QueryParamsAtHeightResponse, Status> {
    if request.height < 0 {
        return Err(Status::invalid_argument("height must be non-negative"));
    }
    Ok(shared::QueryParamsAtHeightResponse {
        params: Some(*view.state.shared_at(request.height)),
    })
}

/// Session parameters.
pub fn session_params(view: View<'_>, _: &session::QueryParamsRequest) -> Result<session::QueryParamsResponse, Status> {
    Ok(session::QueryParamsResponse {
        params: Some(view.state.params.session),
    })
}

/// A session; whatever is wrong with it, the status is `Internal`.
pub fn session(
    view: View<'_>,
    request: &session::QueryGetSessionRequest,
) -> Result<session::QueryGetSessionResponse, Status> {
    let (application, service) = (&request.application_address, &request.service_id);
    match get_session(view.state, &view.context, application, service, request.block_height) {
        Ok(session) => Ok(session::QueryGetSessionResponse { session: Some(session) }),
        Err(SessionRefusal::Malformed(refusal)) => Err(Status::invalid_argument(refusal.to_string())),
        Err(SessionRefusal::Unavailable(refusal)) => Err(Status::internal(refusal.to_string())),
    }
}

/// Application parameters.
pub fn application_params(view: View<'_>, _: &app::QueryParamsRequest) -> Result<app::QueryParamsResponse, Status> {
    Ok(app::QueryParamsResponse {
        params: Some(view.state.params.application.clone()),
    })
}

/// A staked application.
pub fn application(
    view: View<'_>,
    request: &app::QueryGetApplicationRequest,
) -> Result<app::QueryGetApplicationResponse, Status> {
    let address = &request.address;
    let found = view.state.applications.get(address);
    let found = found.ok_or_else(|| Status::not_found(format!("app address: {address}: application not found")))?;
    Ok(app::QueryGetApplicationResponse {
        application: Some(Application::clone(found)),
    })
}

/// All applications, or those that delegate to a gateway.
pub fn all_applications(
    view: View<'_>,
    request: &app::QueryAllApplicationsRequest,
) -> Result<app::QueryAllApplicationsResponse, Status> {
    let gateway = &request.delegatee_gateway_address;
    let wanted =
        |application: &Application| gateway.is_empty() || application.delegatee_gateway_addresses.contains(gateway);
    let all = view
        .state
        .applications
        .iter()
        .filter(|(_, application)| wanted(application));
    let all = all.map(|(address, application)| (address.clone().into_bytes(), Application::clone(application)));
    let (applications, pagination) = page(all, request.pagination.as_ref())?;
    Ok(app::QueryAllApplicationsResponse {
        applications,
        pagination: Some(pagination),
    })
}

/// Supplier parameters.
pub fn supplier_params(
    view: View<'_>,
    _: &supplier::QueryParamsRequest,
) -> Result<supplier::QueryParamsResponse, Status> {
    Ok(supplier::QueryParamsResponse {
        params: Some(view.state.params.supplier.clone()),
    })
}

/// A staked supplier.
pub fn supplier(
    view: View<'_>,
    request: &supplier::QueryGetSupplierRequest,
) -> Result<supplier::QueryGetSupplierResponse, Status> {
    let operator = &request.operator_address;
    let found = view.state.suppliers.get(operator).ok_or_else(|| {
        Status::not_found(format!(
            "supplier with operator address: {operator:?}: supplier not found"
        ))
    })?;
    Ok(supplier::QueryGetSupplierResponse {
        supplier: Some(present(view, found, request.dehydrated)),
    })
}

/// All suppliers, or those of a service, operator or owner.
pub fn all_suppliers(
    view: View<'_>,
    request: &supplier::QueryAllSuppliersRequest,
) -> Result<supplier::QueryAllSuppliersResponse, Status> {
    let wanted = |supplier: &Supplier| {
        let serves = |id: &str| supplier.services.iter().any(|config| config.service_id == id);
        (request.service_id.is_empty() || serves(&request.service_id))
            && (request.operator_address.is_empty() || supplier.operator_address == request.operator_address)
            && (request.owner_address.is_empty() || supplier.owner_address == request.owner_address)
    };
    let all = view.state.suppliers.iter().map(|(operator, supplier)| {
        let full = present(view, supplier, false);
        (operator.clone().into_bytes(), full)
    });
    let all = all.filter(|(_, supplier)| wanted(supplier)).map(|(key, mut supplier)| {
        if request.dehydrated {
            supplier.service_config_history.clear();
        }
        (key, supplier)
    });
    let (supplier, pagination) = page(all, request.pagination.as_ref())?;
    Ok(supplier::QueryAllSuppliersResponse {
        supplier,
        pagination: Some(pagination),
    })
}

/// A supplier with the configurations that count now; the history only when it is asked for.
fn present(view: View<'_>, supplier: &Supplier, dehydrated: bool) -> Supplier {
    let mut shown = supplier.clone();
    let active = supplier
        .service_config_history
        .iter()
        .filter(|update| is_active(update, view.context.height.max(1)));
    shown.services = active.filter_map(|update| update.service.clone()).collect();
    if dehydrated {
        shown.service_config_history.clear();
    }
    shown
}

/// A staked gateway.
pub fn gateway(
    view: View<'_>,
    request: &gateway::QueryGetGatewayRequest,
) -> Result<gateway::QueryGetGatewayResponse, Status> {
    let address = &request.address;
    let found = view.state.gateways.get(address);
    let found = found.ok_or_else(|| Status::not_found(format!("gateway not found: address {address}")))?;
    Ok(gateway::QueryGetGatewayResponse {
        gateway: Some(gateway::Gateway::clone(found)),
    })
}

/// Service parameters.
pub fn service_params(view: View<'_>, _: &service::QueryParamsRequest) -> Result<service::QueryParamsResponse, Status> {
    Ok(service::QueryParamsResponse {
        params: Some(view.state.params.service.clone()),
    })
}

/// A service.
pub fn service(
    view: View<'_>,
    request: &service::QueryGetServiceRequest,
) -> Result<service::QueryGetServiceResponse, Status> {
    let id = &request.id;
    let found = view.state.services.get(id);
    let found = found.ok_or_else(|| Status::not_found(format!("service ID not found: {id:?}")))?;
    Ok(service::QueryGetServiceResponse {
        service: Some(shown_service(found, request.dehydrated)),
    })
}

/// All services.
pub fn all_services(
    view: View<'_>,
    request: &service::QueryAllServicesRequest,
) -> Result<service::QueryAllServicesResponse, Status> {
    let all = view.state.services.iter();
    let all = all.map(|(id, service)| (id.clone().into_bytes(), shown_service(service, request.dehydrated)));
    let (service, pagination) = page(all, request.pagination.as_ref())?;
    Ok(service::QueryAllServicesResponse {
        service,
        pagination: Some(pagination),
    })
}

fn shown_service(service: &Service, dehydrated: bool) -> Service {
    let metadata = service.metadata.clone().filter(|_| !dehydrated);
    Service {
        metadata,
        ..service.clone()
    }
}

/// A service's mining difficulty at a height.
pub fn difficulty_at(
    view: View<'_>,
    request: &service::QueryGetRelayMiningDifficultyAtHeightRequest,
) -> Result<service::QueryGetRelayMiningDifficultyAtHeightResponse, Status> {
    check_service_height(&request.service_id, request.block_height)?;
    let difficulty = view.state.difficulty_at(&request.service_id, request.block_height);
    Ok(service::QueryGetRelayMiningDifficultyAtHeightResponse {
        relay_mining_difficulty: Some(difficulty),
    })
}

/// A service's compute units per relay at a height.
pub fn compute_units_at(
    view: View<'_>,
    request: &service::QueryComputeUnitsPerRelayAtHeightRequest,
) -> Result<service::QueryComputeUnitsPerRelayAtHeightResponse, Status> {
    let id = &request.service_id;
    check_service_height(id, request.block_height)?;
    let units = view.state.compute_units_at(id, request.block_height);
    let units = units.ok_or_else(|| Status::not_found(format!("serviceID: {id}: service not found")))?;
    Ok(service::QueryComputeUnitsPerRelayAtHeightResponse {
        compute_units_per_relay: units,
    })
}

fn check_service_height(id: &str, height: i64) -> Result<(), Status> {
    if id.is_empty() {
        return Err(Status::invalid_argument("service ID is required"));
    }
    if height < 0 {
        return Err(Status::invalid_argument("block height must be non-negative"));
    }
    Ok(())
}

/// Proof parameters.
pub fn proof_params(view: View<'_>, _: &proof::QueryParamsRequest) -> Result<proof::QueryParamsResponse, Status> {
    Ok(proof::QueryParamsResponse {
        params: Some(view.state.params.proof.clone()),
    })
}

/// A claim.
pub fn claim(view: View<'_>, request: &proof::QueryGetClaimRequest) -> Result<proof::QueryGetClaimResponse, Status> {
    let (id, supplier) = (&request.session_id, &request.supplier_operator_address);
    if let Err(error) = pocket_protocol::decode_account(supplier) {
        let text = format!(
            "invalid supplier operator address for claim being retrieved {supplier}; ({error}): invalid address"
        );
        return Err(Status::invalid_argument(text));
    }
    if id.is_empty() {
        let text = "invalid empty session ID for claim being retrieved: invalid session ID";
        return Err(Status::invalid_argument(text));
    }
    let found = view
        .state
        .claim(id, supplier)
        .ok_or_else(|| Status::not_found(format!("session ID {id:?} and supplier {supplier:?}: claim not found")))?;
    Ok(proof::QueryGetClaimResponse {
        claim: Some(Claim::clone(found)),
    })
}

/// All claims, or those of a supplier, session or session end.
pub fn all_claims(
    view: View<'_>,
    request: &proof::QueryAllClaimsRequest,
) -> Result<proof::QueryAllClaimsResponse, Status> {
    let wanted = |(id, supplier): &ClaimKey, claim: &Claim| match &request.filter {
        None => true,
        Some(Filter::SupplierOperatorAddress(wanted)) => supplier == wanted,
        Some(Filter::SessionId(wanted)) => id == wanted,
        Some(Filter::SessionEndHeight(wanted)) => claim
            .session_header
            .as_ref()
            .is_some_and(|header| header.session_end_block_height as u64 == *wanted),
    };
    let all = view.state.claims.iter().filter(|(key, claim)| wanted(key, claim));
    let all = all.map(|((id, supplier), claim)| (format!("{id}/{supplier}/").into_bytes(), Arc::clone(claim)));
    let (claims, pagination) = page(all, request.pagination.as_ref())?;
    let claims = claims.into_iter().map(|claim| Claim::clone(&claim)).collect();
    Ok(proof::QueryAllClaimsResponse {
        claims,
        pagination: Some(pagination),
    })
}
