//! What a chain starts from.

mod localnet;

use std::collections::BTreeMap;

use pocket_proto::cosmos::base::v1beta1::Coin;
use pocket_proto::pocket::{application, gateway, proof, service, session, shared, supplier};
use time::OffsetDateTime;

pub use localnet::Localnet;

/// Everything a chain knows before its first block.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// Part of every signature.
    pub chain_id: String,
    /// Time of the state before block 1.
    pub time: OffsetDateTime,
    /// In the order of their account numbers.
    pub accounts: Vec<GenesisAccount>,
    /// Parameters of every module.
    pub params: Params,
    /// Services by id.
    pub services: Vec<shared::Service>,
    /// Staked applications.
    pub applications: Vec<application::Application>,
    /// Staked gateways.
    pub gateways: Vec<gateway::Gateway>,
    /// Staked suppliers; without a history of configurations their `services` hold from block 1.
    pub suppliers: Vec<shared::Supplier>,
    /// Difficulties that hold from their block height on.
    pub difficulties: Vec<service::RelayMiningDifficulty>,
    /// Hashes of blocks that are fixed; all others follow from what the blocks hold.
    pub block_hashes: BTreeMap<i64, [u8; 32]>,
}

/// An account, and what it owns.
#[derive(Clone, Debug)]
pub struct GenesisAccount {
    /// `pokt1…`.
    pub address: String,
    /// As if the account had sent a transaction already.
    pub public_key: Option<[u8; 33]>,
    /// upokt.
    pub balance: u128,
}

/// Parameters of all modules, as live at genesis.
#[derive(Clone, Debug)]
pub struct Params {
    /// Sessions, windows and prices.
    pub shared: shared::Params,
    /// Suppliers in a session.
    pub session: session::Params,
    /// When proofs are due and what missing ones cost.
    pub proof: proof::Params,
    /// What relay mining aims at.
    pub service: service::Params,
    /// Applications.
    pub application: application::Params,
    /// Suppliers' smallest stake.
    pub supplier: supplier::Params,
    /// Who gets what of a settled claim.
    pub tokenomics: Tokenomics,
    /// Smallest fee that the node takes into its mempool, upokt per gas, as a fraction.
    pub min_gas_price: (u64, u64),
    /// Largest transaction, in bytes.
    pub max_tx_bytes: usize,
}

/// The part of `pocket.tokenomics.Params` that settlement needs. Shares are in millionths.
///
/// Inflation beyond what applications burn is left out: it is zero on the main network.
#[derive(Clone, Debug)]
pub struct Tokenomics {
    /// Minted per upokt burnt.
    pub mint_ratio: u64,
    /// Of what is minted, for the supplier's shareholders.
    pub supplier_share: u64,
    /// For validators.
    pub proposer_share: u64,
    /// For the service's owner.
    pub source_owner_share: u64,
    /// Back to the application. The DAO gets the rest.
    pub application_share: u64,
    /// The DAO's account.
    pub dao_address: String,
    /// The one validator's account.
    pub proposer_address: String,
    /// How far beyond its share of the application's stake a supplier may go; 0 means 1.
    pub overservicing_bonus_multiplier: u64,
}

/// `amount` upokt.
pub fn coin(amount: u128) -> Coin {
    Coin {
        denom: crate::chain::DENOM.to_owned(),
        amount: amount.to_string(),
    }
}

/// The integer of a coin; the chain holds only well-formed ones.
pub(crate) fn amount(coin: Option<&Coin>) -> u128 {
    coin.map_or(0, |coin| {
        coin.amount.parse().expect("a coin in state is a decimal integer")
    })
}
