//! Relays on disk until Redis has them: each is written here before its answer goes out, so that neither a relayer that
//! is killed nor a Redis that is away loses it.
//!
//! What does not fit into the queue to Redis waits here alone, and is read again when there is room. What a relayer
//! left when it died goes to Redis when one starts again with the same folder. A relay may get there twice; it counts
//! once in its tree.

mod frame;
mod metrics;
mod replay;
mod segments;

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use pocket_config::RelayLogConfig;
use pocket_proto::pocket::ha::MinedRelayMessage;
use pocket_protocol::{Height, SupplierAddress};
use pocket_store::PublishGuard;
use prost::Message as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(crate) use self::metrics::LogMetrics;
pub(crate) use self::replay::Replay;
use self::segments::{Place, Segments};
use crate::drain::{Drain, InFlight};

/// How often what was written is brought to the disk itself, against a power cut.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Tells this relayer from others, at every start with the same folder.
const NAME_FILE: &str = "instance";
const LOCK_FILE: &str = "lock";

/// The log of one relayer.
pub(crate) struct RelayLog {
    // Locked for one append, a copy into the system's memory; the order of entries is the order of appends.
    state: Mutex<State>,
    max_bytes: u64,
    max_outage: Duration,
    name: String,
    /// Something waits in the log alone.
    waiting: Notify,
    /// Nothing waits in the log alone any more.
    empty: Notify,
    metrics: LogMetrics,
    // No other process may write to the folder.
    _lock: File,
}

struct State {
    segments: Segments,
    /// Not in the queue to Redis, oldest first.
    waiting: VecDeque<Waiting>,
    /// Taken out of `waiting`, not yet in the queue.
    in_hand: usize,
    /// When Redis last confirmed something, or when the first of what it has not was written.
    quiet_since: Option<Instant>,
    /// The disk refuses to be written to.
    is_broken: bool,
}

/// A relay that is not in the queue to Redis.
enum Waiting {
    Logged {
        place: Place,
        in_flight: Option<InFlight>,
        /// Not so one that an earlier process answered on trust.
        is_verified: bool,
    },
    /// One that the disk did not take.
    Unlogged(Unlogged),
}

pub(crate) struct Unlogged {
    pub supplier: SupplierAddress,
    pub message: Bytes,
    pub in_flight: InFlight,
}

impl RelayLog {
    /// Opens the log and takes up what an earlier process left: their sessions stay open in `drain`. `name` is for a
    /// relayer that never was here before. Blocks while it reads all of it.
    pub fn open(config: &RelayLogConfig, name: &str, drain: &Arc<Drain>, metrics: LogMetrics) -> io::Result<Self> {
        metrics.most_bytes.set(config.max_bytes as i64);
        let folder = &config.dir;
        fs::create_dir_all(folder)?;
        let lock = File::create(folder.join(LOCK_FILE))?;
        lock.try_lock()
            .map_err(|_| io::Error::new(io::ErrorKind::ResourceBusy, "another relayer uses this folder"))?;
        let name = name_in(folder, name)?;
        let mut waiting = VecDeque::new();
        let (segments, damaged) = Segments::open(folder, |left| {
            let end = MinedRelayMessage::decode(left.message.clone()).map(|relay| Height(relay.session_end_height));
            waiting.push_back(Waiting::Logged {
                place: left.place,
                in_flight: end.ok().and_then(|end| drain.enter(end)),
                is_verified: left.is_verified,
            });
        })?;
        if damaged > 0 {
            tracing::warn!(
                damaged,
                "bytes of the relay log are no entry: one that was never answered, or a damage"
            );
        }
        if !waiting.is_empty() {
            tracing::info!(
                relays = waiting.len(),
                "relays of an earlier process are taken up again"
            );
        }
        let state = State {
            quiet_since: (!waiting.is_empty()).then(Instant::now),
            segments,
            waiting,
            in_hand: 0,
            is_broken: false,
        };
        let this = Self {
            max_bytes: config.max_bytes,
            max_outage: config.max_outage,
            name,
            waiting: Notify::new(),
            empty: Notify::new(),
            metrics,
            state: Mutex::new(state),
            _lock: lock,
        };
        this.waiting.notify_one();
        this.measure(&this.state.lock());
        Ok(this)
    }

