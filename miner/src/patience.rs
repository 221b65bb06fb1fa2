//! Waiting for a Redis that is away.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pocket_protocol::SupplierAddress;
use pocket_store::{Lease, Store, StoreError, Watermark};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::error::WorkError;
use crate::worker::Worker;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Pauses that double up to a limit.
pub(crate) struct Patience(Duration);

impl Patience {
    /// Not tried yet.
    pub fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    /// Waits, each time longer.
    pub async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }

    /// Waits, unless we are told to stop.
    pub async fn wait_unless(&mut self, cancel: &CancellationToken) -> Result<(), WorkError> {
        cancel.run_until_cancelled(self.wait()).await.ok_or(WorkError::Stopped)
    }
}

/// When Redis last failed us, shared by all that use it for one supplier.
///
/// A relayer's watermark expires while Redis is away, though the relayer lives and has relays to hand over. So
/// silence means nothing until relayers had the time to speak again.
#[derive(Clone, Default)]
pub(crate) struct Outages(Arc<Mutex<Option<Instant>>>);

impl Outages {
    /// Redis did not answer just now.
    pub fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether Redis has answered for long enough that every live relayer has written its watermark again.
    pub fn are_over(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_none_or(|last| last.elapsed() > Watermark::TTL)
    }
}

impl Worker {
    /// Calls Redis until it answers, or we are told to stop.
    pub async fn retry<T, F, W>(&self, what: &str, call: F) -> Result<T, WorkError>
    where
        F: Fn(Store, Lease, SupplierAddress) -> W,
        W: Future<Output = Result<T, StoreError>>,
    {
        let mut patience = Patience::new();
        loop {
            match call(self.deps.store.clone(), self.lease.clone(), self.supplier.clone()).await {
                Ok(value) => return Ok(value),
                Err(error) if error.is_transient() => {
                    self.deps.metrics.sessions.store_failed(&self.supplier, what);
                    tracing::warn!(%error, what, supplier = %self.supplier, "waiting for Redis");
                    self.outages.note();
                    patience.wait_unless(&self.cancel).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
