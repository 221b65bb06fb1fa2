//! Where mined relays go: to Redis, by way of the relay log if there is one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pocket_protocol::SupplierAddress;
use pocket_store::RelayPublisher;

use crate::drain::InFlight;
use crate::relay_log::{Noted, RelayLog, Travelling, Unlogged};

/// Between two looks for room in the log.
const LOOK: Duration = Duration::from_millis(50);

/// Takes mined relays and answers for them: none is lost, but where [`RelayLog`] says so.
pub(crate) struct Outbox {
    publisher: RelayPublisher<Travelling>,
    log: Option<Arc<RelayLog>>,
}

/// The right to hand one relay in; dropped unused, it goes back.
#[derive(Debug)]
pub(crate) struct PublishSlot(Option<pocket_store::PublishSlot>);

impl Outbox {
    pub fn new(publisher: RelayPublisher<Travelling>, log: Option<Arc<RelayLog>>) -> Self {
        Self { publisher, log }
    }

    /// The relay log, if there is one.
    pub fn log(&self) -> Option<&Arc<RelayLog>> {
        self.log.as_ref()
    }

    /// Reserves a place, or says that neither the queue nor the log has one and new relays must be refused.
    pub fn try_reserve(&self) -> Option<PublishSlot> {
        let place = self.publisher.try_reserve();
        match &self.log {
            Some(log) if place.is_some() => (!log.is_stale()).then_some(PublishSlot(place)),
            Some(log) => log.has_room().then_some(PublishSlot(None)),
            None => place.map(|place| PublishSlot(Some(place))),
        }
    }

    /// Places in the queue that nobody has.
    pub fn free(&self) -> usize {
        self.publisher.free()
    }

    /// Waits for a place.
    pub async fn reserve(&self) -> PublishSlot {
        loop {
            if let Some(slot) = self.try_reserve() {
                return slot;
            }
            if self.log.is_none() {
                return PublishSlot(Some(self.publisher.reserve().await));
            }
            // The log has room again when Redis confirms, which nobody is told.
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Takes one encoded `MinedRelayMessage`; never waits. `false` only when the relay is lost because the publisher
    /// has ended and there is no log.
    pub fn publish(&self, slot: PublishSlot, supplier: SupplierAddress, message: Bytes, in_flight: InFlight) -> bool {
        let place = slot.0.or_else(|| self.publisher.try_reserve());
        match (&self.log, place) {
            (None, Some(place)) => {
                let travelling = Travelling::unlogged(in_flight);
                self.publisher.publish(place, supplier, message, travelling)
            }
            (Some(log), Some(place)) => {
                let travelling = log.log(&message, in_flight);
                let is_logged = travelling.is_logged();
                self.publisher.publish(place, supplier, message, travelling) || is_logged
            }
            (Some(log), None) => {
                log.keep(Unlogged {
                    supplier,
                    message,
                    in_flight,
                });
                true
            }
            // Without a log every slot has a place.
            (None, None) => false,
        }
    }

    /// As [`Self::publish`], for a relay that is in the log already.
    pub fn publish_noted(
        &self,
        slot: PublishSlot,
        supplier: SupplierAddress,
        noted: Noted,
        in_flight: InFlight,
    ) -> bool {
        match slot.0.or_else(|| self.publisher.try_reserve()) {
            Some(place) => {
                let message = noted.message.clone();
                // In the log it outlives the publisher.
                let _ = self
                    .publisher
                    .publish(place, supplier, message, noted.travelling(in_flight));
            }
            None => noted.wait(in_flight),
        }
        true
    }
}
