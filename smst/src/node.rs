//! Nodes as they are stored (spec `smst.md` §4.1).

use bytes::Bytes;

use crate::digest::inner_preimage;
use crate::{Digest, Leaf, Path};

pub(crate) const LEAF: u8 = 0;
pub(crate) const INNER: u8 = 1;
pub(crate) const EXTENSION: u8 = 2;

/// Length of a stored extension: `02 || start || end || path || child || sum || count`.
const EXTENSION_SIZE: usize = 99;

/// One node of a store, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredNode {
    /// A leaf.
    Leaf(Leaf),
    /// A branch; an absent child is [`Digest::EMPTY`].
    Inner {
        /// The child where the path's bit is 0.
        left: Digest,
        /// The child where the path's bit is 1.
        right: Digest,
    },
    /// A chain of inner nodes with one child each, at the depths `start..end`.
    Extension {
        /// Depth of the first inner node it stands for.
        start: u8,
        /// Depth of the child.
        end: u8,
        /// Only its bits `start..end` mean anything.
        path: Path,
        /// The inner node at depth `end`.
        child: Digest,
    },
}

impl StoredNode {
    /// Reads stored bytes; `None` unless they are a whole node, of which sum and count are right.
    pub fn decode(encoded: &Bytes) -> Option<Self> {
        match *encoded.first()? {
            LEAF => Leaf::decode(encoded.clone()).map(Self::Leaf),
            INNER if encoded.len() == 113 => {
                let (left, right) = (digest_at(encoded, 1), digest_at(encoded, 49));
                (inner_preimage(&left, &right)[..] == encoded[..]).then_some(Self::Inner { left, right })
            }
            EXTENSION if encoded.len() == EXTENSION_SIZE => {
                let (start, end, child) = (encoded[1], encoded[2], digest_at(encoded, 35));
                let path = Path(std::array::from_fn(|i| encoded[3 + i]));
                (start < end && child.as_bytes()[32..] == encoded[83..]).then_some(Self::Extension {
                    start,
                    end,
                    path,
                    child,
                })
            }
            _ => None,
        }
    }

    /// The digest by which the node is known.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Leaf(leaf) => leaf.digest(),
            Self::Inner { left, right } => Digest::inner(left, right),
            Self::Extension {
                start,
                end,
                path,
                child,
            } => extension_digest(path, *start, *end, child),
        }
    }
}

/// An extension has no digest of its own but that of the inner nodes it stands for (spec `smst.md` §4.2).
pub(crate) fn extension_digest(path: &Path, start: u8, end: u8, child: &Digest) -> Digest {
    (usize::from(start)..usize::from(end))
        .rev()
        .fold(*child, |below, depth| {
            if path.bit(depth) {
                Digest::inner(&Digest::EMPTY, &below)
            } else {
                Digest::inner(&below, &Digest::EMPTY)
            }
        })
}

/// An extension as stored.
pub(crate) fn encode_extension(path: &Path, start: u8, end: u8, child: &Digest) -> [u8; EXTENSION_SIZE] {
    let mut bytes = [0; EXTENSION_SIZE];
    bytes[..3].copy_from_slice(&[EXTENSION, start, end]);
    bytes[3..35].copy_from_slice(&path.0);
    bytes[35..83].copy_from_slice(child.as_ref());
    bytes[83..].copy_from_slice(&child.as_bytes()[32..]);
    bytes
}

fn digest_at(bytes: &[u8], offset: usize) -> Digest {
    Digest::new(std::array::from_fn(|i| bytes[offset + i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_extension_is_read_back() {
        let child = Leaf::new(b"a", b"b", 5).digest();
        let encoded = Bytes::copy_from_slice(&encode_extension(&Path([7; 32]), 3, 9, &child));
        let read = StoredNode::decode(&encoded).unwrap();
        assert_eq!(read.digest(), extension_digest(&Path([7; 32]), 3, 9, &child));
    }

    #[test]
    fn malformed_nodes_are_refused() {
        let child = Leaf::new(b"a", b"b", 5).digest();
        let inner = inner_preimage(&child, &child).to_vec();
        let extension = encode_extension(&Path([7; 32]), 3, 9, &child).to_vec();
        let backwards = encode_extension(&Path([7; 32]), 9, 3, &child).to_vec();
        let mut wrong_sum = inner.clone();
        wrong_sum[100] ^= 1;
        let cut = [&inner[..112], &extension[..98], &[0; 48], &[3; 113], &[]].map(<[u8]>::to_vec);
        for malformed in cut.into_iter().chain([backwards, wrong_sum]) {
            assert_eq!(StoredNode::decode(&malformed.into()), None);
        }
    }
}
