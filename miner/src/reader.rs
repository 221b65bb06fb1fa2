//! Reading a supplier's stream.

use pocket_protocol::SupplierAddress;
use pocket_store::{Delivery, Store, StreamConsumer};
use tokio::sync::mpsc;

use crate::Settings;
use crate::patience::Patience;

/// Reads a supplier's stream, ahead of what is taken in.
pub(crate) struct Reader {
    pub store: Store,
    pub settings: Settings,
    pub supplier: SupplierAddress,
}

impl Reader {
    /// Sends batches until nobody takes them any more.
    pub async fn run(self, batches: mpsc::Sender<Vec<Delivery>>) {
        let mut consumer = StreamConsumer::new(self.store, self.settings.instance, self.settings.block);
        let suppliers = [self.supplier];
        let mut patience = Patience::new();
        let mut taken_over = false;
        loop {
            let read = if taken_over {
                consumer.read(&suppliers, self.settings.batch).await
            } else {
                let batch = consumer.take_over(&suppliers[0]).await;
                taken_over = batch.is_ok();
                batch.map(|batch| vec![(suppliers[0].clone(), batch)])
            };
            match read {
                Ok(read) => {
                    patience = Patience::new();
                    for (_, batch) in read.into_iter().filter(|(_, batch)| !batch.is_empty()) {
                        if batches.send(batch).await.is_err() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, supplier = %suppliers[0], "cannot read the stream, trying again");
                    // What an answer held that got lost is pending under our name.
                    taken_over = false;
                    patience.wait().await;
                }
            }
        }
    }
}