    /// This relayer's name, the same at every start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long miners are to wait for this relayer when it is silent.
    pub fn patience(&self) -> Duration {
        self.max_outage
    }

    /// Whether a relay that does not fit into the queue may be served: there is room, and Redis is not away for too
    /// long.
    pub fn has_room(&self) -> bool {
        let state = self.state.lock();
        !state.is_broken && state.segments.bytes() < self.max_bytes && !self.is_too_long(&state)
    }

    /// Whether Redis is away for so long that no relay may be served any more.
    pub fn is_stale(&self) -> bool {
        self.is_too_long(&self.state.lock())
    }

    fn is_too_long(&self, state: &State) -> bool {
        state.quiet_since.is_some_and(|since| since.elapsed() > self.max_outage)
    }

    /// Writes a relay down, before its answer goes out. `None` when the disk does not take it.
    fn append(&self, state: &mut State, message: &[u8], is_verified: bool) -> Option<Place> {
        match state.segments.append(message, is_verified) {
            Ok(place) => {
                state.is_broken = false;
                state.quiet_since.get_or_insert_with(Instant::now);
                self.measure(state);
                Some(place)
            }
            Err(error) => {
                if !std::mem::replace(&mut state.is_broken, true) {
                    tracing::error!(%error, "the relay log cannot be written: a kill would lose relays");
                }
                None
            }
        }
    }

    /// Logs a relay for which the queue to Redis has a place.
    pub fn log(self: &Arc<Self>, message: &[u8], in_flight: InFlight) -> Travelling {
        let place = self.append(&mut self.state.lock(), message, true);
        Travelling {
            in_flight: Some(in_flight),
            logged: place.map(|place| (self.clone(), place)),
        }
    }

    /// Logs a relay that is to be verified once it is answered. `None` when the disk does not take it.
    pub fn note(self: &Arc<Self>, message: Bytes) -> Option<Noted> {
        let place = self.append(&mut self.state.lock(), &message, false)?;
        Some(Noted {
            message,
            log: self.clone(),
            place,
        })
    }

    /// Takes a relay that is logged and for which the queue has no place.
    fn keep_noted(&self, place: Place, in_flight: InFlight) {
        let kept = Waiting::Logged {
            place,
            in_flight: Some(in_flight),
            is_verified: true,
        };
        self.state.lock().waiting.push_back(kept);
        self.waiting.notify_one();
    }

    /// Logs a relay for which the queue has none.
    pub fn keep(&self, relay: Unlogged) {
        let mut state = self.state.lock();
        let kept = match self.append(&mut state, &relay.message, true) {
            Some(place) => Waiting::Logged {
                place,
                in_flight: Some(relay.in_flight),
                is_verified: true,
            },
            None => Waiting::Unlogged(relay),
        };
        state.waiting.push_back(kept);
        drop(state);
        self.waiting.notify_one();
    }

    fn confirm(&self, places: &[Place]) {
        let mut state = self.state.lock();
        if let Err(error) = state.segments.confirm(places) {
            // The only effect: these relays go to Redis again after a restart.
            tracing::warn!(%error, "confirmed relays cannot be taken out of the relay log");
        }
        state.quiet_since = (state.segments.open_relays() > 0).then(Instant::now);
        self.measure(&state);
    }

    /// Bytes on disk, and how many there may be.
    pub fn size(&self) -> (u64, u64) {
        (self.state.lock().segments.bytes(), self.max_bytes)
    }

    /// Relays that Redis may not have.
    pub fn open_relays(&self) -> usize {
        self.state.lock().segments.open_relays()
    }

