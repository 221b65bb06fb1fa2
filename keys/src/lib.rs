//! Operator keys: signing, addresses, and loading keys from files, directories and Cosmos keyrings.
//!
//! May touch: files that hold keys, which it only reads. Must not touch: the network, async, logs,
//! and prompts: a password is given to it. Key material never appears in an error or a `Debug` text.

mod armor;
mod error;
mod key_set;
mod keyring;
mod keys_directory;
mod keys_file;
mod live;
mod mnemonic;
mod public_key;
mod secret_text;
mod signing_key;
mod yaml;

pub use error::{KeyFault, KeyProvider, LoadError};
pub use key_set::{KeyChanges, KeySet, Loaded, Sources};
pub use keyring::{KeyringBackend, KeyringBackendError, KeyringSource};
pub use live::LiveKeys;
pub use mnemonic::{COSMOS_PATH, MnemonicError};
pub use public_key::{PublicKey, PublicKeyError, SignatureError};
pub use signing_key::{SigningKey, SigningKeyError};
