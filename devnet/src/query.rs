//! Queries: pure functions of a view of the chain. Texts and statuses are the chain's (spec `chain.md` §2).

mod cosmos;
mod page;
mod pocket;

pub use cosmos::*;
pub use pocket::*;
