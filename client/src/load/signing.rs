//! Relays signed before they are needed.

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::{Payload, RelayClient, RelayError, SignedRelay};

/// Relays signed by a thread at one go.
const BATCH: usize = 16;
/// Queued relays are lost when their session ends, so there are not many.
const LONGEST_QUEUE: usize = 1024;
/// After the chain gave no session.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) type Signed = Result<SignedRelay, RelayError>;

/// Keeps a queue full until its receiver is dropped. When full, signing waits.
pub(super) fn start(
    tasks: &mut JoinSet<()>,
    client: &RelayClient,
    payload: &Payload,
    at_a_time: usize,
) -> mpsc::Receiver<Signed> {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (queue, signed) = mpsc::channel(
        (2 * BATCH * threads)
            .max(at_a_time)
            .min(LONGEST_QUEUE.max(BATCH * threads)),
    );
    for _ in 0..threads {
        tasks.spawn(keep_signed(client.clone(), payload.clone(), queue.clone()));
    }
    signed
}

async fn keep_signed(client: RelayClient, payload: Payload, queue: mpsc::Sender<Signed>) {
    while let Ok(places) = queue.reserve_many(BATCH).await {
        let mut places = places;
        match client.sessions().current().await {
            Ok(session) => {
                let payload = payload.clone();
                let sign = move || -> Vec<_> {
                    (0..BATCH)
                        .map(|_| SignedRelay::new(session.clone(), &payload))
                        .collect()
                };
                let relays = tokio::task::spawn_blocking(sign).await.expect("signing does not panic");
                for (place, relay) in places.zip(relays) {
                    place.send(Ok(relay));
                }
            }
            Err(error) => {
                if let Some(place) = places.next() {
                    place.send(Err(error));
                }
                drop(places);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
