use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use pocket_client::{ErrorKind, Mode};
use pocket_protocol::{Height, SessionBounds};
use pocket_query::{BlockFeed, BlockInfo};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::caller::Caller;
use crate::stage::{Stage, StageError};

/// Most relays on their way at once.
const IN_FLIGHT: usize = 64;
/// Without a block for so long there is nothing to wait for.
pub(crate) const STALLED_AFTER: Duration = Duration::from_mins(1);
/// Relays of one block are spread over this much of the time to the next.
const PART_OF_BLOCK: f64 = 0.9;

/// How many relays to send, and over how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Relays that are to be answered, dealt to the world's modes and the session's suppliers in turn.
    pub relays: u64,
    /// Sessions to spread them over, the running one included.
    pub sessions: u64,
}

/// What the client has seen so far.
#[derive(Debug, Default)]
pub struct Progress {
    answered: AtomicU64,
    unanswered: AtomicU64,
    errors: Mutex<BTreeMap<ErrorKind, u64>>,
    ends: Mutex<BTreeMap<Height, u64>>,
    modes: Mutex<BTreeMap<Mode, u64>>,
}

impl Progress {
    /// Relays with a believed answer.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Relays that never got one.
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// What attempts failed with, those included that a later one made good.
    pub fn errors(&self) -> BTreeMap<ErrorKind, u64> {
        self.errors.lock().clone()
    }

    /// Answered relays by the end height of their session.
    pub fn by_session(&self) -> BTreeMap<Height, u64> {
        self.ends.lock().clone()
    }

    /// Answered relays by what was asked for.
    pub fn by_mode(&self) -> BTreeMap<Mode, u64> {
        self.modes.lock().clone()
    }

    pub(crate) fn count(&self, mode: Mode, relays: u64, session_end: Height) {
        self.answered.fetch_add(relays, Ordering::Relaxed);
        *self.ends.lock().entry(session_end).or_default() += relays;
        *self.modes.lock().entry(mode).or_default() += relays;
    }

    pub(crate) fn count_error(&self, error: ErrorKind) {
        *self.errors.lock().entry(error).or_default() += 1;
    }

    pub(crate) fn count_unanswered(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends relays as a gateway does: at an even pace, across the borders of sessions.
pub(crate) struct Drive {
    /// One for each mode, in their order.
    callers: Vec<Arc<Caller>>,
    feed: BlockFeed,
    plan: Plan,
    heights: Heights,
    progress: Arc<Progress>,
}

/// Blocks to send in, both included.
#[derive(Clone, Copy, Debug)]
struct Heights {
    first: Height,
    last: Height,
}

impl Heights {
    /// The block at which the relay is due, of so many.
    fn due(self, relay: u64, of: u64) -> Height {
        let blocks = (self.last.0 - self.first.0 + 1) as u64;
        self.first + (relay * blocks / of) as i64
    }
}

impl Drive {
    pub async fn new(stage: &Stage, plan: Plan, progress: Arc<Progress>) -> Result<Self, StageError> {
        let height = stage.chain().status().await?.height;
        let params = stage.chain().shared_params().await?;
        let running = SessionBounds::containing(&params, height);
        let others = (plan.sessions.max(1) - 1) * params.num_blocks_per_session;
        let caller = |mode: &Mode| Ok(Arc::new(Caller::new(*mode, stage.client_of(*mode)?)));
        let callers: Result<Vec<_>, StageError> = stage.world().modes.iter().map(caller).collect();
        Ok(Self {
            callers: callers?,
            feed: stage.feed().clone(),
            plan,
            heights: Heights {
                first: height,
                last: running.end + others as i64,
            },
            progress,
        })
    }

    /// The last session's last block.
    pub fn last_end(&self) -> Height {
        self.heights.last
    }

    /// Sends everything, and waits for the answers.
    pub async fn run(self) -> Result<(), StageError> {
        let mut blocks = self.feed.subscribe();
        let permits = Arc::new(Semaphore::new(IN_FLIGHT));
        let mut sending = JoinSet::new();
        let mut pace = Pace::new(self.plan.relays, self.heights);
        let (mut relay, mut request) = (0, 0);
        while relay < self.plan.relays {
            let due = self.heights.due(relay, self.plan.relays);
            let newest = wait_for(&mut blocks, due).await?;
            sleep_until(pace.next(due, newest)).await;
            let permit = permits
                .clone()
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            let modes = self.callers.len() as u64;
            let (caller, progress) = (self.callers[(request % modes) as usize].clone(), self.progress.clone());
            let payload = caller.payload(request / modes, self.plan.relays - relay).clone();
            // A subscription is answered with a relay for each of its messages.
            relay += payload.answers as u64;
            request += 1;
            sending.spawn(async move {
                caller.send(&payload, &progress).await;
                drop(permit);
            });
            while sending.try_join_next().is_some() {}
        }
        while sending.join_next().await.is_some() {}
        for caller in &self.callers {
            caller.close().await;
        }
        Ok(())
    }
}

/// The moment of the next relay: spread over a block's time, from the time that the last block took.
struct Pace {
    relays_a_block: f64,
    newest: Option<BlockInfo>,
    block_time: f64,
    next: Instant,
}

impl Pace {
    fn new(relays: u64, heights: Heights) -> Self {
        let blocks = (heights.last.0 - heights.first.0 + 1) as f64;
        Self {
            relays_a_block: relays as f64 / blocks,
            newest: None,
            block_time: 0.0,
            next: Instant::now(),
        }
    }

    /// For the next relay, which is due in block `due`; `newest` is that one or later.
    fn next(&mut self, due: Height, newest: BlockInfo) -> Instant {
        match self.newest.replace(newest) {
            Some(last) if last.height == newest.height => {}
            Some(last) if last.height + 1 == newest.height => {
                self.block_time = (newest.time - last.time).as_seconds_f64().clamp(0.0, 10.0);
                // Its first relay: whoever is behind makes up for it without pauses.
                if due == newest.height {
                    self.next = Instant::now();
                }
            }
            _ => self.next = Instant::now(),
        }
        let now = self.next;
        self.next += Duration::from_secs_f64(self.block_time * PART_OF_BLOCK / self.relays_a_block.max(1.0));
        now
    }
}

/// The newest block, once it is at `height` or beyond.
async fn wait_for(blocks: &mut watch::Receiver<BlockInfo>, height: Height) -> Result<BlockInfo, StageError> {
    match timeout(STALLED_AFTER, blocks.wait_for(|block| block.height >= height)).await {
        Ok(Ok(block)) => Ok(*block),
        Ok(Err(_)) | Err(_) => Err(StageError::Stalled(STALLED_AFTER.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_are_spread_over_all_blocks() {
        let heights = Heights {
            first: Height(5),
            last: Height(24),
        };
        let due: Vec<i64> = (0..40).map(|relay| heights.due(relay, 40).0).collect();
        assert_eq!((due[0], due[1], due[2], due[39]), (5, 5, 6, 24));
    }

    #[test]
    fn fewer_relays_than_blocks_still_reach_the_last_session() {
        let heights = Heights {
            first: Height(1),
            last: Height(30),
        };
        assert_eq!(heights.due(2, 3), Height(21));
    }
}
