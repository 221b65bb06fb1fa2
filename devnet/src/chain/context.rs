//! What a transaction or query knows about the block it runs in.

use std::collections::BTreeMap;

use time::OffsetDateTime;

/// Hashes by height, from block 1 on.
pub type BlockHashes = BTreeMap<i64, [u8; 32]>;

/// The block in progress, or for queries the last one.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Part of every signature.
    pub chain_id: &'a str,
    /// The block's height.
    pub height: i64,
    /// The block's time.
    pub time: OffsetDateTime,
    /// Hashes of the blocks that are known; the block in progress is not among them.
    pub hashes: &'a BlockHashes,
}

impl Context<'_> {
    /// A block's hash; empty when it is not known, as in the chain's store.
    pub fn hash(&self, height: i64) -> &[u8] {
        // A height after this block's is as unknown to an old state as it was then.
        if height > self.height {
            &[]
        } else {
            self.hashes.get(&height).map_or(&[], |hash| hash)
        }
    }
}
