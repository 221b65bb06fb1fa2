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
    message: io::Result<Bytes>,
}

impl RelayLog {
    /// Moves relays to the queue as it gets room, until `cancel`. What stays behind then is for the next start.
    pub async fn replay(
        self: Arc<Self>,
        publisher: RelayPublisher<Travelling>,
        drain: Arc<Drain>,
        cancel: CancellationToken,
    ) {
        let work = async {
            // Nothing to sort out for a log that was empty at the start.
            if !self.state.lock().waiting.is_empty() {
                let _ = tokio::time::timeout(HEIGHT_PATIENCE, drain.knows_height()).await;
            }
            loop {
                self.waiting.notified().await;
                while self.move_some(&publisher, &drain).await {}
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
    async fn move_some(self: &Arc<Self>, publisher: &RelayPublisher<Travelling>, drain: &Drain) -> bool {
        let (logged, unlogged) = self.take_some();
        if logged.is_empty() && unlogged.is_empty() {
            self.empty.notify_one();
            return false;
        }
        for relay in unlogged {
            let slot = publisher.reserve().await;
            publisher.publish(
                slot,
                relay.supplier,
                relay.message,
                Travelling::unlogged(relay.in_flight),
            );
        }
        let read = tokio::task::spawn_blocking(move || read_all(logged));
        for relay in read.await.expect("reading does not panic") {
            self.publish(relay, publisher, drain).await;
        }
        self.state.lock().in_hand = 0;
        true
    }

    fn take_some(self: &Arc<Self>) -> (Vec<(Travelling, Place, PathBuf)>, Vec<super::Unlogged>) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let count = state.waiting.len().min(BATCH);
        let (mut logged, mut unlogged) = (Vec::with_capacity(count), Vec::new());
        for waiting in state.waiting.drain(..count) {
            match waiting {
                Waiting::Logged { place, in_flight } => {
                    let logged_here = Some((self.clone(), place));
                    let relay = Travelling {
                        in_flight,
                        logged: logged_here,
                    };
                    logged.push((relay, place, state.segments.file_of(place)));
                }
                Waiting::Unlogged(relay) => unlogged.push(relay),
            }
        }
        state.in_hand = count;
        (logged, unlogged)
    }

    async fn publish(self: &Arc<Self>, read: Read, publisher: &RelayPublisher<Travelling>, drain: &Drain) {
        let Read {
            mut relay,
            place,
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
                let in_flight = relay.in_flight.take();
                self.state
                    .lock()
                    .waiting
                    .push_back(Waiting::Logged { place, in_flight });
                return tokio::time::sleep(PAUSE).await;
            }
        };
        let Some((supplier, end)) = whose(&message) else {
            tracing::error!("an entry of the relay log is no relay");
            return Travelling::confirmed(vec![relay]);
        };
        if drain.is_too_late(end) {
            tracing::error!(%supplier, %end, "a relay in the relay log is too old to be claimed");
            return Travelling::confirmed(vec![relay]);
        }
        let slot = publisher.reserve().await;
        if publisher.publish(slot, supplier, message, relay) {
            self.metrics.replayed.inc();
        }
    }
}

fn whose(message: &Bytes) -> Option<(SupplierAddress, Height)> {
    let relay = MinedRelayMessage::decode(message.clone()).ok()?;
    Some((
        relay.supplier_operator_address.parse().ok()?,
        Height(relay.session_end_height),
    ))
}

fn read_all(relays: Vec<(Travelling, Place, PathBuf)>) -> Vec<Read> {
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
    all.map(|(relay, place, path)| Read {
        relay,
        place,
        message: read(path, place),
    })
    .collect()
}
