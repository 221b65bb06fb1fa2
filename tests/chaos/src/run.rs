//! The run: a round a session, faults while it lives, its verdict when it is settled.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pocket_devnet::Localnet;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::book::Book;
use crate::chain::Chain;
use crate::deck::Deck;
use crate::fault::Fault;
use crate::fleet::{Fleet, SERVICES, SUPPLIERS};
use crate::redis_server::RedisKind;
use crate::traffic::Traffic;
use crate::verdict::{Audit, Verdict};

/// Time that miners need after an outage of Redis before they trust what relayers do not say; claims of sessions that
/// have no such time in their window are left to the window's last blocks, which here are fractions of a second.
const QUIET: Duration = Duration::from_secs(12);
/// Longest pause between two relays of one client.
const PAUSE: Duration = Duration::from_millis(150);
/// Of so many rounds one may pass without an answer, and one more.
const IDLE_OF: u64 = 20;
/// From block to block while time alone is missing.
const HURRY: Duration = Duration::from_millis(15);

/// Blocks in whose time a dead miner's lease runs out: these short sessions bear no more.
const LEASE_BLOCKS: u32 = 20;

/// What to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The built `relay-miner`.
    pub program: PathBuf,
    /// For configurations, logs and Redis' files.
    pub folder: PathBuf,
    /// What relayers and miners share.
    pub redis: RedisKind,
    /// Decides the faults and their moments.
    pub seed: u64,
    /// Sessions with faults.
    pub rounds: u64,
    /// Programs are stopped in order, and nothing else.
    pub stops_only: bool,
    /// From block to block.
    pub block_time: Duration,
    /// Blocks of a session.
    pub session_blocks: u64,
    /// Blocks in which claims are taken.
    pub claim_window: u64,
    /// Blocks in which proofs are taken.
    pub proof_window: u64,
}

impl Default for Settings {
    /// Rounds of 2.4 s, with windows that are long beside every fault.
    fn default() -> Self {
        Self {
            program: PathBuf::new(),
            folder: PathBuf::new(),
            redis: RedisKind::Single,
            seed: 0,
            rounds: 200,
            stops_only: false,
            block_time: Duration::from_millis(150),
            session_blocks: 16,
            claim_window: 240,
            proof_window: 240,
        }
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Rounds in which nothing was lost.
    pub passed: u64,
    /// All others.
    pub failed: u64,
}

/// What struck, by its blocks.
type Strikes = Arc<Mutex<Vec<(i64, i64, String)>>>;

/// Runs all rounds, and tells each with its verdict in a line.
pub async fn run(settings: &Settings, mut tell: impl FnMut(&str)) -> anyhow::Result<Outcome> {
    let localnet = Localnet {
        session_blocks: settings.session_blocks,
        grace_blocks: 2,
        claim_open_offset: 2,
        claim_window: settings.claim_window,
        proof_window: settings.proof_window,
        applications: SERVICES.len(),
        suppliers: SUPPLIERS,
        ..Localnet::default()
    };
    let chain = Arc::new(Chain::start(&localnet, settings.block_time).await?);
    let lease = settings.block_time * LEASE_BLOCKS;
    let fleet = Arc::new(
        Fleet::start(
            &settings.program,
            settings.redis,
            &chain.node()?,
            lease,
            &settings.folder,
        )
        .await?,
    );
    let book = Arc::<Book>::default();
    let mut rng = StdRng::seed_from_u64(settings.seed);
    let mut rounds = Rounds {
        first: chain.height() / settings.session_blocks as i64 + 1,
        settings,
        deck: Deck::new(settings.seed, settings.redis, settings.stops_only),
        chain: chain.clone(),
        fleet: fleet.clone(),
        book: book.clone(),
        strikes: Strikes::default(),
        loud_until: None,
        judged: 0,
        total: settings.rounds,
        idle: BTreeSet::new(),
        outcome: Outcome::default(),
    };
    chain.until(rounds.start(0)).await;
    let traffic = Traffic::start(&chain.node()?, &fleet.addresses(), &book, PAUSE, &mut rng)?;
    let mut striking = JoinSet::new();
    let mut round = 0;
    while round < rounds.total {
        rounds.deal(&mut striking);
        rounds.judge_settled(&mut tell);
        while let Some(struck) = striking.try_join_next() {
            struck??;
        }
        chain.until(rounds.start(round + 1)).await;
        rounds.play_again_if_idle(round);
        round += 1;
    }
    traffic.stop().await;
    while let Some(struck) = striking.join_next().await {
        struck??;
    }
    rounds.wait_for_settlement(&mut tell).await;
    if rounds.is_too_idle() {
        rounds.outcome.failed += 1;
        tell(&format!("no relay was answered in {} rounds", rounds.idle.len()));
    }
    for casualty in fleet.casualties().await? {
        rounds.outcome.failed += 1;
        tell(&casualty);
    }
    let outcome = rounds.outcome;
    drop(rounds);
    if let Some(fleet) = Arc::into_inner(fleet) {
        fleet.stop().await?;
    }
    if let Some(chain) = Arc::into_inner(chain) {
        chain.shutdown().await;
    }
    Ok(outcome)
}

struct Rounds<'a> {
    settings: &'a Settings,
    deck: Deck,
    chain: Arc<Chain>,
    fleet: Arc<Fleet>,
    book: Arc<Book>,
    strikes: Strikes,
    /// When Redis may be troubled again.
    loud_until: Option<Instant>,
    /// Number of the first round's session, from 0.
    first: i64,
    judged: u64,
    /// Rounds to be played, with those that come again.
    total: u64,
    /// Rounds in which nothing was answered.
    idle: BTreeSet<u64>,
    outcome: Outcome,
}

