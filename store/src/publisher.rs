use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bytes::Bytes;
use pocket_protocol::SupplierAddress;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{PublisherMetrics, Store, appender::write_batches};

/// Bounds of a [`RelayPublisher`].
#[derive(Clone, Copy, Debug)]
pub struct PublisherConfig {
    /// Most relays that may be reserved or wait for Redis; beyond it [`RelayPublisher::try_reserve`] says no.
    pub queue: usize,
    /// Most relays in one pipelined write.
    pub batch: usize,
    /// After a shutdown is asked for, how long to go on trying to hand over what is queued.
    pub flush_timeout: Duration,
}

impl Default for PublisherConfig {
    fn default() -> Self {
        Self {
            queue: 16_384,
            batch: 512,
            flush_timeout: Duration::from_secs(20),
        }
    }
}

/// Counters of a publisher since its start.
#[derive(Debug, Default)]
pub struct PublisherStats {
    /// Relays that Redis has confirmed.
    pub published: AtomicU64,
    /// Writes that failed and were tried again.
    pub retries: AtomicU64,
    /// Relays given up at shutdown because Redis stayed away.
    pub lost: AtomicU64,
}

/// What travels with a relay until Redis has it, or until it is given up.
pub trait PublishGuard: Send + Sized + 'static {
    /// Redis has these relays, and so have the replicas that are waited for.
    fn confirmed(relays: Vec<Self>) {
        drop(relays);
    }

    /// Redis stayed away until the publisher's last moment.
    fn given_up(relays: Vec<Self>) {
        let relays = relays.len();
        tracing::error!(relays, "mined relays lost: Redis stayed away during shutdown");
    }
}

impl PublishGuard for () {}
impl<T: Send + Sync + 'static> PublishGuard for Arc<T> {}

/// What the writing side tells of itself.
pub(crate) struct Counts {
    pub stats: Arc<PublisherStats>,
    pub metrics: PublisherMetrics,
    pub slots: Arc<Semaphore>,
}

pub(crate) struct Queued<G> {
    pub supplier: SupplierAddress,
    pub message: Bytes,
    pub guard: G,
    // Free again when Redis has confirmed the relay.
    pub slot: tokio::sync::OwnedSemaphorePermit,
}

/// Appends mined relays to their suppliers' streams, in pipelined batches, apart from the relay's answer.
///
/// A place in the queue is reserved before a relay is served, so that a slow Redis makes the relayer
/// refuse new relays and never lose an answered one. A batch is retried until Redis takes it; a
/// relay that was written twice counts once in its tree. `G` travels with the relay and is told
/// once Redis has confirmed it.
pub struct RelayPublisher<G> {
    queue: mpsc::UnboundedSender<Queued<G>>,
    // Bounds the queue: a slot is held from the reservation until Redis' confirmation.
    slots: Arc<Semaphore>,
    stats: Arc<PublisherStats>,
}

impl<G> Clone for RelayPublisher<G> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            slots: self.slots.clone(),
            stats: self.stats.clone(),
        }
    }
}

/// The right to publish one relay; dropped unused, it goes back.
#[derive(Debug)]
pub struct PublishSlot(tokio::sync::OwnedSemaphorePermit);

impl<G: PublishGuard> RelayPublisher<G> {
    /// Starts the writing task. It ends when all clones of the publisher are dropped, or, after
    /// `cancel`, when the queue is empty or `flush_timeout` is over; await its handle to know.
    pub fn start(store: Store, config: PublisherConfig, cancel: CancellationToken) -> (Self, JoinHandle<()>) {
        Self::with_metrics(store, config, PublisherMetrics::default(), cancel)
    }

    /// The same, counted.
    pub fn with_metrics(
        store: Store,
        config: PublisherConfig,
        metrics: PublisherMetrics,
        cancel: CancellationToken,
    ) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::unbounded_channel();
        let stats = Arc::new(PublisherStats::default());
        let slots = Arc::new(Semaphore::new(config.queue));
        let counts = Counts {
            stats: stats.clone(),
            metrics,
            slots: slots.clone(),
        };
        let task = tokio::spawn(write_batches(store, config, waiting, counts, cancel));
        (Self { queue, slots, stats }, task)
    }

    /// Reserves a place, or says that the queue is full and new relays must be refused.
    pub fn try_reserve(&self) -> Option<PublishSlot> {
        self.slots.clone().try_acquire_owned().ok().map(PublishSlot)
    }

    /// Waits for a place, in the order of asking.
    pub async fn reserve(&self) -> PublishSlot {
        let slot = self.slots.clone().acquire_owned().await;
        PublishSlot(slot.expect("the queue's bound is never closed"))
    }

    /// Queues one encoded `MinedRelayMessage`; never waits. `false` only when the writing task has ended.
    pub fn publish(&self, slot: PublishSlot, supplier: SupplierAddress, message: Bytes, guard: G) -> bool {
        self.queue
            .send(Queued {
                supplier,
                message,
                guard,
                slot: slot.0,
            })
            .is_ok()
    }

    /// Counters.
    pub fn stats(&self) -> &PublisherStats {
        &self.stats
    }

    /// Places left in the queue.
    pub fn free(&self) -> usize {
        self.slots.available_permits()
    }
}
