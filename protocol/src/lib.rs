//! Session arithmetic, relay hashing and the rules of claims, as the chain has them.
//!
//! May touch: bytes, heights and the chain's messages. Must not touch: I/O, async, clocks, logs.
//! Everything here is a function of its arguments, in exact integers or rationals.

mod address;
mod types;
mod wire;

pub mod admission;
pub mod claim;
pub mod difficulty;
pub mod envelope;
pub mod go_rand;
pub mod params_history;
pub mod relay;
pub mod reward;
pub mod rings;
pub mod session;
pub mod signature;
pub mod windows;

pub use address::{ACCOUNT_PREFIX, AddressError, account_of_public_key, check_account, decode_account, encode_account};
pub use params_history::ParamsHistory;
pub use rings::ring_addresses;
pub use session::SessionBounds;
pub use types::{
    AppAddress, ComputeUnits, GatewayAddress, Height, ServiceId, ServiceIdError, SessionId, SupplierAddress, Upokt,
    check_service_id,
};
pub use windows::Windows;
pub use wire::Malformed;

/// The shared module's parameters, at whatever height they were asked for.
pub type SharedParams = pocket_proto::pocket::shared::Params;
/// The session module's parameters.
pub type SessionParams = pocket_proto::pocket::session::Params;
/// The proof module's parameters.
pub type ProofParams = pocket_proto::pocket::proof::Params;