impl Rounds<'_> {
    /// First block of a round.
    fn start(&self, round: u64) -> i64 {
        (self.first + round as i64) * self.settings.session_blocks as i64 + 1
    }

    /// Last block of a round.
    fn end(&self, round: u64) -> i64 {
        self.start(round + 1) - 1
    }

    /// Adds a round for one in which nothing was answered: right while Redis and the chain are both away, but it shows
    /// nothing. Not if it is usual.
    fn play_again_if_idle(&mut self, round: u64) {
        if !self.is_too_idle() && !self.book.has_answers(self.end(round)) {
            self.idle.insert(round);
            self.total += 1;
        }
    }

    fn is_too_idle(&self) -> bool {
        self.idle.len() as u64 > 1 + self.settings.rounds / IDLE_OF
    }

    /// Lets the faults of a round loose.
    fn deal(&mut self, striking: &mut JoinSet<anyhow::Result<()>>) {
        let length = self.settings.block_time * self.settings.session_blocks as u32;
        for (part, fault) in self.deck.deal() {
            let delay = length.mul_f64(part);
            if fault.silences_redis() {
                if self.loud_until.is_some_and(|until| Instant::now() < until) {
                    continue;
                }
                self.loud_until = Some(Instant::now() + delay + QUIET);
            }
            let (fleet, chain, strikes) = (self.fleet.clone(), self.chain.clone(), self.strikes.clone());
            let runtime = Handle::current();
            // The futures of Redis' servers do not move between threads.
            striking.spawn_blocking(move || runtime.block_on(strike(fault, delay, &fleet, &chain, &strikes)));
        }
    }

    /// Judges the rounds whose sessions are settled.
    fn judge_settled(&mut self, tell: &mut impl FnMut(&str)) {
        while self.judged < self.total {
            let end = self.end(self.judged);
            if self.chain.height() <= self.chain.windows(end).settlement().0 {
                return;
            }
            self.judge(end, tell);
            self.judged += 1;
        }
    }

    fn judge(&mut self, end: i64, tell: &mut impl FnMut(&str)) {
        let Audit { sum, refused, faults } = Audit::of_end(&self.book, end, |part| self.chain.fate(part));
        let start = end - self.settings.session_blocks as i64 + 1;
        // A failure may come from whatever struck until the settlement.
        let last = if faults.is_empty() {
            end
        } else {
            self.chain.windows(end).settlement().0
        };
        let struck: Vec<String> = self
            .strikes
            .lock()
            .iter()
            .filter(|(from, to, _)| *to >= start && *from <= last)
            .map(|(from, to, what)| format!("{from}-{to} {what}"))
            .collect();
        let verdict = if faults.is_empty() && self.idle.contains(&self.judged) {
            "idle: it is played again".to_owned()
        } else if faults.is_empty() {
            self.outcome.passed += 1;
            "passed".to_owned()
        } else {
            self.outcome.failed += 1;
            format!("FAILED: {}", faults.join("; "))
        };
        let Verdict {
            answered,
            unanswered,
            claims,
            repeated,
            ..
        } = sum;
        tell(&format!(
            "round {:>3}  blocks {start}-{end}  {answered} relays in {claims} claims \
             (+{unanswered} without an answer, {refused} refused, {repeated} claims repeated)  {verdict}  | {}",
            self.judged + 1,
            struck.join("; ")
        ));
    }

    /// Waits for the last verdicts, with quick blocks while time alone is missing.
    async fn wait_for_settlement(&mut self, tell: &mut impl FnMut(&str)) {
        while self.judged < self.total {
            let from = self.end(self.judged);
            let idle = self
                .book
                .claimable_from(from)
                .iter()
                .all(|part| self.chain.only_waits(part));
            if idle {
                self.chain.hurry(HURRY);
            } else {
                self.chain.go_on();
            }
            sleep(HURRY).await;
            self.judge_settled(tell);
        }
    }
}

async fn strike(fault: Fault, delay: Duration, fleet: &Fleet, chain: &Chain, strikes: &Strikes) -> anyhow::Result<()> {
    sleep(delay).await;
    let from = chain.height();
    let place = {
        let mut strikes = strikes.lock();
        strikes.push((from, i64::MAX, fault.to_string()));
        strikes.len() - 1
    };
    let struck = fault.strike(fleet, chain).await?;
    let mut strikes = strikes.lock();
    strikes[place].1 = chain.height();
    if !struck {
        strikes[place].2 += " (not done: it is broken already)";
    }
    Ok(())
}
