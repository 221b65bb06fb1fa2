//! Writing to the chain: building, signing, sending and finding transactions.
