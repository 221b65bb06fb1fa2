use std::sync::Arc;
use std::time::Duration;

use pocket_protocol::{Height, SessionBounds, SharedParams, Windows};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::by_type::{self, TypeTallies};
use crate::drive::{Drive, Plan, Progress, STALLED_AFTER};
use crate::observer::Observer;
use crate::stage::{Stage, StageError};
use crate::tally::Tally;

/// Between two looks at the chain and Redis.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What can be shown at a moment of the run.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The chain's height.
    pub height: Height,
    /// The session that is running.
    pub session: SessionBounds,
    /// Sessions that relays were answered in.
    pub sessions: u64,
    /// The block that settles the last session.
    pub curtain: Height,
    /// Everything counted so far.
    pub tally: Tally,
    /// The same by RPC type.
    pub by_type: TypeTallies,
}

/// The end of a run.
#[derive(Clone, Debug)]
pub struct Finale {
    /// What came of it.
    pub last: Scene,
    /// What the client saw.
    pub progress: Arc<Progress>,
    /// From the first relay to the last settlement.
    pub took: Duration,
}

/// Sends the plan's relays, waits until the last session they belong to is settled, and tells `show` of every step.
pub async fn run(stage: &Stage, plan: Plan, mut show: impl FnMut(&Scene)) -> Result<Finale, StageError> {
    let started = Instant::now();
    let params = stage.chain().shared_params().await?;
    let from = stage.chain().status().await?.height;
    let progress = Arc::new(Progress::default());
    let drive = Drive::new(stage, plan, progress.clone()).await?;
    let mut observed = Observed {
        stage,
        params: &params,
        progress: progress.clone(),
        observer: Observer::new(stage.chain().clone(), from + 1),
        curtain: Windows::of(&params, drive.last_end()).settlement(),
        mined: 0,
    };
    let mut driving = JoinSet::new();
    driving.spawn(drive.run());
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut moved = (Height(0), started);
    loop {
        tokio::select! {
            Some(driven) = driving.join_next() => driven.expect("sending does not panic")?,
            _ = ticks.tick() => {}
        }
        let scene = observed.look().await;
        show(&scene);
        if driving.is_empty() && scene.height >= scene.curtain {
            let took = started.elapsed();
            return Ok(Finale {
                last: scene,
                progress,
                took,
            });
        }
        if scene.height > moved.0 {
            moved = (scene.height, Instant::now());
        } else if moved.1.elapsed() > STALLED_AFTER {
            return Err(StageError::Stalled(STALLED_AFTER.as_secs()));
        }
    }
}

struct Observed<'a> {
    stage: &'a Stage,
    params: &'a SharedParams,
    progress: Arc<Progress>,
    observer: Observer,
    curtain: Height,
    /// As last seen: Redis may be away for a while.
    mined: u64,
}

impl Observed<'_> {
    /// The scene at the last block whose results could be read.
    async fn look(&mut self) -> Scene {
        if let Err(error) = self.observer.read_to(self.stage.feed().height()).await {
            tracing::debug!(%error, "block results are not there yet");
        }
        match self.stage.mined().await {
            Ok(mined) => self.mined = mined,
            Err(error) => tracing::debug!(%error, "relays in Redis cannot be counted"),
        }
        // Relays of the sending's last moment belong to a session after the planned ones if the chain was fast.
        let by_session = self.progress.by_session();
        if let Some((end, _)) = by_session.last_key_value() {
            self.curtain = self.curtain.max(Windows::of(self.params, *end).settlement());
        }
        let height = self.observer.height();
        let ledger = self.observer.ledger();
        let mut tally = Tally::of(ledger.claims());
        tally.failed_transactions = ledger.failed().len() as u64;
        tally.answered = self.progress.answered();
        tally.refused = self.progress.unanswered();
        tally.mined = self.mined;
        Scene {
            height,
            session: SessionBounds::containing(self.params, height),
            sessions: by_session.len() as u64,
            curtain: self.curtain,
            tally,
            by_type: by_type::tallies(self.stage.world(), &self.progress.by_mode(), ledger),
        }
    }
}
