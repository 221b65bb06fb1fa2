//! The writing side of a [`crate::RelayPublisher`].

use std::{collections::HashMap, collections::VecDeque, sync::atomic::Ordering, time::Duration};

use futures::future::join_all;
use pocket_protocol::SupplierAddress;
use redis::{RedisResult, Value};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    PublishGuard, PublisherConfig, Store, StoreError,
    link::Link,
    publisher::{Counts, Queued},
};

/// Pause after the first failed batch; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Writes what is queued until all senders are gone or, after `cancel`, until the queue is empty or its time is over.
pub(crate) async fn write_batches<G: PublishGuard>(
    store: Store,
    config: PublisherConfig,
    waiting: mpsc::UnboundedReceiver<Queued<G>>,
    counts: Counts,
    cancel: CancellationToken,
) {
    let link = store.careful().link();
    counts.metrics.queued(0, config.queue);
    let mut appender = Appender {
        store,
        link,
        config,
        waiting,
        counts,
        held: VecDeque::new(),
        is_away: false,
        pause: FIRST_PAUSE,
        again_at: Instant::now(),
    };
    appender.run(cancel).await;
}

struct Appender<G> {
    store: Store,
    link: Link,
    config: PublisherConfig,
    waiting: mpsc::UnboundedReceiver<Queued<G>>,
    counts: Counts,
    /// Tried in vain.
    held: VecDeque<Queued<G>>,
    /// Nothing at all was taken the last time: new relays wait for the next attempt.
    is_away: bool,
    pause: Duration,
    again_at: Instant,
}

impl<G: PublishGuard> Appender<G> {
    async fn run(&mut self, cancel: CancellationToken) {
        let (mut deadline, mut has_ended): (Option<Instant>, _) = (None, false);
        while !(has_ended && self.held.is_empty()) {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return self.give_up();
            }
            let mut batch = Vec::with_capacity(self.config.batch);
            tokio::select! {
                biased;
                () = cancel.cancelled(), if deadline.is_none() => {
                    deadline = Some(Instant::now() + self.config.flush_timeout);
                    self.waiting.close();
                    continue;
                }
                () = tokio::time::sleep_until(self.again_at), if !self.held.is_empty() => {
                    // New ones come along: they may be for a part of a Cluster that is well.
                    let some = self.held.len().min(self.config.batch);
                    batch.extend(self.held.drain(..some));
                    while batch.len() < 2 * self.config.batch {
                        let Ok(fresh) = self.waiting.try_recv() else { break };
                        batch.push(fresh);
                    }
                }
                received = self.waiting.recv_many(&mut batch, self.config.batch), if !has_ended && !self.is_away => {
                    has_ended = received == 0;
                    if has_ended {
                        continue;
                    }
                }
            }
            self.write(batch).await;
        }
    }

    fn give_up(&mut self) {
        let mut relays: Vec<G> = self.held.drain(..).map(|relay| relay.guard).collect();
        while let Ok(relay) = self.waiting.try_recv() {
            relays.push(relay.guard);
        }
        self.counts.stats.lost.fetch_add(relays.len() as u64, Ordering::Relaxed);
        self.counts.metrics.lost(relays.len() as u64);
        if !relays.is_empty() {
            G::given_up(relays);
        }
    }

    /// Writes a batch; what is not confirmed is held for another attempt.
    async fn write(&mut self, batch: Vec<Queued<G>>) {
        let (link, store) = (&self.link, &self.store);
        let groups = batches_of_one_server(batch, store.is_cluster());
        let written = groups.into_iter().map(|group| append(store, link, group));
        let (mut confirmed, mut failed) = (Vec::new(), None);
        let metrics = &self.counts.metrics;
        for mut group in join_all(written).await {
            if let Some((supplier, replicas)) = group.replicas() {
                let key = store.keys().stream(supplier.as_str());
                if !store.replicas().are_enough(replicas, store, link, &key).await {
                    group.hold_all(replicas);
                }
            }
            failed = failed.or(group.failure);
            for is_confirmed in [true, false] {
                let relays = group.relays.iter().filter(|relay| relay.1 == is_confirmed);
                metrics.tried(is_confirmed, relays.map(|(relay, _)| &relay.supplier));
            }
            for (relay, is_confirmed) in group.relays {
                if is_confirmed {
                    confirmed.push(relay);
                } else {
                    self.held.push_back(relay);
                }
            }
        }
        self.is_away = confirmed.is_empty();
        if let Some(failure) = failed {
            self.counts.stats.retries.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%failure, relays = self.held.len(), "cannot append mined relays, trying again");
            self.again_at = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        } else {
            self.pause = FIRST_PAUSE;
        }
        self.counts
            .stats
            .published
            .fetch_add(confirmed.len() as u64, Ordering::Relaxed);
        if !confirmed.is_empty() {
            // Their places in the queue are free only after their guards have been told.
            let (guards, _slots): (Vec<G>, Vec<_>) =
                confirmed.into_iter().map(|relay| (relay.guard, relay.slot)).unzip();
            G::confirmed(guards);
        }
        let free = self.counts.slots.available_permits();
        let queue = self.config.queue;
        self.counts.metrics.queued(queue.saturating_sub(free), queue);
    }
}

