//! The sparse Merkle sum trie of the chain: the root that a claim names, the proof of one leaf, and both their bytes.
//! Pure: no I/O, no runtime, no clock. Nodes come from a [`NodeStore`] that the caller implements.
//!
//! A miner's cycle, batch by batch, with memory that does not grow with the session:
//!
//! ```
//! # use futures::executor::block_on;
//! use pocket_smst::{Leaf, MemoryStore, NodeStore, Tree};
//! # block_on(async {
//! let mut store = MemoryStore::default();
//! let mut tree = Tree::new();
//! let leaves: Vec<Leaf> = (0u8..5).map(|i| Leaf::new(&[i; 32], b"relay", 100)).collect();
//! tree.prepare(leaves.iter().map(Leaf::path), &store).await?;
//! tree.insert_batch(leaves)?;
//! let changes = tree.commit();
//! store.apply(&changes);
//! tree.shrink_to(64 << 20);
//! assert_eq!((changes.root.sum(), changes.root.count()), (500, 5));
//!
//! let target = pocket_smst::Path([7; 32]);
//! let mut reopened = Tree::open(changes.root);
//! reopened.prepare_proof(target, &store).await?;
//! let proof = reopened.prove(target)?;
//! assert!(proof.verify(&changes.root)?);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! Source of the rules: spec `smst.md`; they are those of the chain's trie library with SHA-256 and unhashed values.

mod arena;
mod commit;
mod compact;
mod delete;
mod digest;
mod evict;
mod gob;
mod insert;
mod leaf;
mod load;
mod node;
mod path;
mod proof;
mod prove;
mod store;
mod tree;
mod verify;
mod walk;

pub use commit::Changes;
pub use compact::{CompactClosestProof, CompactProof};
pub use digest::{Digest, DigestError};
pub use gob::DecodeError;
pub use insert::Insertion;
pub use leaf::Leaf;
pub use node::StoredNode;
pub use path::Path;
pub use proof::{ClosestProof, ProofError};
pub use store::{LoadError, MemoryStore, NodeStore};
pub use tree::{Tree, TreeError};
pub use walk::LeafWalk;
