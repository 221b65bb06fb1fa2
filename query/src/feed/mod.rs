//! The newest block, as soon as it is known.

mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use pocket_protocol::Height;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::comet::NewHeader;
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
/// newest height is now n".
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
        let follower = Follower {
            chain,
            timing,
            height: height.clone(),
            heard: heard.clone(),
            publish,
            newest_at: None,
            interval: None,
        };
        let task = tokio::spawn(async move {
            cancel.run_until_cancelled_owned(Box::pin(follower.run())).await;
        });
        (Self { height, heard, blocks }, task)
    }

    /// The highest block seen, 0 before the first. One atomic load.
    pub fn height(&self) -> Height {
        Height(self.height.load(Ordering::Acquire))
    }

    /// How long the node has said nothing, be it that there is no new block; since the start, if it never did. While
    /// all is well that is less than [`FeedTiming::silence`] and what an answer takes.
    pub fn silent_for(&self) -> Duration {
        self.heard.ago()
    }

    /// Told of each rise; slow readers see the newest only.
    pub fn subscribe(&self) -> watch::Receiver<BlockInfo> {
        self.blocks.clone()
    }
}

/// When the node last said anything.
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

struct Follower {
    chain: ChainClient,
    timing: FeedTiming,
    height: Arc<AtomicI64>,
    heard: Heard,
    publish: watch::Sender<BlockInfo>,
    newest_at: Option<Instant>,
    /// The last interval between two blocks as they arrived here.
    interval: Option<Duration>,
}

impl Follower {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            match Subscription::open(&self.chain).await {
                Ok(subscription) => {
                    failures = 0;
                    // Blocks may have come while there was no subscription.
                    self.look().await;
                    let error = self.follow(subscription).await;
                    tracing::warn!(%error, "block subscription ended");
                }
                Err(error) => tracing::warn!(%error, failures, "no block subscription: the node is polled"),
            }
            failures += 1;
            self.poll_for(self.timing.reconnect.wait_after(failures)).await;
        }
    }

    /// Publishes headers until the socket fails, or is silent while the chain goes on.
    async fn follow(&mut self, mut subscription: Subscription) -> QueryError {
        loop {
            match timeout(self.silence(), subscription.next()).await {
                Ok(Ok(header)) => self.saw(header),
                Ok(Err(error)) => return error,
                Err(_) => {
                    if self.look().await {
                        return QueryError::Unavailable("the socket is silent, the chain is not".into());
                    }
                }
            }
        }
    }

    async fn poll_for(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        while Instant::now() < until {
            self.look().await;
            sleep(self.timing.poll.min(until.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// Asks the node for its height; whether that was news.
    async fn look(&mut self) -> bool {
        let before = self.publish.borrow().height;
        match self.chain.status().await {
            Ok(status) => self.saw(NewHeader {
                height: status.height,
                time: status.block_time,
            }),
            Err(error) => tracing::warn!(%error, "the node's status is unknown"),
        }
        self.publish.borrow().height > before
    }

    /// Publishes a header unless it is old news: behind a balancer heights repeat and fall.
    fn saw(&mut self, header: NewHeader) {
        self.heard.now();
        self.chain.saw(header.height);
        if header.height <= self.publish.borrow().height {
            return;
        }
        let now = Instant::now();
        self.interval = self.newest_at.map(|last| now - last);
        self.newest_at = Some(now);
        self.height.store(header.height.0, Ordering::Release);
        self.publish.send_replace(BlockInfo {
            height: header.height,
            time: header.time,
        });
    }

    fn silence(&self) -> Duration {
        let three = self.interval.map(|interval| (interval * 3).max(Duration::from_secs(1)));
        three.map_or(self.timing.silence, |three| three.min(self.timing.silence))
    }
}
