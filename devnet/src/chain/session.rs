//! Hydration: what a session is at a height (spec `sessions.md` §4, §5).

use std::collections::BTreeMap;

use pocket_proto::pocket::application::Application;
use pocket_proto::pocket::session::{Session, SessionHeader};
use pocket_proto::pocket::shared::{ServiceConfigUpdate, Supplier};
use pocket_protocol::session::{Candidate, select_suppliers, session_id_of, session_preimage};
use pocket_protocol::{Height, SessionBounds};

use crate::chain::context::Context;
use crate::chain::refusal::{Refusal, session};
use crate::chain::state::State;
use crate::chain::validate;

/// Why `GetSession` failed: the request is malformed, or the session cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionRefusal {
    /// gRPC `InvalidArgument`.
    Malformed(Refusal),
    /// gRPC `Internal`, whatever the reason.
    Unavailable(Refusal),
}

impl SessionRefusal {
    /// The reason itself.
    pub fn into_refusal(self) -> Refusal {
        let (Self::Malformed(refusal) | Self::Unavailable(refusal)) = self;
        refusal
    }
}

/// The session of an application and service that contains `height`; 0 means the latest.
pub fn get_session(
    state: &State,
    context: &Context<'_>,
    application: &str,
    service: &str,
    height: i64,
) -> Result<Session, SessionRefusal> {
    validate::address(application)
        .map_err(|reason| SessionRefusal::Malformed(session::INVALID_APP_ADDRESS.wrap(reason)))?;
    validate::service_id(service).map_err(SessionRefusal::Malformed)?;
    if height < 0 {
        let detail = format!("invalid block height for session being retrieved {height};");
        return Err(SessionRefusal::Malformed(session::INVALID_BLOCK_HEIGHT.wrap(detail)));
    }
    let height = if height == 0 { context.height } else { height };
    hydrate(state, context, application, service, height).map_err(SessionRefusal::Unavailable)
}

fn hydrate(
    state: &State,
    context: &Context<'_>,
    application: &str,
    service: &str,
    height: i64,
) -> Result<Session, Refusal> {
    if height > context.height {
        let last = context.height;
        let detail = format!("block height {height} is ahead of the last committed block height {last}");
        return Err(session::HYDRATION.wrap(detail));
    }
    let params = state.shared_at(height);
    let bounds = SessionBounds::containing(params, Height(height));
    let preimage = session_preimage(context.hash(bounds.start.0), service, application, bounds.start);
    let header = SessionHeader {
        application_address: application.to_owned(),
        service_id: service.to_owned(),
        session_id: session_id_of(&preimage).as_str().to_owned(),
        session_start_block_height: bounds.start.0,
        session_end_block_height: bounds.end.0,
    };
    let application = hydrate_application(state, &header, height)?;
    let suppliers = hydrate_suppliers(state, &header, height, &preimage)?;
    Ok(Session {
        session_id: header.session_id.clone(),
        header: Some(header),
        session_number: bounds.number,
        num_blocks_per_session: params.num_blocks_per_session as i64,
        application: Some(application),
        suppliers,
    })
}

fn hydrate_application(state: &State, header: &SessionHeader, height: i64) -> Result<Application, Refusal> {
    let (address, start) = (&header.application_address, header.session_start_block_height);
    let Some(application) = state.applications.get(address) else {
        let detail = format!("could not find app with address {address:?} at height {start}");
        return Err(session::APP_NOT_FOUND.wrap(detail));
    };
    if !is_active_at(application, header.session_end_block_height) {
        let detail = format!(
            "application {address:?} is not active for session {}",
            header.session_id
        );
        return Err(session::APP_NOT_ACTIVE.wrap(detail));
    }
    if !is_staked_for(application, &header.service_id, height) {
        let detail = format!(
            "application {address:?} not staked for service ID {:?}",
            header.service_id
        );
        return Err(session::APP_NOT_STAKED.wrap(detail));
    }
    Ok(Application::clone(application))
}

/// Whether the application still counts in a session that ends at `end`.
fn is_active_at(application: &Application, end: i64) -> bool {
    let until = |last: u64| end <= last as i64;
    match (application.unstake_session_end_height, &application.pending_transfer) {
        (0, None) => true,
        (0, Some(transfer)) => until(transfer.session_end_height),
        (unstake, _) => until(unstake),
    }
}

fn is_staked_for(application: &Application, service: &str, height: i64) -> bool {
    let history = &application.service_config_history;
    if history.is_empty() {
        return application
            .service_configs
            .iter()
            .any(|config| config.service_id == service);
    }
    history.iter().any(|update| {
        update
            .service
            .as_ref()
            .is_some_and(|config| config.service_id == service)
            && update.activation_height <= height
            && (update.deactivation_height == 0 || update.deactivation_height > height)
    })
}

fn hydrate_suppliers(
    state: &State,
    header: &SessionHeader,
    height: i64,
    preimage: &[u8],
) -> Result<Vec<Supplier>, Refusal> {
    let service = &header.service_id;
    let updates: Vec<_> = updates_for(state, service).collect();
    let candidates = updates.iter().map(|update| Candidate {
        operator: &update.operator_address,
        activation: Height(update.activation_height),
        deactivation: Height(update.deactivation_height),
    });
    let wanted = state.params.session.num_suppliers_per_session;
    let selected = select_suppliers(candidates, Height(height), wanted, preimage);
    if selected.is_empty() {
        let start = header.session_start_block_height;
        let detail = format!("could not find suppliers for service {service} at height {start}");
        return Err(session::NO_SUPPLIERS.wrap(detail));
    }
    let active: BTreeMap<_, _> = updates
        .iter()
        .filter(|update| super::state::is_active(update, height))
        .map(|update| (update.operator_address.as_str(), *update))
        .collect();
    let found = selected.into_iter().filter_map(|operator| {
        let mut supplier = Supplier::clone(state.suppliers.get(operator)?);
        supplier.services = active[operator].service.iter().cloned().collect();
        supplier.service_config_history.clear();
        Some(supplier)
    });
    Ok(found.collect())
}

fn updates_for<'a>(state: &'a State, service: &'a str) -> impl Iterator<Item = &'a ServiceConfigUpdate> {
    let all = state
        .suppliers
        .values()
        .flat_map(|supplier| &supplier.service_config_history);
    all.filter(move |update| {
        update
            .service
            .as_ref()
            .is_some_and(|config| config.service_id == service)
    })
}
