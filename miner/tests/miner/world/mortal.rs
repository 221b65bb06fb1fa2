//! A miner that dies after so many of its steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use pocket_miner::Miner;
use tokio::sync::{Notify, oneshot};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::World;
use super::miners::Prepared;

/// A miner whose every step from one await to the next is counted, on a thread of its own that runs nothing else. After
/// the last of its steps all of its tasks are dropped where they stand, before any takes another.
pub struct Mortal {
    steps: Arc<Steps>,
    ended: oneshot::Receiver<bool>,
    _thread: JoinHandle<()>,
}

impl World {
    /// Starts a miner that takes so many steps.
    pub async fn mortal_miner(&self, instance: &str, suppliers: &[&str], steps: usize) -> Mortal {
        let mut prepared = self.prepare(self.redis_port, instance, suppliers);
        // Few steps that have to do with time alone.
        prepared.settings.renew_interval = super::miners::LEASE / 3;
        // What these start to do for their connections is done here, not in the miner's steps.
        prepared.deps.store.ping().await.unwrap();
        prepared.deps.chain.status().await.unwrap();
        let steps = Arc::new(Steps {
            left: AtomicUsize::new(steps),
            end: Notify::new(),
        });
        let (tell, ended) = oneshot::channel();
        let counted = steps.clone();
        Mortal {
            steps,
            ended,
            _thread: std::thread::spawn(move || {
                live(prepared, &counted);
                // Nobody may wait for it.
                let _ = tell.send(counted.left.load(Ordering::Relaxed) == 0);
            }),
        }
    }
}

impl Mortal {
    /// Waits for its end. Whether it died, and was not [ended](Self::end).
    pub async fn died(&mut self) -> bool {
        (&mut self.ended).await.expect("its thread tells its end")
    }

    /// Ends it before its time.
    pub fn ender(&self) -> impl Fn() + use<> {
        let steps = self.steps.clone();
        move || steps.end.notify_one()
    }
}

struct Steps {
    left: AtomicUsize,
    end: Notify,
}

fn live(prepared: Prepared, steps: &Arc<Steps>) {
    let _counting = tracing::subscriber::set_default(Counter(steps.clone()));
    // After each step of a task it is looked whether that was the last.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let _miner = Miner::start(prepared.settings, prepared.deps, prepared.cancel);
        steps.end.notified().await;
    });
    runtime.shutdown_background();
    drop(prepared.feed);
}

/// Counts how often tasks of the miner are left, finished or to wait.
struct Counter(Arc<Steps>);

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with("pocket_miner")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {
        let Steps { left, end } = &*self.0;
        let last = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if last == Ok(1) {
            end.notify_one();
        }
    }
}
