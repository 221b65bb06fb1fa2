//! Keys that change while they are in use.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pocket_protocol::SupplierAddress;

use crate::{KeySet, SigningKey};

/// The keys that hold now, the same for all clones. A look-up takes no lock: it reads the newest snapshot.
///
/// ```
/// # use pocket_keys::{KeySet, LiveKeys, SigningKey};
/// let key = SigningKey::from_bytes(&[7; 32])?;
/// let address = key.address().clone();
/// let live = LiveKeys::from(KeySet::from_iter([key]));
/// let signer = live.clone();
/// assert!(signer.get(&address).is_some());
/// live.replace(KeySet::default());
/// assert!(signer.get(&address).is_none());
/// # Ok::<(), pocket_keys::SigningKeyError>(())
/// ```
#[derive(Clone, Default)]
pub struct LiveKeys(Arc<ArcSwap<BTreeMap<SupplierAddress, Arc<SigningKey>>>>);

impl LiveKeys {
    /// The keys of this moment.
    pub fn current(&self) -> KeySet {
        KeySet(self.0.load_full())
    }

    /// The key of an operator's address, if it is held now.
    pub fn get(&self, address: impl AsRef<str>) -> Option<Arc<SigningKey>> {
        self.0.load().get(address.as_ref()).cloned()
    }

    /// Whether a key is held now.
    pub fn holds(&self, address: impl AsRef<str>) -> bool {
        self.0.load().contains_key(address.as_ref())
    }

    /// Whether there are none now.
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// Holds other keys from now on. A removed key is wiped once the last who took it with [`Self::get`] drops it.
    pub fn replace(&self, keys: KeySet) {
        self.0.store(keys.0);
    }
}

impl From<KeySet> for LiveKeys {
    fn from(keys: KeySet) -> Self {
        Self(Arc::new(ArcSwap::new(keys.0)))
    }
}

impl FromIterator<SigningKey> for LiveKeys {
    fn from_iter<I: IntoIterator<Item = SigningKey>>(keys: I) -> Self {
        KeySet::from_iter(keys).into()
    }
}

impl fmt::Debug for LiveKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32]).unwrap()
    }

    #[test]
    fn changes_name_what_came_and_what_went() {
        let old = KeySet::from_iter([key(1), key(2)]);
        let new = KeySet::from_iter([key(2), key(3)]);
        let changes = old.changes_to(&new);
        assert_eq!(changes.added, [key(3).address().clone()]);
        assert_eq!(changes.removed, [key(1).address().clone()]);
        assert!(old.changes_to(&old).is_empty());
    }

    #[test]
    fn key_that_is_signed_with_outlives_its_removal() {
        let live = LiveKeys::from_iter([key(1)]);
        let taken = live.get(key(1).address()).unwrap();
        live.replace(KeySet::from_iter([key(2)]));
        assert_eq!(taken.sign_message(b"relay"), key(1).sign_message(b"relay"));
        assert!(!live.holds(key(1).address()) && live.holds(key(2).address()));
        assert!(!format!("{live:?}").contains(taken.address().as_str()));
    }
}
