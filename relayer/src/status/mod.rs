//! What a relayer tells of itself, for `/status`: derived from what it counts anyway. No relay does anything for it.
//!
//! Once a second the counters are read, so that rates can be told, and Redis is asked for a sign of life. All else is
//! looked up when somebody asks.

mod answer;
mod sample;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use parking_lot::Mutex;
use pocket_status::{History, Redis, RelayerStatus, Window};
use pocket_store::Store;
use time::OffsetDateTime;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::health;
use crate::meter::Meter;
use crate::pipeline::Pipeline;
use crate::relay_log::RelayLog;
use crate::server::Server;
use sample::Sample;

/// Between two samples.
const EVERY: Duration = Duration::from_secs(1);
/// Rates are told over these.
const SHORT: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_mins(1);
/// Samples of the longer window.
const LONG_EVERY: Duration = Duration::from_secs(10);
/// How long Redis may take for a sign of life.
const REDIS_PATIENCE: Duration = Duration::from_secs(1);

/// A running relayer, looked at from outside. It keeps nothing of it alive.
#[derive(Clone)]
pub struct StatusHandle {
    observer: Weak<Observer>,
    stopping: CancellationToken,
}

impl StatusHandle {
    /// What it tells now. One that has ended tells only that.
    pub fn status(&self) -> RelayerStatus {
        let status = self.observer.upgrade().map(|observer| observer.status());
        let mut status = status.unwrap_or_default();
        status.not_ready = self.not_ready();
        status.ready = status.not_ready.is_empty();
        status
    }

    /// Why it is not to be sent relays, in words; empty while it is.
    pub fn not_ready(&self) -> Vec<String> {
        let Some(observer) = self.observer.upgrade() else {
            return vec!["the relayer has ended".to_owned()];
        };
        let mut reasons = observer.pipeline.not_ready();
        if self.stopping.is_cancelled() {
            reasons.insert(0, "shutting down".to_owned());
        }
        reasons
    }

    /// What the relay port answers to `/ready/<service>`; `None` when the relayer has ended.
    pub fn service_readiness(&self, service: &str) -> Option<Response<Full<Bytes>>> {
        let observer = self.observer.upgrade()?;
        let pipeline = &observer.pipeline;
        Some(health::readiness(
            service,
            &pipeline.reception.services(),
            pipeline.height(),
        ))
    }
}

/// Where the answers come from.
pub(crate) struct Observer {
    pipeline: Arc<Pipeline>,
    server: Arc<Server>,
    meter: Option<Arc<Meter>>,
    log: Option<Arc<RelayLog>>,
    store: Store,
    queue: usize,
    started_at: OffsetDateTime,
    // Locked by the sampler and by those who ask, not by relays.
    seen: Mutex<Seen>,
}

/// What was seen in the last minute.
struct Seen {
    short: Window<Arc<Sample>>,
    long: Window<Arc<Sample>>,
    history: History,
    redis: Redis,
}

impl Observer {
    /// Of a relayer with so many places in its queue to Redis.
    pub fn new(
        pipeline: Arc<Pipeline>,
        server: Arc<Server>,
        meter: Option<Arc<Meter>>,
        log: Option<Arc<RelayLog>>,
        store: Store,
        queue: usize,
    ) -> Arc<Self> {
        let mut seen = Seen {
            short: Window::new(SHORT, EVERY),
            long: Window::new(LONG, LONG_EVERY),
            history: History::default(),
            redis: Redis::default(),
        };
        // Before it all counters stood at nothing.
        seen.take(Instant::now(), Arc::default());
        Arc::new(Self {
            pipeline,
            server,
            meter,
            log,
            store,
            queue,
            started_at: OffsetDateTime::now_utc(),
            seen: Mutex::new(seen),
        })
    }

    /// For those who want to know, for as long as this lives.
    pub fn handle(self: &Arc<Self>, stopping: CancellationToken) -> StatusHandle {
        StatusHandle {
            observer: Arc::downgrade(self),
            stopping,
        }
    }

    /// Samples until `cancel`.
    pub async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sampling = async {
            loop {
                tick.tick().await;
                let redis = self.ask_redis().await;
                let sample = Arc::new(Sample::take(&self.pipeline));
                let mut seen = self.seen.lock();
                seen.redis = redis;
                seen.take(Instant::now(), sample);
            }
        };
        cancel.run_until_cancelled(sampling).await;
    }

    async fn ask_redis(&self) -> Redis {
        let asked = Instant::now();
        let error = match tokio::time::timeout(REDIS_PATIENCE, self.store.ping()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer within a second".to_owned()),
        };
        Redis {
            reachable: error.is_none(),
            round_trip_ms: error.is_none().then(|| asked.elapsed().as_secs_f64() * 1000.0),
            error,
        }
    }
}

impl Seen {
    fn take(&mut self, now: Instant, sample: Arc<Sample>) {
        self.history.note(now, sample.answered());
        self.short.push(now, sample.clone());
        self.long.push(now, sample);
    }
}
