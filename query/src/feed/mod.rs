//! The newest block, as soon as it is known.

mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use pocket_protocol::Height;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::comet::NewHeader;
use crate::nodes::Nodes;
use crate::{ChainClient, QueryError, RetryPolicy};
use socket::Subscription;

/// The highest block seen. Height 0 until the first is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// Its height.
    pub height: Height,
    /// The time in its header; the Unix epoch at height 0.
    pub time: OffsetDateTime,
}

/// How the feed waits. The defaults are for real networks.
#[derive(Clone, Copy, Debug)]
pub struct FeedTiming {
    /// Between two looks at the node's status while there is no subscription.
    pub poll: Duration,
    /// Between two attempts to subscribe: 1 s, doubling to 15 s (spec `chain.md` §5.1).
    pub reconnect: RetryPolicy,
    /// A socket silent for this long, or for three intervals between blocks if that is less (but a second
    /// at least), is checked against the node's status.
    pub silence: Duration,
}

impl Default for FeedTiming {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            reconnect: RetryPolicy {
                attempts: u32::MAX,
                first_wait: Duration::from_secs(1),
                longest_wait: Duration::from_secs(15),
            },
            silence: Duration::from_secs(15),
        }
    }
}

/// Follows the chain's head: a WebSocket subscription, renewed when it ends or falls silent, and polling
/// while there is none. Heights never go back, and not every height is seen: consumers work with "the
/// newest height is now n". Of several nodes each is looked at from time to time; the subscription is to the one that
/// is best, and moves with it at once.
#[derive(Clone)]
pub struct BlockFeed {
    height: Arc<AtomicI64>,
    heard: Heard,
    blocks: watch::Receiver<BlockInfo>,
}

impl BlockFeed {
    /// Starts the task that follows the chain until `cancel`; the caller awaits the handle.
    pub fn start(chain: ChainClient, cancel: CancellationToken) -> (Self, JoinHandle<()>) {
        Self::start_with(chain, FeedTiming::default(), cancel)
    }

    /// [`start`](Self::start) with other waits.
    pub fn start_with(chain: ChainClient, timing: FeedTiming, cancel: CancellationToken) -> (Self, JoinHandle<()>) {
        let start = BlockInfo {
            height: Height(0),
            time: OffsetDateTime::UNIX_EPOCH,
        };
        let (publish, blocks) = watch::channel(start);
        let height = Arc::new(AtomicI64::new(0));
        let heard = Heard::default();
        let feed = Self {
            height: height.clone(),
            heard: heard.clone(),
            blocks,
        };
        let task = tokio::spawn(async move {
            let nodes = &chain.0.nodes;
            let follower = Follower {
                nodes,
                timing,
                heard,
                newest_at: None,
                interval: None,
            };
            let work = async {
                nodes.introduced().await;
                tokio::join!(
                    follower.run(),
                    pass_on(nodes.newest(), &height, &publish),
                    nodes.watch()
                );
            };
            cancel.run_until_cancelled(Box::pin(work)).await;
        });
        (feed, task)
    }

    /// The highest block seen, 0 before the first. One atomic load.
    pub fn height(&self) -> Height {
        Height(self.height.load(Ordering::Acquire))
    }

    /// How long no node has said anything, be it that there is no new block; since the start, if none ever did. While
    /// all is well that is less than [`FeedTiming::silence`] and what an answer takes.
    pub fn silent_for(&self) -> Duration {
        self.heard.ago()
    }

    /// Told of each rise; slow readers see the newest only.
    pub fn subscribe(&self) -> watch::Receiver<BlockInfo> {
        self.blocks.clone()
    }
}

/// When a node last said anything.
#[derive(Clone)]
struct Heard {
    began: Instant,
    /// Milliseconds after that.
    at: Arc<AtomicU64>,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            at: Arc::default(),
        }
    }
}

