//! The soak: an hour on the real chain with load all the time, and something killed or paused every minute.

mod chain;
mod faults;
mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pocket_integration::{Localnet, LocalnetSettings};
use pocket_protocol::{Height, SessionBounds, SharedParams, Windows};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use self::chain::RealChain;
use self::faults::Hand;
pub use self::report::Report;
use crate::book::Book;
use crate::fault::Fault;
use crate::fleet::{Fleet, SUPPLIERS};
use crate::redis_server::RedisKind;
use crate::traffic::Traffic;
use crate::verdict::Audit;

const MINUTE: Duration = Duration::from_secs(60);
/// Between two looks at the chain.
const LOOK: Duration = Duration::from_secs(2);
/// A dead miner's lease runs out after this, as by default.
const LEASE: Duration = Duration::from_secs(30);
/// Longest pause between two relays of one client.
const PAUSE: Duration = Duration::from_millis(400);

/// Said of a fault that did not strike.
const NOT_DONE: &str = " (not done: it is broken already)";

/// What to run.
#[derive(Clone, Debug)]
pub struct SoakSettings {
    /// The built `relay-miner`.
    pub program: PathBuf,
    /// For configurations, logs and Redis' files.
    pub folder: PathBuf,
    /// What relayers and miners share.
    pub redis: RedisKind,
    /// Decides the faults and their moments.
    pub seed: u64,
    /// Minutes with load and faults.
    pub minutes: u64,
    /// Pause after a block.
    pub block_time: Duration,
    /// Share of claims that must be proven.
    pub proof_probability: f64,
    /// Blocks of a session.
    pub session_blocks: u64,
    /// Blocks in which claims are taken, and so many for proofs.
    pub window: u64,
}

impl Default for SoakSettings {
    /// Windows that are long beside every fault, also when Redis takes its time to load what it has logged.
    fn default() -> Self {
        Self {
            program: PathBuf::new(),
            folder: PathBuf::new(),
            redis: RedisKind::Single,
            seed: 0,
            minutes: 60,
            block_time: Duration::from_secs(1),
            proof_probability: 0.5,
            session_blocks: 20,
            window: 120,
        }
    }
}

/// Runs it, tells each minute in a line, and says what the chain made of it.
pub async fn soak(settings: &SoakSettings, mut tell: impl FnMut(&str)) -> anyhow::Result<Report> {
    let localnet = LocalnetSettings {
        block_time: settings.block_time,
        suppliers: SUPPLIERS,
        proof_probability: settings.proof_probability,
        session_blocks: settings.session_blocks,
        claim_window: settings.window,
        proof_window: settings.window,
    };
    let localnet = tokio::task::spawn_blocking(move || Localnet::start(localnet)).await??;
    let chain = RealChain::watch(localnet).await?;
    let node = chain.node();
    let fleet = Arc::new(Fleet::start(&settings.program, settings.redis, &node, LEASE, &settings.folder).await?);
    let book = Arc::<Book>::default();
    let mut rng = StdRng::seed_from_u64(settings.seed);
    let traffic = Traffic::start(&node, &fleet.addresses(), &book, PAUSE, &mut rng)?;
    let params = chain.params().await?;
    let mut soak = Soak {
        next_end: SessionBounds::containing(&params, chain.height()).end,
        report: Report::new(settings, chain.height().0),
        hand: Hand::new(settings.seed),
        params,
        chain,
        book,
    };
    let mut striking = JoinSet::new();
    for minute in 1..=settings.minutes {
        soak.minute(&mut rng, &fleet, &mut striking, &mut tell, minute).await?;
    }
    traffic.stop().await;
    while let Some(struck) = striking.join_next().await {
        soak.report.struck(&struck??);
    }
    soak.settle(&mut tell).await?;
    soak.report.faults.extend(fleet.casualties().await?);
    if let Some(fleet) = Arc::into_inner(fleet) {
        fleet.stop().await?;
    }
    let faults = soak.chain.faults().await?;
    soak.report.faults.extend(faults);
    soak.report.close(&soak.chain);
    Ok(soak.report)
}

struct Soak {
    chain: RealChain,
    params: SharedParams,
    book: Arc<Book>,
    hand: Hand,
    /// End of the first session that is not judged yet.
    next_end: Height,
    report: Report,
}

impl Soak {
    /// A minute with a fault at a random moment.
    async fn minute(
        &mut self,
        rng: &mut StdRng,
        fleet: &Arc<Fleet>,
        striking: &mut JoinSet<anyhow::Result<String>>,
        tell: &mut impl FnMut(&str),
        minute: u64,
    ) -> anyhow::Result<()> {
        let over = Instant::now() + MINUTE;
        let (fault, delay) = (self.hand.draw(), MINUTE.mul_f64(rng.random()));
        let (fleet, runtime) = (fleet.clone(), Handle::current());
        // The futures of Redis' servers do not move between threads.
        striking.spawn_blocking(move || runtime.block_on(strike(fault, delay, &fleet)));
        while Instant::now() < over {
            sleep_until(over.min(Instant::now() + LOOK)).await;
            self.judge_settled(tell).await?;
        }
        let mut struck = Vec::new();
        while let Some(done) = striking.try_join_next() {
            struck.push(done??);
        }
        self.say(minute, &struck.join("; "), tell);
        struck.iter().for_each(|what| self.report.struck(what));
        Ok(())
    }

    fn say(&self, minute: u64, what: &str, tell: &mut impl FnMut(&str)) {
        let (waiting, lost, refused) = self.book.counts();
        tell(&format!(
            "minute {minute:>3}  height {}  {}  (+{waiting} relays not settled, {lost} without an answer, \
             {refused} refused)  | {what}",
            self.chain.height(),
            self.report.so_far()
        ));
    }

    /// Judges the sessions that are settled.
    async fn judge_settled(&mut self, tell: &mut impl FnMut(&str)) -> anyhow::Result<()> {
        self.chain.look().await?;
        while Windows::of(&self.params, self.next_end).settlement() < self.chain.height() {
            let end = self.next_end;
            let audit = Audit::of_end(&self.book, end.0, |part| self.chain.fate(part));
            for fault in &audit.faults {
                tell(&format!("session of block {end} FAILED: {fault}"));
            }
            self.report.add(end.0, audit);
            self.book.forget(end.0);
            self.next_end = SessionBounds::containing(&self.params, end + 1).end;
        }
        Ok(())
    }

    /// Waits until the last proof window is over and all is settled.
    async fn settle(&mut self, tell: &mut impl FnMut(&str)) -> anyhow::Result<()> {
        self.chain.look().await?;
        let last = SessionBounds::containing(&self.params, self.chain.height()).end;
        let settled = Windows::of(&self.params, last).settlement();
        tell(&format!(
            "no more relays; the last session is settled after block {settled}"
        ));
        while self.next_end <= last {
            sleep(LOOK).await;
            self.judge_settled(tell).await?;
        }
        Ok(())
    }
}

/// Waits, strikes, and says how it went.
async fn strike(fault: Fault, delay: Duration, fleet: &Fleet) -> anyhow::Result<String> {
    sleep(delay).await;
    let is_struck = fault.strike_fleet(fleet).await?;
    let not = if is_struck { "" } else { NOT_DONE };
    Ok(format!("{fault}{not}"))
}
