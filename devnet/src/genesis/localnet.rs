//! The local network's genesis: names, keys and stakes are those of the project's real local chain.

use pocket_proto::pocket::application::Application;
use pocket_proto::pocket::gateway::Gateway;
use pocket_proto::pocket::shared::{
    ApplicationServiceConfig, RpcType, Service, ServiceRevenueShare, Supplier, SupplierEndpoint, SupplierServiceConfig,
};
use pocket_proto::pocket::{application, proof, service, session, shared, supplier};
use time::OffsetDateTime;

use super::{Genesis, GenesisAccount, Params, Tokenomics, coin};
use crate::actor::Actor;

const SERVICES: [&str; 5] = ["svc-http", "svc-ws", "svc-grpc", "svc-rest", "svc-comet"];
const RPC_TYPES: [(RpcType, &str); 5] = [
    (RpcType::JsonRpc, "http"),
    (RpcType::Rest, "http"),
    (RpcType::Websocket, "ws"),
    (RpcType::Grpc, "http"),
    (RpcType::CometBft, "http"),
];
/// Liquid upokt of every account.
const BALANCE: u128 = 1_000_000_000_000;
const GATEWAY_STAKE: u128 = 2_000_000;

/// What can be chosen about the local network. The default is the real one's.
#[derive(Clone, Debug)]
pub struct Localnet {
    /// `host:port` that every supplier's endpoints advertise.
    pub relayer: String,
    /// Blocks per session.
    pub session_blocks: u64,
    /// Blocks after a session's end in which its relays are still good.
    pub grace_blocks: u64,
    /// Blocks from the session's end to the block before claims.
    pub claim_open_offset: u64,
    /// Blocks that the claim window stays open.
    pub claim_window: u64,
    /// Blocks from the claim window's last block to the proof window's first.
    pub proof_open_offset: u64,
    /// Blocks that the proof window stays open.
    pub proof_window: u64,
    /// Share of claims that must be proven.
    pub proof_probability: f64,
    /// Claims of this many upokt or more must be proven.
    pub proof_threshold: u128,
    /// upokt charged for a proof.
    pub proof_fee: u128,
    /// Relays per session that mining aims at.
    pub target_relays: u64,
    /// Compute units of one relay.
    pub compute_units: u64,
    /// Stake of each application, upokt.
    pub application_stake: u128,
    /// Stake of each supplier, upokt.
    pub supplier_stake: u128,
    /// Applications, dealt over the services in turn.
    pub applications: usize,
    /// Suppliers, each with every service.
    pub suppliers: usize,
    /// Whether applications delegate to `gateway1`.
    pub delegate: bool,
}

impl Default for Localnet {
    fn default() -> Self {
        Self {
            relayer: "127.0.0.1:8080".to_owned(),
            session_blocks: 10,
            grace_blocks: 1,
            claim_open_offset: 1,
            claim_window: 4,
            proof_open_offset: 0,
            proof_window: 4,
            proof_probability: 1.0,
            proof_threshold: 20_000_000,
            proof_fee: 0,
            target_relays: 100_000,
            compute_units: 100,
            application_stake: 100_000_000_000,
            supplier_stake: 60_000_000_000,
            applications: 5,
            suppliers: 3,
            delegate: true,
        }
    }
}

impl Genesis {
    /// The local network as it is by default.
    pub fn localnet() -> Self {
        Localnet::default().genesis()
    }
}

