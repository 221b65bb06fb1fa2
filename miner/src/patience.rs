//! Waiting for a Redis that is away.

use std::future::Future;
use std::time::Duration;

use pocket_protocol::SupplierAddress;
use pocket_store::{Lease, Store, StoreError};
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
                    tracing::warn!(%error, what, supplier = %self.supplier, "waiting for Redis");
                    patience.wait_unless(&self.cancel).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
