//! What a miner tells of itself, for `/status`: what its workers leave on a board once a second, what it counts anyway,
//! and a look at Redis. No relay does anything for it.

mod answer;
mod board;
mod counts;
mod risk;
mod worth;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use pocket_config::BalanceMonitorConfig;
use pocket_keys::LiveKeys;
use pocket_protocol::SupplierAddress;
use pocket_query::BlockFeed;
use pocket_status::{History, MinerStatus, Redis, Window};
use pocket_store::{Relayers, StreamProgress};
use time::OffsetDateTime;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::{Deps, Metrics, Settings};
pub(crate) use board::Board;
use counts::TakenIn;
use worth::Worth;

/// Between two samples.
const EVERY: Duration = Duration::from_secs(1);
/// Samples between two looks at streams and relayers.
const LOOK_AFTER: u32 = 5;
/// Suppliers whose streams are asked for at a time.
const AT_ONCE: usize = 16;
/// Rates are told over these.
const SHORT: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_mins(1);
/// Samples of the longer window.
const LONG_EVERY: Duration = Duration::from_secs(10);
/// How long an answer may take before the sample goes without it.
const PATIENCE: Duration = Duration::from_secs(1);
/// A Redis that is away for so long is no passing trouble.
const REDIS_SILENCE: Duration = Duration::from_secs(5);
/// A node that says nothing for so long leaves the miner with a height of the past.
const NODE_SILENCE: Duration = Duration::from_mins(2);

/// A running miner, looked at from outside.
#[derive(Clone)]
pub struct StatusHandle(Arc<Observer>);

impl std::fmt::Debug for StatusHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusHandle").finish_non_exhaustive()
    }
}

impl StatusHandle {
    /// What it tells now.
    pub fn status(&self) -> MinerStatus {
        self.0.status()
    }

    /// Why it cannot do its work, in words; empty while it can.
    pub fn not_ready(&self) -> Vec<String> {
        self.0.not_ready()
    }
}

/// Where the answers come from.
pub(crate) struct Observer {
    board: Board,
    instance: String,
    accounts: BalanceMonitorConfig,
    feed: BlockFeed,
    keys: LiveKeys,
    metrics: Metrics,
    stopping: CancellationToken,
    started_at: OffsetDateTime,
    seen: Mutex<Seen>,
}

/// What was seen in the last minute.
struct Seen {
    short: Window<Arc<TakenIn>>,
    long: Window<Arc<TakenIn>>,
    history: History,
    redis: Redis,
    redis_answered_at: Option<Instant>,
    streams: BTreeMap<SupplierAddress, StreamProgress>,
    relayers: Relayers,
    worth: Worth,
}

impl Observer {
    pub fn new(settings: &Settings, deps: &Deps, board: Board, stopping: CancellationToken) -> Arc<Self> {
        let mut seen = Seen {
            short: Window::new(SHORT, EVERY),
            long: Window::new(LONG, LONG_EVERY),
            history: History::default(),
            redis: Redis::default(),
            redis_answered_at: None,
            streams: BTreeMap::new(),
            relayers: Relayers::default(),
            worth: Worth::default(),
        };
        // Before it all counters stood at nothing.
        seen.take(Instant::now(), Arc::default());
        Arc::new(Self {
            board,
            instance: settings.instance.clone(),
            accounts: settings.watch.accounts.clone(),
            feed: deps.feed.clone(),
            keys: deps.keys.clone(),
            metrics: deps.metrics.clone(),
            stopping,
            started_at: OffsetDateTime::now_utc(),
            seen: Mutex::new(seen),
        })
    }

    pub fn handle(self: &Arc<Self>) -> StatusHandle {
        StatusHandle(self.clone())
    }

    /// Samples until `cancel`.
    pub async fn run(&self, deps: &Deps, cancel: CancellationToken) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut samples = 0_u32;
        let sampling = async {
            loop {
                tick.tick().await;
                self.ask_redis(deps).await;
                let taken_in = Arc::new(TakenIn::of(&self.metrics));
                self.seen().take(Instant::now(), taken_in);
                if samples.is_multiple_of(LOOK_AFTER) {
                    self.look_at_redis(deps).await;
                }
                self.learn_worth(deps).await;
                samples = samples.wrapping_add(1);
            }
        };
        cancel.run_until_cancelled(sampling).await;
    }

    async fn ask_redis(&self, deps: &Deps) {
        let asked = Instant::now();
        let error = match tokio::time::timeout(PATIENCE, deps.store.ping()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer within a second".to_owned()),
        };
        let mut seen = self.seen();
        if error.is_none() {
            seen.redis_answered_at = Some(Instant::now());
        }
        seen.redis = Redis {
            reachable: error.is_none(),
            round_trip_ms: error.is_none().then(|| asked.elapsed().as_secs_f64() * 1000.0),
            error,
        };
    }

    /// What cannot be read stays as it was.
    async fn look_at_redis(&self, deps: &Deps) {
        if !self.seen().redis.reachable {
            return;
        }
        let looking = async {
            if let Ok(relayers) = deps.store.relayers().await {
                self.seen().relayers = relayers;
            }
            let owned: Vec<SupplierAddress> = self.board.read().suppliers.into_keys().collect();
            let asked = owned.into_iter().map(|supplier| async move {
                let progress = deps.store.stream_progress(&supplier).await;
                progress.ok().map(|progress| (supplier, progress))
            });
            let streams = futures::stream::iter(asked).buffer_unordered(AT_ONCE);
            let streams: Vec<_> = streams.collect().await;
            self.seen().streams = streams.into_iter().flatten().collect();
        };
        let _ = tokio::time::timeout(PATIENCE, looking).await;
    }

    /// Asks the chain what sessions' units are worth, as far as it answers in time.
    async fn learn_worth(&self, deps: &Deps) {
        let told = self.board.read();
        let sessions = told.suppliers.values().flat_map(|view| view.sessions.iter());
        let records = sessions
            .map(|session| &session.record)
            .chain(told.ends.iter().map(|end| &end.record));
        let unknown = self.seen().worth.unknown(records);
        let asking = async {
            for (service, start) in unknown {
                match worth::ask(&deps.chain, &service, start).await {
                    Ok(price) => self.seen().worth.learn(service, start, price),
                    Err(error) => return tracing::debug!(%error, "what sessions are worth is not known yet"),
                }
            }
        };
        let _ = tokio::time::timeout(PATIENCE, asking).await;
    }

    fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.stopping.is_cancelled() {
            reasons.push("shutting down".to_owned());
        }
        if self.keys.is_empty() {
            reasons.push("no operator key is loaded".to_owned());
        }
        let silent = self.feed.silent_for();
        if self.feed.height().0 == 0 {
            reasons.push("no block of the chain was seen yet".to_owned());
        } else if silent > NODE_SILENCE {
            reasons.push(format!("the node has not answered for {} seconds", silent.as_secs()));
        }
        let seen = self.seen();
        if seen.redis_answered_at.is_none_or(|at| at.elapsed() > REDIS_SILENCE) {
            let error = seen.redis.error.as_deref().unwrap_or("it was not asked yet");
            reasons.push(format!("Redis does not answer: {error}"));
        }
        reasons
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn take(&mut self, now: Instant, taken_in: Arc<TakenIn>) {
        self.history.note(now, taken_in.all());
        self.short.push(now, taken_in.clone());
        self.long.push(now, taken_in);
    }
}