impl Localnet {
    /// The genesis of these choices.
    pub fn genesis(&self) -> Genesis {
        let names = ["validator", "dao", "owner", "gateway1"].map(str::to_owned).into_iter();
        let names = names.chain(self.application_names()).chain(self.supplier_names());
        let accounts = names.map(|name| {
            let actor = Actor::named(&name);
            GenesisAccount {
                address: actor.address,
                public_key: Some(actor.public_key),
                balance: BALANCE,
            }
        });
        Genesis {
            chain_id: "pocket".to_owned(),
            time: OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000),
            accounts: accounts.collect(),
            params: self.params(),
            services: SERVICES.iter().map(|id| self.service(id)).collect(),
            applications: self
                .application_names()
                .enumerate()
                .map(|(i, name)| self.application(i, &name))
                .collect(),
            gateways: vec![Gateway {
                address: Actor::named("gateway1").address,
                stake: Some(coin(GATEWAY_STAKE)),
                ..Gateway::default()
            }],
            suppliers: self.supplier_names().map(|name| self.supplier(&name)).collect(),
            difficulties: Vec::new(),
            block_hashes: std::collections::BTreeMap::new(),
        }
    }

    fn application_names(&self) -> impl Iterator<Item = String> + use<> {
        (1..=self.applications).map(|i| format!("app{i}"))
    }

    fn supplier_names(&self) -> impl Iterator<Item = String> + use<> {
        (1..=self.suppliers).map(|i| format!("supplier{i}"))
    }

    fn service(&self, id: &str) -> Service {
        Service {
            id: id.to_owned(),
            name: id.to_owned(),
            compute_units_per_relay: self.compute_units,
            owner_address: Actor::named("owner").address,
            metadata: None,
        }
    }

    fn application(&self, index: usize, name: &str) -> Application {
        let gateways = self.delegate.then(|| Actor::named("gateway1").address);
        Application {
            address: Actor::named(name).address,
            stake: Some(coin(self.application_stake)),
            service_configs: vec![ApplicationServiceConfig {
                service_id: SERVICES[index % SERVICES.len()].to_owned(),
            }],
            delegatee_gateway_addresses: gateways.into_iter().collect(),
            ..Application::default()
        }
    }

    fn supplier(&self, name: &str) -> Supplier {
        let address = Actor::named(name).address;
        let endpoints: Vec<_> = RPC_TYPES
            .iter()
            .map(|(rpc_type, scheme)| SupplierEndpoint {
                url: format!("{scheme}://{}", self.relayer),
                rpc_type: (*rpc_type).into(),
                configs: Vec::new(),
            })
            .collect();
        let services = SERVICES.iter().map(|id| SupplierServiceConfig {
            service_id: (*id).to_owned(),
            endpoints: endpoints.clone(),
            rev_share: vec![ServiceRevenueShare {
                address: address.clone(),
                rev_share_percentage: 100,
            }],
        });
        Supplier {
            owner_address: address.clone(),
            operator_address: address.clone(),
            stake: Some(coin(self.supplier_stake)),
            services: services.collect(),
            ..Supplier::default()
        }
    }

    fn params(&self) -> Params {
        let tail = self.claim_open_offset + self.claim_window + self.proof_open_offset + self.proof_window;
        // Nobody may leave before the claims of their last session are settled.
        let unbonding = tail.div_ceil(self.session_blocks).max(1);
        Params {
            shared: shared::Params {
                num_blocks_per_session: self.session_blocks,
                grace_period_end_offset_blocks: self.grace_blocks,
                claim_window_open_offset_blocks: self.claim_open_offset,
                claim_window_close_offset_blocks: self.claim_window,
                proof_window_open_offset_blocks: self.proof_open_offset,
                proof_window_close_offset_blocks: self.proof_window,
                supplier_unbonding_period_sessions: unbonding,
                application_unbonding_period_sessions: unbonding,
                compute_units_to_tokens_multiplier: 100,
                gateway_unbonding_period_sessions: unbonding,
                compute_unit_cost_granularity: 1,
                session_grid_anchor_height: 1,
                session_number_at_anchor: 1,
            },
            session: session::Params {
                num_suppliers_per_session: 15,
            },
            proof: proof::Params {
                proof_request_probability: self.proof_probability,
                proof_requirement_threshold: Some(coin(self.proof_threshold)),
                proof_missing_penalty: Some(coin(320_000_000)),
                proof_submission_fee: Some(coin(self.proof_fee)),
            },
            service: service::Params {
                add_service_fee: Some(coin(1_000_000_000)),
                target_num_relays: self.target_relays,
            },
            application: application::Params {
                max_delegated_gateways: 7,
                min_stake: Some(coin(1_000_000)),
            },
            supplier: supplier::Params {
                min_stake: Some(coin(1_000_000)),
                staking_fee: Some(coin(1)),
            },
            tokenomics: Tokenomics {
                mint_ratio: 1_000_000,
                supplier_share: 700_000,
                proposer_share: 50_000,
                source_owner_share: 150_000,
                application_share: 0,
                dao_address: Actor::named("dao").address,
                proposer_address: Actor::named("validator").address,
                overservicing_bonus_multiplier: 1,
            },
            min_gas_price: (1, 1_000_000),
            max_tx_bytes: 1 << 20,
        }
    }
}
