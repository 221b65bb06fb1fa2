//! A whole relay mining set-up on one machine, for the demo and for end-to-end tests.
//!
//! [`Stage`]: a private Redis, a sample backend, a relayer and a miner against the chain of a [`World`]. [`run`] sends
//! relays over it and reads from the chain's blocks what came of them, into a [`Tally`]. May touch: child processes,
//! loopback ports and a temporary folder of its own. Must not touch: anything that outlives it.

mod by_type;
mod caller;
mod demo;
mod drive;
mod ledger;
mod observer;
mod show;
mod stage;
mod tally;
mod view;
mod world;

pub use by_type::{TypeTallies, TypeTally};
pub use demo::{DemoError, DemoOptions, Summary, run_demo};
pub use drive::{Plan, Progress};
pub use ledger::{ClaimFate, ClaimKey, FailedTx, Ledger, Outcome};
pub use observer::Observer;
pub use show::{Finale, Scene, run};
pub use stage::{Stage, StageError};
pub use tally::{Shortfall, Tally};
pub use view::View;
pub use world::{PaidService, World};
