//! Session arithmetic, relay hashing and the rules of claims, as the chain has them.
//!
//! May touch: bytes, heights and the chain's messages. Must not touch: I/O, async, clocks, logs.
//! Everything here is a function of its arguments, in exact integers or rationals.

mod address;
mod types;
mod wire;

pub mod admission;
pub mod difficulty;
pub mod relay;
pub mod session;
pub mod windows;

pub use address::{ACCOUNT_PREFIX, AddressError, account_of_public_key, check_account, decode_account, encode_account};
pub use session::SessionBounds;
pub use types::{
    AppAddress, ComputeUnits, GatewayAddress, Height, ServiceId, ServiceIdError, SessionId, SupplierAddress, Upokt,
    check_service_id,
};
pub use windows::Windows;

/// The shared module's parameters, at whatever height they were asked for.
pub type SharedParams = pocket_proto::pocket::shared::Params;
/// The session module's parameters.
pub type SessionParams = pocket_proto::pocket::session::Params;
/// The proof module's parameters.
pub type ProofParams = pocket_proto::pocket::proof::Params;
