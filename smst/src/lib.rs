//! The sparse Merkle sum trie of the chain. Pure: no I/O, no runtime, no clock.
