//! Everything that a block can change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pocket_proto::pocket::application::Application;
use pocket_proto::pocket::gateway::Gateway;
use pocket_proto::pocket::proof::{Claim, Proof};
use pocket_proto::pocket::service::RelayMiningDifficulty;
use pocket_proto::pocket::shared::{self, Service, ServiceConfigUpdate, Supplier};
use pocket_protocol::{Height, ParamsHistory, SessionBounds, Windows};

use crate::chain::bank::Bank;
use crate::chain::difficulty::Difficulties;
use crate::genesis::{Genesis, Params, amount};

/// A claim's key: session id and supplier, since all suppliers of a session share its id.
pub type ClaimKey = (String, String);

/// The modules' stores. Cloning is cheap enough to be done for each transaction, which so can fail as a whole.
#[derive(Clone, Debug)]
pub struct State {
    /// Accounts and balances.
    pub bank: Bank,
    /// Parameters of sessions, windows and prices, with their history.
    pub shared: ParamsHistory,
    /// All other parameters. Its `shared` is what genesis said; [`Self::shared`] is what counts.
    pub params: Arc<Params>,
    /// Services by id.
    pub services: BTreeMap<String, Arc<Service>>,
    /// Compute units per relay by service, from which height on.
    pub compute_units: BTreeMap<String, BTreeMap<i64, u64>>,
    /// Mining difficulty by service.
    pub difficulties: Difficulties,
    /// Staked applications by address.
    pub applications: BTreeMap<String, Arc<Application>>,
    /// Staked gateways by address.
    pub gateways: BTreeMap<String, Arc<Gateway>>,
    /// Staked suppliers by operator address.
    pub suppliers: BTreeMap<String, Arc<Supplier>>,
    /// Claims that await settlement.
    pub claims: BTreeMap<ClaimKey, Arc<Claim>>,
    /// Proofs of the block in progress; gone at its end.
    pub proofs: BTreeMap<ClaimKey, Arc<Proof>>,
    /// Timeouts, in nanoseconds, and signers of unordered transactions that cannot come again.
    pub unordered: BTreeSet<(i128, String)>,
}

impl State {
    /// The state before block 1.
    pub fn new(genesis: &Genesis) -> Self {
        let mut state = Self {
            bank: Bank::default(),
            shared: ParamsHistory::new(genesis.params.shared),
            params: Arc::new(genesis.params.clone()),
            services: BTreeMap::new(),
            compute_units: BTreeMap::new(),
            difficulties: Difficulties::new(genesis.params.service.target_num_relays, &genesis.difficulties),
            applications: BTreeMap::new(),
            gateways: BTreeMap::new(),
            suppliers: BTreeMap::new(),
            claims: BTreeMap::new(),
            proofs: BTreeMap::new(),
            unordered: BTreeSet::new(),
        };
        for account in &genesis.accounts {
            state.bank.open(&account.address, account.public_key);
            state.bank.mint(&account.address, account.balance);
        }
        state.stake_all(genesis);
        state
    }

    fn stake_all(&mut self, genesis: &Genesis) {
        for service in &genesis.services {
            self.compute_units
                .entry(service.id.clone())
                .or_default()
                .insert(1, service.compute_units_per_relay);
            self.services.insert(service.id.clone(), Arc::new(service.clone()));
        }
        for application in &genesis.applications {
            self.bank
                .mint_to_module("application", amount(application.stake.as_ref()));
            self.applications
                .insert(application.address.clone(), Arc::new(application.clone()));
        }
        for gateway in &genesis.gateways {
            self.bank.mint_to_module("gateway", amount(gateway.stake.as_ref()));
            self.gateways.insert(gateway.address.clone(), Arc::new(gateway.clone()));
        }
        for supplier in &genesis.suppliers {
            self.bank.mint_to_module("supplier", amount(supplier.stake.as_ref()));
            let supplier = with_history(supplier.clone());
            self.suppliers
                .insert(supplier.operator_address.clone(), Arc::new(supplier));
        }
    }

    /// Shared parameters in force at a height.
    pub fn shared_at(&self, height: i64) -> &shared::Params {
        self.shared.at(Height(height))
    }

    /// The windows of the session that contains `end`. A header may name a wrong end: then the chain
    /// goes by the end of the session that it lies in.
    pub fn windows(&self, end: i64) -> Windows {
        let params = self.shared_at(end);
        Windows::of(params, SessionBounds::containing(params, Height(end)).end)
    }

    /// Compute units of one relay at a height; the service's present ones before any history. None without a service.
    pub fn compute_units_at(&self, service: &str, height: i64) -> Option<u64> {
        let present = self.services.get(service)?.compute_units_per_relay;
        let history = self.compute_units.get(service);
        let entry = history.and_then(|history| history.range(..=height).next_back());
        Some(entry.map_or(present, |(_, units)| *units))
    }

    /// The difficulty in force at a height, for any service.
    pub fn difficulty_at(&self, service: &str, height: i64) -> RelayMiningDifficulty {
        self.difficulties.at(service, height)
    }

    /// The claim of a session and supplier.
    pub fn claim(&self, session_id: &str, supplier: &str) -> Option<&Arc<Claim>> {
        self.claims.get(&(session_id.to_owned(), supplier.to_owned()))
    }
}

/// A supplier whose configurations hold from block 1, unless its history says otherwise.
fn with_history(mut supplier: Supplier) -> Supplier {
    if supplier.service_config_history.is_empty() {
        let operator = &supplier.operator_address;
        let updates = supplier.services.iter().map(|service| ServiceConfigUpdate {
            operator_address: operator.clone(),
            service: Some(service.clone()),
            activation_height: 1,
            deactivation_height: 0,
        });
        supplier.service_config_history = updates.collect();
    }
    supplier
}

/// Whether a configuration counts at a height.
pub(crate) fn is_active(update: &ServiceConfigUpdate, height: i64) -> bool {
    update.activation_height <= height && (update.deactivation_height == 0 || update.deactivation_height > height)
}