impl Heard {
    fn now(&self) {
        self.at
            .store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn ago(&self) -> Duration {
        let at = Duration::from_millis(self.at.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(at)
    }
}

/// Publishes each newer header that is believed, whichever node told it.
async fn pass_on(
    mut newest: watch::Receiver<Option<NewHeader>>,
    height: &AtomicI64,
    publish: &watch::Sender<BlockInfo>,
) {
    newest.mark_changed();
    while newest.changed().await.is_ok() {
        if let Some(header) = *newest.borrow_and_update() {
            height.store(header.height.0, Ordering::Release);
            publish.send_replace(BlockInfo {
                height: header.height,
                time: header.time,
            });
        }
    }
}

/// Keeps a subscription to the best node, or looks at all of them while there is none.
struct Follower<'a> {
    nodes: &'a Nodes,
    timing: FeedTiming,
    heard: Heard,
    newest_at: Option<Instant>,
    /// The last interval between two blocks as they arrived here.
    interval: Option<Duration>,
}

/// Why a subscription is given up.
enum End {
    /// It failed, after telling blocks or without any.
    Failed { error: QueryError, told: bool },
    /// Another node is better.
    Moved,
}

impl Follower<'_> {
    async fn run(mut self) {
        let rpc = &self.nodes.rpc;
        let mut failures = 0;
        loop {
            let mut used = rpc.used();
            // Best first: while a node is left to turn to, nobody waits.
            let candidates = rpc.standing().candidates();
            for index in candidates {
                let endpoint = rpc.name(index);
                let subscription = match Subscription::open(rpc.node(index), self.nodes.look_limit()).await {
                    Ok(subscription) => subscription,
                    Err(error) => {
                        rpc.failed(index, 1, &error);
                        tracing::warn!(%error, %endpoint, failures, "no block subscription: the node is polled");
                        continue;
                    }
                };
                match self.follow(index, subscription, &mut used).await {
                    End::Failed { error, told } => {
                        rpc.failed(index, 1, &error);
                        tracing::warn!(%error, %endpoint, "block subscription ended");
                        failures = if told { 0 } else { failures };
                    }
                    End::Moved => failures = 0,
                }
                break;
            }
            failures += 1;
            let waits = if rpc.is_several() { failures - 1 } else { failures };
            if waits > 0 {
                self.poll_for(self.timing.reconnect.wait_after(waits)).await;
            }
        }
    }

    /// Listens until the socket fails, or is silent while the chain goes on, or another node is better.
    async fn follow(&mut self, index: usize, mut subscription: Subscription, used: &mut watch::Receiver<usize>) -> End {
        // Blocks may have come while there was no subscription.
        self.look().await;
        let (mut heard, mut from, mut told) = (Instant::now(), self.height(), false);
        loop {
            let header = tokio::select! {
                header = timeout_at(heard + self.silence(), subscription.next()) => header,
                Ok(()) = used.changed() => {
                    if *used.borrow_and_update() == index {
                        continue;
                    }
                    return End::Moved;
                }
            };
            heard = Instant::now();
            match header {
                Ok(Ok(header)) => {
                    self.heard.now();
                    self.nodes.saw_header(index, header);
                    (from, told) = (from.max(header.height), true);
                    self.interval = self.newest_at.replace(heard).map(|last| heard - last);
                }
                Ok(Err(error)) => return End::Failed { error, told },
                Err(_) => {
                    self.look().await;
                    if self.height() > from {
                        let error = QueryError::Unavailable("the socket is silent, the chain is not".into());
                        return End::Failed { error, told };
                    }
                }
            }
        }
    }

    async fn poll_for(&self, wait: Duration) {
        let until = Instant::now() + wait;
        while Instant::now() < until {
            self.look().await;
            sleep(self.timing.poll.min(until.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// Asks all nodes for their height.
    async fn look(&self) {
        match self.nodes.look_at_heads().await {
            Ok(()) => self.heard.now(),
            Err(error) => tracing::warn!(%error, "the node's status is unknown"),
        }
    }

    /// The highest block that is believed.
    fn height(&self) -> Height {
        self.nodes.newest().borrow().map_or(Height(0), |newest| newest.height)
    }

    fn silence(&self) -> Duration {
        let three = self.interval.map(|interval| (interval * 3).max(Duration::from_secs(1)));
        three.map_or(self.timing.silence, |three| three.min(self.timing.silence))
    }
}
