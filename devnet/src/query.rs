//! Queries: pure functions of a view of the chain. Texts and statuses are the chain's (spec `chain.md` §2).

// Every query has one signature, whatever its request is and whether it can fail.
#![allow(clippy::trivially_copy_pass_by_ref, clippy::unnecessary_wraps)]

mod cosmos;
mod page;
mod pocket;

pub use cosmos::*;
pub use pocket::*;
