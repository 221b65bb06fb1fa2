//! Leaves: what one relay adds to a tree.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::node::LEAF;
use crate::{Digest, Path};

/// One leaf, encoded and hashed. Making one is most of the work of inserting it, and needs no tree: it may be done on
/// another thread.
#[derive(Clone, PartialEq, Eq)]
pub struct Leaf {
    path: Path,
    digest: Digest,
    /// `00 || path || value || weight || 1` (spec `smst.md` §2), which is also how a leaf is stored.
    encoded: Bytes,
}

impl Leaf {
    /// Bytes beside the value: kind, path, weight and count.
    const OVERHEAD: usize = 1 + 32 + 16;

    /// The leaf of a key. The value stands in the leaf as it is; `weight` is added to the tree's sum.
    pub fn new(key: &[u8], value: &[u8], weight: u64) -> Self {
        Self::at(Path::of_key(key), value, weight)
    }

    /// The leaf of a relay: its hash is the key, its bytes are the value, and the service's compute units per relay
    /// at the session's start are the weight (spec `smst.md` §1.1).
    pub fn of_relay(relay_hash: &[u8; 32], relay_bytes: &[u8], compute_units: u64) -> Self {
        Self::new(relay_hash, relay_bytes, compute_units)
    }

    /// The leaf at a path that is already hashed.
    pub fn at(path: Path, value: &[u8], weight: u64) -> Self {
        let mut encoded = BytesMut::with_capacity(Self::OVERHEAD + value.len());
        encoded.put_u8(LEAF);
        encoded.put_slice(&path.0);
        encoded.put_slice(value);
        encoded.put_u64(weight);
        encoded.put_u64(1);
        let encoded = encoded.freeze();
        Self {
            path,
            digest: Digest::of_preimage(&encoded),
            encoded,
        }
    }

    /// Reads a stored leaf. `None` if these are not the bytes of a leaf with a count of one.
    pub(crate) fn decode(encoded: Bytes) -> Option<Self> {
        let one = 1u64.to_be_bytes();
        if encoded.len() < Self::OVERHEAD || encoded[0] != LEAF || !encoded.ends_with(&one) {
            return None;
        }
        Some(Self {
            path: Path(std::array::from_fn(|i| encoded[1 + i])),
            digest: Digest::of_preimage(&encoded),
            encoded,
        })
    }

    /// Where the leaf lies.
    pub fn path(&self) -> Path {
        self.path
    }

    /// The leaf's digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The value, for a relay its bytes. Shares the leaf's memory.
    pub fn value(&self) -> Bytes {
        self.encoded.slice(33..self.encoded.len() - 16)
    }

    /// The weight, for a relay its compute units.
    pub fn weight(&self) -> u64 {
        self.digest.sum()
    }

    pub(crate) fn into_encoded(self) -> Bytes {
        self.encoded
    }

    /// The leaf as stored and hashed.
    pub fn encoded(&self) -> &Bytes {
        &self.encoded
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf")
            .field("path", &self.path)
            .field("weight", &self.weight())
            .field("value_bytes", &(self.encoded.len() - Self::OVERHEAD))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_a_relay_is_the_hash_of_its_hash() {
        let relay_hash = hex::decode("ebe4e5f1d4cdae74cdc7601e066b3fcbd6c522ec598de817f450da41e7c61b86").unwrap();
        let leaf = Leaf::of_relay(&relay_hash.try_into().unwrap(), b"relay-0", 100);
        let path = "a7098ae6903dd7330f37323d99043fa485ea9bbe126d99bbffa0e5caa061277f";
        assert_eq!(hex::encode(leaf.path().0), path);
        let digest = "f56b96f291ee6cf96bcfbe62af9570972c16ac048cc134cfab0534721476fdb600000000000000640000000000000001";
        assert_eq!(leaf.digest().to_string(), digest);
    }

    #[test]
    fn stored_leaf_is_read_back() {
        let leaf = Leaf::new(b"key", b"value", 9);
        let read = Leaf::decode(leaf.encoded().clone()).unwrap();
        assert_eq!((&read, &read.value()[..], read.weight()), (&leaf, &b"value"[..], 9));
    }

    #[test]
    fn leaf_that_counts_other_than_one_is_refused() {
        let mut encoded = Leaf::new(b"key", b"value", 9).encoded().to_vec();
        *encoded.last_mut().unwrap() = 2;
        assert_eq!(Leaf::decode(encoded.into()), None);
    }
}
