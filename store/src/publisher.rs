use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use pocket_protocol::SupplierAddress;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{Store, StoreError};

/// Pause after the first failed batch; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

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

struct Queued<G> {
    supplier: SupplierAddress,
    message: Bytes,
    // Dropped when Redis has confirmed the relay: its session is open until then.
    _guard: G,
    _slot: tokio::sync::OwnedSemaphorePermit,
}

/// Appends mined relays to their suppliers' streams, in pipelined batches, apart from the relay's answer.
///
/// A place in the queue is reserved before a relay is served, so that a slow Redis makes the relayer
/// refuse new relays and never lose an answered one. A batch is retried until Redis takes it; a
/// relay that was written twice counts once in its tree. `G` travels with the relay and is dropped
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

impl<G: Send + 'static> RelayPublisher<G> {
    /// Starts the writing task. It ends when all clones of the publisher are dropped, or, after
    /// `cancel`, when the queue is empty or `flush_timeout` is over; await its handle to know.
    pub fn start(store: Store, config: PublisherConfig, cancel: CancellationToken) -> (Self, JoinHandle<()>) {
        let (queue, waiting) = mpsc::unbounded_channel();
        let stats = Arc::new(PublisherStats::default());
        let task = tokio::spawn(write_batches(store, config, waiting, stats.clone(), cancel));
        (
            Self {
                queue,
                slots: Arc::new(Semaphore::new(config.queue)),
                stats,
            },
            task,
        )
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
                _guard: guard,
                _slot: slot.0,
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

async fn write_batches<G>(
    store: Store,
    config: PublisherConfig,
    mut waiting: mpsc::UnboundedReceiver<Queued<G>>,
    stats: Arc<PublisherStats>,
    cancel: CancellationToken,
) {
    let mut batch = Vec::with_capacity(config.batch);
    let mut deadline = None;
    loop {
        let received = tokio::select! {
            // Served first, so that a shutdown still empties the queue.
            biased;
            received = waiting.recv_many(&mut batch, config.batch) => received,
            () = cancel.cancelled(), if deadline.is_none() => {
                deadline = Some(tokio::time::Instant::now() + config.flush_timeout);
                waiting.close();
                continue;
            }
        };
        if received == 0 {
            return;
        }
        let pipeline = appends(&store, &batch);
        if !write_until_taken(&store, &pipeline, &stats, &cancel, config.flush_timeout).await {
            stats
                .lost
                .fetch_add((batch.len() + waiting.len()) as u64, Ordering::Relaxed);
            tracing::error!(
                relays = batch.len() + waiting.len(),
                "mined relays lost: Redis stayed away during shutdown"
            );
            return;
        }
        stats.published.fetch_add(batch.len() as u64, Ordering::Relaxed);
        batch.clear();
    }
}

fn appends<G>(store: &Store, batch: &[Queued<G>]) -> redis::Pipeline {
    let mut pipeline = redis::Pipeline::with_capacity(batch.len());
    for relay in batch {
        let stream = store.keys().stream(relay.supplier.as_str());
        // No MAXLEN: a trimmed entry would be a lost relay.
        pipeline
            .cmd("XADD")
            .arg(stream)
            .arg("*")
            .arg("data")
            .arg(&relay.message[..])
            .ignore();
    }
    pipeline
}

/// Writes a batch, again and again; `false` when a shutdown was asked for and its time is over.
async fn write_until_taken(
    store: &Store,
    pipeline: &redis::Pipeline,
    stats: &PublisherStats,
    cancel: &CancellationToken,
    flush_timeout: Duration,
) -> bool {
    let mut pause = FIRST_PAUSE;
    let mut give_up_at = None;
    loop {
        let error: StoreError = match store.pipeline::<()>(pipeline).await {
            Ok(()) => return true,
            Err(error) => error,
        };
        stats.retries.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%error, relays = pipeline.len(), "cannot append mined relays, trying again");
        if cancel.is_cancelled() {
            let now = tokio::time::Instant::now();
            if now >= *give_up_at.get_or_insert(now + flush_timeout) {
                return false;
            }
            tokio::time::sleep(pause).await;
        } else {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cancel.cancelled() => {}
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
