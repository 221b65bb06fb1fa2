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

use crate::cache::{Cache, Hold, Key};
use crate::{Block, QueryError, QueryMetrics};

/// How long a live record or parameter may be out of date.
const LIVE: Hold = Hold::For(Duration::from_secs(15));

/// Every cache of the client. What fixes an answer is its key.
pub(crate) struct Caches {
    shared: Cache<Arc<shared::Params>>,
    shared_at: Cache<Arc<shared::Params>>,
    session_params: Cache<Arc<session_proto::Params>>,
    supplier_params: Cache<Arc<supplier::Params>>,
    proof_params: Cache<Arc<proof::Params>>,
    sessions: Cache<Arc<session_proto::Session>>,
    applications: Cache<Arc<application::Application>>,
    suppliers: Cache<Arc<shared::Supplier>>,
    services: Cache<Arc<shared::Service>>,
    difficulty: Cache<[u8; 32]>,
    compute_units: Cache<ComputeUnits>,
    public_keys: Cache<[u8; 33]>,
    blocks: Cache<Arc<Block>>,
}

impl Caches {
    pub(crate) fn new(metrics: &QueryMetrics) -> Self {
        Self {
            shared: Cache::new(1).counted(metrics.cache("shared", "params", "shared_params")),
            shared_at: Cache::new(1024).counted(metrics.cache("shared", "params_at_height", "shared_params_at_height")),
            session_params: Cache::new(1).counted(metrics.cache("session", "params", "session_params")),
            supplier_params: Cache::new(1).counted(metrics.cache("supplier", "params", "supplier_params")),
            proof_params: Cache::new(2).counted(metrics.cache("proof", "params", "proof_params")),
            sessions: Cache::new(8192).counted(metrics.cache("session", "session", "session")),
            applications: Cache::new(8192).counted(metrics.cache("application", "entity", "application")),
            suppliers: Cache::new(1024).counted(metrics.cache("supplier", "entity", "supplier")),
            services: Cache::new(1024).counted(metrics.cache("service", "entity", "service")),
            difficulty: Cache::new(8192).counted(metrics.cache("service", "difficulty", "difficulty")),
            compute_units: Cache::new(8192).counted(metrics.cache("service", "cupr_at_height", "compute_units")),
            public_keys: Cache::new(65_536).counted(metrics.cache("account", "entity", "account")),
            blocks: Cache::new(512).counted(metrics.cache("block", "block", "block")),
        }
    }

    /// A committed block never changes.
    pub(crate) async fn block(
        &self,
        height: Height,
        ask: impl Future<Output = Result<Arc<Block>, QueryError>> + Send,
    ) -> Result<Arc<Block>, QueryError> {
        let key = Key::At(height);
        let ask = || async { Ok((ask.await?, Hold::Forever)) };
        match self.blocks.get(key.clone(), ask).await {
            // The block may be committed at any moment: its absence must not be remembered.
            absent @ Err(QueryError::NotFound(_)) => {
                self.blocks.forget(&key).await;
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
