//! Why a source gave no key. Nothing here ever holds key material or a password.

use std::io;
use std::path::PathBuf;

use pocket_protocol::SupplierAddress;

use crate::SigningKeyError;

/// One file or folder that gave no key, or not all of its keys.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct LoadError {
    /// The file, or the folder where no file could be named.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub fault: KeyFault,
}

/// What is wrong with a source of keys, by what its owner can do.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// The file or folder could not be read: it is missing or may not be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Not YAML, or YAML of another shape. Both count from 1; 0 is unknown.
    #[error("is not the YAML of a keys file (line {line}, column {column})")]
    Syntax {
        /// Line of the fault.
        line: u64,
        /// Column of the fault.
        column: u64,
    },
    /// A field that must be there is missing or empty.
    #[error("field `{0}` is missing or empty")]
    Missing(&'static str),
    /// The file's key is no private key.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// A key in a list is no private key.
    #[error("keys[{index}]: {error}")]
    KeyAt {
        /// Position in the list, from 0.
        index: usize,
        /// What is wrong with the key.
        error: SigningKeyError,
    },
    /// The file says that its key belongs to another address than it does.
    #[error("declares the address {declared}, but its key is that of {derived}")]
    AddressMismatch {
        /// The address in the file.
        declared: String,
        /// The address of the key in the file.
        derived: SupplierAddress,
    },
    /// The password or passphrase does not open it.
    #[error("the password is wrong")]
    WrongPassword,
    /// The keyring needs a password, and none was given.
    #[error("a password is needed, and none was given")]
    PasswordNeeded,
    /// A key of a kind that no supplier signs with.
    #[error("holds a key of type {0}, not secp256k1")]
    Algorithm(String),
    /// A Ledger, multisig or public-key-only record: the private key is elsewhere.
    #[error("holds no private key: it is a record of a {0} key")]
    NoPrivateKey(&'static str),
    /// Encrypted or encoded in a way that this program does not read.
    #[error("uses {0}, which is not supported")]
    Unsupported(String),
    /// Cut short or changed since it was written; restore it from a backup.
    #[error("is damaged: {0}")]
    Damaged(&'static str),
}
