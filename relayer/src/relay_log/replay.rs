//! From the log to the queue, when there is room.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pocket_proto::pocket::ha::MinedRelayMessage;
use pocket_protocol::{Height, SupplierAddress};
use pocket_store::{PublishGuard as _, RelayPublisher};
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use super::segments::{self, Place};
use super::{RelayLog, Travelling, Waiting};
use crate::drain::Drain;
use crate::pipeline::Pipeline;
use crate::trusted::Verdict;

/// Relays read at once: what they take in memory is bounded by this.
const BATCH: usize = 64;
/// After a failure to read.
const PAUSE: Duration = Duration::from_secs(1);
/// What an earlier process left waits so long for the chain to say which sessions can be claimed still.
const HEIGHT_PATIENCE: Duration = Duration::from_secs(30);

/// A relay on its way from the log to the queue.
struct Read {
    relay: Travelling,
    place: Place,
    is_verified: bool,
    message: io::Result<Bytes>,
}

/// Where relays of the log go, and who says whether they may.
pub(crate) struct Replay {
    pub publisher: RelayPublisher<Travelling>,
    pub drain: Arc<Drain>,
    pub pipeline: Arc<Pipeline>,
}

impl RelayLog {
    /// Moves relays to the queue as it gets room, until `cancel`. What stays behind then is for the next start.
    pub async fn replay(self: Arc<Self>, to: Replay, cancel: CancellationToken) {
        let work = async {
            // Nothing to sort out for a log that was empty at the start.
            if !self.state.lock().waiting.is_empty() {
                let _ = tokio::time::timeout(HEIGHT_PATIENCE, to.drain.knows_height()).await;
            }
            loop {
                self.waiting.notified().await;
                while self.move_some(&to).await {}
            }
        };
        cancel.run_until_cancelled(work).await;
    }

    /// Waits until nothing waits in the log alone.
    pub async fn replayed(&self) {
        loop {
            let emptied = self.empty.notified();
            let is_empty = {
                let state = self.state.lock();
                state.waiting.is_empty() && state.in_hand == 0
            };
            if is_empty {
                return;
            }
            emptied.await;
        }
    }

    /// Moves a batch; `false` when nothing was left.
    async fn move_some(self: &Arc<Self>, to: &Replay) -> bool {
        let (logged, unlogged) = self.take_some();
        if logged.is_empty() && unlogged.is_empty() {
            self.empty.notify_one();
            return false;
        }
        for relay in unlogged {
            let slot = to.publisher.reserve().await;
            to.publisher.publish(
                slot,
                relay.supplier,
                relay.message,
                Travelling::unlogged(relay.in_flight),
            );
        }
        let read = tokio::task::spawn_blocking(move || read_all(logged));
        for relay in read.await.expect("reading does not panic") {
            self.publish(relay, to).await;
        }
        self.state.lock().in_hand = 0;
        true
    }

    fn take_some(self: &Arc<Self>) -> (Vec<Taken>, Vec<super::Unlogged>) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let count = state.waiting.len().min(BATCH);
        let (mut logged, mut unlogged) = (Vec::with_capacity(count), Vec::new());
        for waiting in state.waiting.drain(..count) {
            match waiting {
                Waiting::Logged {
                    place,
                    in_flight,
                    is_verified,
                } => logged.push(Taken {
                    relay: Travelling {
                        in_flight,
                        logged: Some((self.clone(), place)),
                    },
                    place,
                    is_verified,
                    file: state.segments.file_of(place),
                }),
                Waiting::Unlogged(relay) => unlogged.push(relay),
            }
        }
        state.in_hand = count;
        (logged, unlogged)
    }

    async fn publish(self: &Arc<Self>, read: Read, to: &Replay) {
        let Read {
            relay,
            place,
            is_verified,
            message,
        } = read;
        let message = match message {
            Ok(message) => message,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!(%error, "a relay in the relay log is lost");
                return Travelling::confirmed(vec![relay]);
            }
            Err(error) => {
                tracing::error!(%error, "the relay log cannot be read, trying again");
                return self.put_back(relay, place, is_verified).await;
            }
        };
        let Some((supplier, end)) = whose(&message) else {
            tracing::error!("an entry of the relay log is no relay");
            return Travelling::confirmed(vec![relay]);
        };
        if to.drain.is_too_late(end) {
            tracing::error!(%supplier, %end, "a relay in the relay log is too old to be claimed");
            return Travelling::confirmed(vec![relay]);
        }
        if !is_verified {
            match to.pipeline.verify_again(&message).await {
                Verdict::Good => {}
                Verdict::Unknown(reason) => {
                    tracing::warn!(reason, "a relay of an earlier process cannot be verified yet");
                    return self.put_back(relay, place, is_verified).await;
                }
                Verdict::Bad(reason) => {
                    tracing::debug!(reason, "a relay that an earlier process answered on trust is dropped");
                    return Travelling::confirmed(vec![relay]);
                }
            }
        }
        let slot = to.publisher.reserve().await;
        if to.publisher.publish(slot, supplier, message, relay) {
            self.metrics.replayed.inc();
        }
    }

    /// Leaves a relay for later.
    async fn put_back(&self, mut relay: Travelling, place: Place, is_verified: bool) {
        let in_flight = relay.in_flight.take();
        self.state.lock().waiting.push_back(Waiting::Logged {
            place,
            in_flight,
            is_verified,
        });
        tokio::time::sleep(PAUSE).await;
    }
}

fn whose(message: &Bytes) -> Option<(SupplierAddress, Height)> {
    let relay = MinedRelayMessage::decode(message.clone()).ok()?;
    Some((
        relay.supplier_operator_address.parse().ok()?,
        Height(relay.session_end_height),
    ))
}

/// A relay that is to be read.
struct Taken {
    relay: Travelling,
    place: Place,
    is_verified: bool,
    file: PathBuf,
}

fn read_all(relays: Vec<Taken>) -> Vec<Read> {
    let mut files: HashMap<PathBuf, File> = HashMap::new();
    let mut read = |path: PathBuf, place| {
        let file = match files.entry(path) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(none) => {
                let file = File::open(none.key())?;
                none.insert(file)
            }
        };
        segments::read(file, place)
    };
    let all = relays.into_iter();
    all.map(|taken| Read {
        relay: taken.relay,
        place: taken.place,
        is_verified: taken.is_verified,
        message: read(taken.file, taken.place),
    })
    .collect()
}
