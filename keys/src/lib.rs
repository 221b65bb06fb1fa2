//! Operator keys: signing, addresses, and loading keys from files, directories and Cosmos keyrings.
//!
//! May touch: files that hold keys, which it only reads. Must not touch: the network, async, logs,
//! and prompts: a password is given to it. Key material never appears in an error or a `Debug` text.

mod public_key;
mod signing_key;

pub use public_key::{PublicKey, PublicKeyError, SignatureError};
pub use signing_key::{SigningKey, SigningKeyError};
