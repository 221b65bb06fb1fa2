//! Reading a supplier's stream.

use std::time::Duration;

use pocket_protocol::SupplierAddress;
use pocket_store::{Delivery, Lease, Pending, Store, StoreError, StreamConsumer};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::patience::{Outages, Patience};
use crate::{Metrics, Settings};

/// Between two looks for entries that a former owner read after it had lost the lease.
const STRAYS_LOOK: Duration = Duration::from_secs(1);
/// Wait after a read that found less than half a batch: relays that come in meanwhile share the next one's costs.
const LINGER: Duration = Duration::from_millis(20);
/// Former owners have long ended by then.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

/// How far the reading has come.
struct Reading {
    consumer: StreamConsumer,
    /// What others read and left is taken over first.
    pending: Option<Pending>,
    looked_at: Instant,
    /// The last read found few new entries.
    few: bool,
}

/// Reads a supplier's stream, ahead of what is taken in.
pub(crate) struct Reader {
    pub store: Store,
    pub settings: Settings,
    pub supplier: SupplierAddress,
    pub lease: Lease,
    pub outages: Outages,
    pub metrics: Metrics,
}

impl Reader {
    /// Sends batches until nobody takes them any more: first what others left, then what is new.
    pub async fn run(self, batches: mpsc::Sender<Vec<Delivery>>) {
        // A read of a former owner may reach Redis after its death, and what it takes is found by that owner's name:
        // so not even another life of the same instance has the same one.
        let consumer = StreamConsumer::new(self.store.clone(), self.lease.name(), self.settings.block);
        let mut reading = Reading {
            consumer,
            pending: Some(Pending::of(self.supplier.clone())),
            looked_at: Instant::now(),
            few: false,
        };
        let mut patience = Patience::new();
        loop {
            match self.next(&mut reading).await {
                Ok(batch) => {
                    patience = Patience::new();
                    if !batch.is_empty() && batches.send(batch).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, supplier = %self.supplier, "cannot read the stream, trying again");
                    self.outages.note();
                    self.metrics.intake.read_failed(&self.supplier);
                    // What an answer held that got lost is pending under our name.
                    reading.pending = Some(Pending::of(self.supplier.clone()));
                    patience.wait().await;
                }
            }
        }
    }

    async fn next(&self, reading: &mut Reading) -> Result<Vec<Delivery>, StoreError> {
        if let Some(pending) = &mut reading.pending {
            if let Some(batch) = reading.consumer.take_over(pending, self.settings.batch).await? {
                self.metrics.intake.took_over(&self.supplier, batch.len());
                return Ok(batch);
            }
            reading.pending = None;
            reading
                .consumer
                .forget_consumers(&self.supplier, FORGOTTEN_AFTER)
                .await?;
        }
        if reading.looked_at.elapsed() > STRAYS_LOOK {
            reading.looked_at = Instant::now();
            if reading.consumer.has_strays(&self.supplier).await? {
                reading.pending = Some(Pending::of(self.supplier.clone()));
                return Ok(Vec::new());
            }
        }
        if std::mem::take(&mut reading.few) {
            tokio::time::sleep(LINGER).await;
        }
        let suppliers = std::slice::from_ref(&self.supplier);
        let read = reading.consumer.read(suppliers, self.settings.batch).await?;
        let batch: Vec<Delivery> = read.into_iter().flat_map(|(_, batch)| batch).collect();
        reading.few = !batch.is_empty() && batch.len() < self.settings.batch / 2;
        Ok(batch)
    }
}
