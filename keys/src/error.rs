//! Why a source gave no key. Nothing here ever holds key material or a password.

use std::io;
use std::path::PathBuf;

use pocket_protocol::SupplierAddress;

use crate::SigningKeyError;

/// One file or folder that gave no key, or not all of its keys.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct LoadError {
    /// The kind of source.
    pub provider: KeyProvider,
    /// The file, or the folder where no file could be named.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub fault: KeyFault,
}

/// The kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyProvider {
    /// A file with a list of keys.
    KeysFile,
    /// A folder with a file for each key.
    KeysDirectory,
    /// A keyring of the Cosmos SDK.
    Keyring,
}

impl KeyProvider {
    /// The word that metrics have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeysFile => "supplier_keys_file",
            Self::KeysDirectory => "file",
            Self::Keyring => "keyring",
        }
    }
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
    /// The desktop's key store cannot be asked.
    #[error("the key store of the desktop (Secret Service) cannot be asked: {0}")]
    NoSecretService(String),
    /// Encrypted or encoded in a way that this program does not read.
    #[error("uses {0}, which is not supported")]
    Unsupported(String),
    /// Cut short or changed since it was written; restore it from a backup.
    #[error("is damaged: {0}")]
    Damaged(&'static str),
}

impl KeyFault {
    /// Whether it is a sound record of something that suppliers do not sign with.
    pub(crate) fn is_of_another_kind(&self) -> bool {
        matches!(self, Self::Algorithm(_) | Self::NoPrivateKey(_))
    }
}
