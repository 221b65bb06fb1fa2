//! What operators' tools ask Redis for, beyond what relayers and miners do. Nothing here runs beside relays: it is
//! slow but harmless on a Redis at work, since every command is a short one.

mod contents;
mod keyspace;
mod listen;
mod stream;

pub use contents::{SetSample, StoredValue, TreeContents};
pub use keyspace::{KeyInfo, KeyScan};
pub use listen::{Heard, Subscription};
pub use stream::{GroupInfo, StreamContents, StreamEntry};
