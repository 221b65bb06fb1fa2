//! All keys of one moment, and where they are loaded from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use pocket_protocol::SupplierAddress;
use zeroize::Zeroize as _;

use crate::{KeyProvider, KeyringSource, LoadError, SigningKey, keyring, keys_directory, keys_file};

/// More than reading keys takes of the stack, and far less than any thread has.
const STACK_BYTES: usize = 256 << 10;

/// The keys that are present, by address: these suppliers are operated (spec `chain.md` §8).
///
/// A snapshot: it never changes, and a clone shares it. Loading again makes a new one.
#[derive(Clone, Default)]
pub struct KeySet(pub(crate) Arc<BTreeMap<SupplierAddress, Arc<SigningKey>>>);

/// Where keys are looked for; the sources add up.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A YAML file with a list of hex keys under `keys`.
    pub keys_file: Option<PathBuf>,
    /// A folder of YAML or JSON files with `operator_address` and `private_key_hex`.
    pub keys_dir: Option<PathBuf>,
    /// A Cosmos keyring on disk.
    pub keyring: Option<KeyringSource>,
}

/// What is different between two sets of keys, by address, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChanges {
    /// Held only by the new one.
    pub added: Vec<SupplierAddress>,
    /// Held only by the old one.
    pub removed: Vec<SupplierAddress>,
}

impl KeyChanges {
    /// Whether both hold the same keys.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// What the sources gave.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Every key that could be read.
    pub keys: KeySet,
    /// Every file that could not be, or not fully. Whether to go on without it, or with the keys of
    /// an earlier load, is the caller's choice.
    pub errors: Vec<LoadError>,
    /// Entries of a keyring that are sound, but nothing that a supplier signs with: multisig, Ledger, public keys alone,
    /// other algorithms.
    pub skipped: Vec<LoadError>,
}

impl KeySet {
    /// Reads every source. A source that fails takes nothing from the others. The same key from two
    /// sources counts once. Blocks on files; a keyring costs milliseconds per key.
    pub fn load(sources: &Sources) -> Loaded {
        let loaded = Self::read(sources);
        wipe_stack();
        loaded
    }

    #[inline(never)]
    fn read(sources: &Sources) -> Loaded {
        let (mut keys, mut errors, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(path) = &sources.keys_file {
            let (found, faults) = keys_file::load(path);
            keys.extend(found);
            errors.extend(faults.into_iter().map(|fault| LoadError {
                provider: KeyProvider::KeysFile,
                path: path.clone(),
                fault,
            }));
        }
        if let Some(folder) = &sources.keys_dir {
            let (found, faults) = keys_directory::load(folder);
            keys.extend(found);
            errors.extend(faults);
        }
        if let Some(source) = &sources.keyring {
            let found = keyring::load(source);
            keys.extend(found.keys);
            errors.extend(found.errors);
            skipped.extend(found.skipped);
        }
        Loaded {
            keys: keys.into_iter().collect(),
            errors,
            skipped,
        }
    }

    /// The key of an operator's address.
    ///
    /// ```
    /// # use pocket_keys::{KeySet, SigningKey};
    /// let key = SigningKey::from_bytes(&[7; 32])?;
    /// let address = key.address().clone();
    /// let keys = KeySet::from_iter([key]);
    /// assert!(keys.get(&address).is_some());
    /// assert!(keys.get(address.as_str()).is_some());
    /// # Ok::<(), pocket_keys::SigningKeyError>(())
    /// ```
    pub fn get(&self, address: impl AsRef<str>) -> Option<Arc<SigningKey>> {
        self.0.get(address.as_ref()).cloned()
    }

    /// The addresses, ascending.
    pub fn addresses(&self) -> impl ExactSizeIterator<Item = &SupplierAddress> {
        self.0.keys()
    }

    /// Addresses with their keys, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&SupplierAddress, &Arc<SigningKey>)> {
        self.0.iter()
    }

    /// What is different in `new`.
    pub fn changes_to(&self, new: &Self) -> KeyChanges {
        let only_in = |one: &Self, other: &Self| {
            let missing = one.addresses().filter(|address| other.get(address).is_none());
            missing.cloned().collect()
        };
        KeyChanges {
            added: only_in(new, self),
            removed: only_in(self, new),
        }
    }

    /// These keys and `more`.
    #[must_use]
    pub fn with(&self, more: impl IntoIterator<Item = Arc<SigningKey>>) -> Self {
        let mut keys = BTreeMap::clone(&self.0);
        keys.extend(more.into_iter().map(|key| (key.address().clone(), key)));
        Self(Arc::new(keys))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes over what those who were called before have left on the stack: keys pass through it in pieces that no drop
/// can wipe, wherever a value is moved.
#[inline(never)]
#[expect(clippy::large_stack_arrays, reason = "it is the stack that is written over")]
fn wipe_stack() {
    let mut left = [0u8; STACK_BYTES];
    left.zeroize();
    std::hint::black_box(&left);
}

impl FromIterator<SigningKey> for KeySet {
    fn from_iter<I: IntoIterator<Item = SigningKey>>(keys: I) -> Self {
        let by_address = keys
            .into_iter()
            .map(|key| (key.address().clone(), Arc::new(key)))
            .collect();
        Self(Arc::new(by_address))
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.addresses()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyFault, KeyringBackend};

    #[test]
    fn sources_add_up_and_a_failing_one_takes_nothing_away() {
        let folder = tempfile::tempdir().unwrap();
        let keys_file = folder.path().join("supplier.yaml");
        let (first, again) = ("07".repeat(32), "0x".to_owned() + &"07".repeat(32));
        std::fs::write(&keys_file, format!("keys: [\"{first}\", \"{again}\", \"bad\"]")).unwrap();
        let loaded = KeySet::load(&Sources {
            keys_file: Some(keys_file.clone()),
            keys_dir: Some(folder.path().join("absent")),
            keyring: Some(KeyringSource {
                backend: KeyringBackend::Test,
                folder: concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/keyring").into(),
                service: "pocket".to_owned(),
                password: None,
                names: Vec::new(),
            }),
        });
        assert_eq!(
            loaded.keys.len(),
            4,
            "one of the file, which has it twice, and three of the keyring"
        );
        let faults: Vec<_> = loaded.errors.iter().map(|error| (&error.path, &error.fault)).collect();
        assert!(
            matches!(
                faults[..],
                [(path, KeyFault::KeyAt { index: 2, .. }), (_, KeyFault::Read(_))] if *path == keys_file
            ),
            "{faults:?}"
        );
        assert!(loaded.keys.addresses().is_sorted());
    }

    #[test]
    fn debug_text_lists_addresses_only() {
        let key = SigningKey::from_bytes(&[7; 32]).unwrap();
        let address = key.address().clone();
        assert_eq!(format!("{:?}", KeySet::from_iter([key])), format!("{{{address}}}"));
    }
}
