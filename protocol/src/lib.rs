//! Session arithmetic, relay hashing and the rules of claims, as the chain has them.
//!
//! May touch: bytes, heights and the chain's messages. Must not touch: I/O, async, clocks, logs.
//! Everything here is a function of its arguments, in exact integers or rationals.

mod address;
mod types;

pub use address::{ACCOUNT_PREFIX, AddressError, account_of_public_key, decode_account, encode_account};
pub use types::{
    AppAddress, ComputeUnits, GatewayAddress, Height, ServiceId, ServiceIdError, SessionId, SupplierAddress, Upokt,
};