    fn measure(&self, state: &State) {
        self.metrics.bytes.set(state.segments.bytes() as i64);
        self.metrics.relays.set(state.segments.open_relays() as i64);
    }

    /// Brings what was written to the disk every second, until `cancel`.
    pub async fn sync(self: Arc<Self>, cancel: CancellationToken) {
        loop {
            let is_over = cancel
                .run_until_cancelled(tokio::time::sleep(SYNC_EVERY))
                .await
                .is_none();
            let file = self.state.lock().segments.file();
            let synced = tokio::task::spawn_blocking(move || file?.sync_data()).await;
            if let Ok(Err(error)) = synced {
                tracing::error!(%error, "the relay log cannot be synced: a power cut would lose relays");
            }
            if is_over {
                return;
            }
        }
    }
}

/// What goes with a relay in the queue to Redis.
pub(crate) struct Travelling {
    /// Its session is not sealed while this lives.
    in_flight: Option<InFlight>,
    logged: Option<(Arc<RelayLog>, Place)>,
}

/// A relay that was written down when it was answered on trust. If this process ends before it knows more, the next one
/// verifies it.
pub(crate) struct Noted {
    /// What Redis gets.
    pub message: Bytes,
    log: Arc<RelayLog>,
    place: Place,
}

impl Noted {
    /// It is verified, and goes to Redis.
    pub fn travelling(self, in_flight: InFlight) -> Travelling {
        Travelling {
            in_flight: Some(in_flight),
            logged: Some((self.log, self.place)),
        }
    }

    /// It is verified, and waits for a place in the queue.
    pub fn wait(self, in_flight: InFlight) {
        self.log.keep_noted(self.place, in_flight);
    }

    /// It is not to be mined.
    pub fn strike(self) {
        self.log.confirm(&[self.place]);
    }

    /// Nobody can tell; the next process may. Until this one's last word its session is open.
    pub fn leave(self, in_flight: InFlight) {
        drop(self.travelling(in_flight));
    }
}

impl Travelling {
    /// A relay of a relayer without a log.
    pub fn unlogged(in_flight: InFlight) -> Self {
        Self {
            in_flight: Some(in_flight),
            logged: None,
        }
    }

    /// Whether the relay outlives this process.
    pub fn is_logged(&self) -> bool {
        self.logged.is_some()
    }
}

impl Drop for Travelling {
    fn drop(&mut self) {
        // Redis does not have it and the next process will bring it: until this one's last word its session is open.
        if let (Some(in_flight), Some(_)) = (self.in_flight.take(), &self.logged) {
            std::mem::forget(in_flight);
        }
    }
}

impl PublishGuard for Travelling {
    fn confirmed(relays: Vec<Self>) {
        let logged = relays.iter().filter_map(|relay| relay.logged.as_ref());
        let places: Vec<Place> = logged.clone().map(|(_, place)| *place).collect();
        if let Some((log, _)) = logged.clone().next() {
            log.confirm(&places);
        }
        for mut relay in relays {
            drop(relay.in_flight.take());
        }
    }

    fn given_up(relays: Vec<Self>) {
        let (logged, lost): (Vec<_>, Vec<_>) = relays.into_iter().partition(|relay| relay.logged.is_some());
        if !lost.is_empty() {
            let relays = lost.len();
            tracing::error!(relays, "mined relays lost: Redis stayed away during shutdown");
        }
        if !logged.is_empty() {
            let relays = logged.len();
            tracing::warn!(
                relays,
                "mined relays stay in the relay log: Redis stayed away during shutdown"
            );
        }
    }
}

/// The name that the folder has, or from now on has.
fn name_in(folder: &Path, new: &str) -> io::Result<String> {
    let path: PathBuf = folder.join(NAME_FILE);
    match fs::read_to_string(&path) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        Ok(_) => fs::write(&path, new).map(|()| new.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::write(&path, new).map(|()| new.to_owned()),
        Err(error) => Err(error),
    }
}