/// A pipeline goes to one server: in a Cluster each supplier's relays are one.
fn batches_of_one_server<G>(batch: Vec<Queued<G>>, is_cluster: bool) -> Vec<Vec<Queued<G>>> {
    if !is_cluster {
        return vec![batch];
    }
    let mut by_supplier: HashMap<_, Vec<_>> = HashMap::new();
    for relay in batch {
        by_supplier.entry(relay.supplier.clone()).or_default().push(relay);
    }
    by_supplier.into_values().collect()
}

/// Relays of one server, after an attempt.
struct Written<G> {
    relays: Vec<(Queued<G>, bool)>,
    failure: Option<StoreError>,
    /// How many replicas have them, where that was asked.
    replicas: Option<u32>,
}

async fn append<G>(store: &Store, link: &Link, relays: Vec<Queued<G>>) -> Written<G> {
    let mut pipeline = redis::Pipeline::with_capacity(relays.len() + 1);
    for relay in &relays {
        let stream = store.keys().stream(relay.supplier.as_str());
        // No MAXLEN: a trimmed entry would be a lost relay.
        pipeline
            .cmd("XADD")
            .arg(stream)
            .arg("*")
            .arg("data")
            .arg(&relay.message[..]);
    }
    let policy = store.replicas();
    policy.wait(&mut pipeline);
    // Each relay has an answer of its own: only those that were refused come again.
    pipeline.ignore_errors();
    let began = std::time::Instant::now();
    let answers: RedisResult<Vec<RedisResult<Value>>> = pipeline.query_async(&mut link.clone()).await;
    let answers = answers.map_err(StoreError::from);
    store.metrics().called("append", began.elapsed(), &answers);
    let mut answers = match answers {
        Ok(answers) => answers.into_iter(),
        Err(error) => return Written::none(relays, error),
    };
    let mut failure = None;
    let written: Vec<_> = relays
        .into_iter()
        .map(|relay| match answers.next() {
            Some(Ok(_)) => (relay, true),
            Some(Err(error)) => {
                failure.get_or_insert(StoreError::from(error));
                (relay, false)
            }
            None => (relay, false),
        })
        .collect();
    // It is an error when the server was demoted meanwhile: then no replica says anything.
    let replicas = policy.wanted().map(|_| {
        let confirmed = answers
            .next()
            .and_then(|answer| redis::from_redis_value(answer.ok()?).ok());
        confirmed.unwrap_or(0)
    });
    Written {
        relays: written,
        failure,
        replicas,
    }
}

impl<G> Written<G> {
    fn none(relays: Vec<Queued<G>>, error: StoreError) -> Self {
        Self {
            relays: relays.into_iter().map(|relay| (relay, false)).collect(),
            failure: Some(error),
            replicas: None,
        }
    }

    /// Whose relays they are, at least the first, and how many replicas have them, where that was asked.
    fn replicas(&self) -> Option<(SupplierAddress, u32)> {
        let (relay, _) = self.relays.first()?;
        Some((relay.supplier.clone(), self.replicas?))
    }

    /// Counts no relay as confirmed: too few replicas have them.
    fn hold_all(&mut self, replicas: u32) {
        for (_, is_confirmed) in &mut self.relays {
            *is_confirmed = false;
        }
        self.failure.get_or_insert(StoreError::Unreplicated(replicas));
    }
}
