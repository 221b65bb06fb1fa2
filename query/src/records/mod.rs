//! What the chain's modules know: one file per kind of record.

mod account;
mod claims;
mod params;
mod services;
mod session;
mod stakes;
mod transactions;

use std::sync::Arc;
use std::time::Duration;

use pocket_proto::pocket::{application, proof, session as session_proto, shared, supplier};
use pocket_protocol::{ComputeUnits, Height};

pub use transactions::Broadcast;

use crate::cache::{Cache, Hold};
use crate::{Block, QueryError};

/// How long a live record or parameter may be out of date.
const LIVE: Hold = Hold::For(Duration::from_secs(15));

/// Every cache of the client. What fixes an answer is its key.
pub(crate) struct Caches {
    shared: Cache<(), Arc<shared::Params>>,
    shared_at: Cache<Height, Arc<shared::Params>>,
    session_params: Cache<(), Arc<session_proto::Params>>,
    supplier_params: Cache<(), Arc<supplier::Params>>,
    proof_params: Cache<Height, Arc<proof::Params>>,
    sessions: Cache<(String, String, Height), Arc<session_proto::Session>>,
    applications: Cache<String, Arc<application::Application>>,
    suppliers: Cache<String, Arc<shared::Supplier>>,
    services: Cache<String, Arc<shared::Service>>,
    difficulty: Cache<(String, Height), [u8; 32]>,
    compute_units: Cache<(String, Height), ComputeUnits>,
    public_keys: Cache<String, [u8; 33]>,
    blocks: Cache<Height, Arc<Block>>,
}

impl Caches {
    pub(crate) fn new() -> Self {
        Self {
            shared: Cache::new(1),
            shared_at: Cache::new(1024),
            session_params: Cache::new(1),
            supplier_params: Cache::new(1),
            proof_params: Cache::new(2),
            sessions: Cache::new(8192),
            applications: Cache::new(8192),
            suppliers: Cache::new(1024),
            services: Cache::new(1024),
            difficulty: Cache::new(8192),
            compute_units: Cache::new(8192),
            public_keys: Cache::new(65_536),
            blocks: Cache::new(512),
        }
    }

    /// A committed block never changes.
    pub(crate) async fn block(
        &self,
        height: Height,
        ask: impl AsyncFnOnce() -> Result<Arc<Block>, QueryError>,
    ) -> Result<Arc<Block>, QueryError> {
        match self
            .blocks
            .get(height, async || Ok((ask().await?, Hold::Forever)))
            .await
        {
            // The block may be committed at any moment: its absence must not be remembered.
            absent @ Err(QueryError::NotFound(_)) => {
                self.blocks.forget(&height).await;
                absent
            }
            answer => answer,
        }
    }
}

/// An answer for `height` is final when it was read from a state that has that height: histories are
/// append-only, with effective heights in the future (spec `chain.md` §4).
fn hold_for(height: Height, read_at: Height) -> Hold {
    if height <= read_at { Hold::Forever } else { LIVE }
}
