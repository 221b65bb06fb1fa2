//! Open `WebSocket`s, each for one supplier of one session, used again by one relay after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Uri;
use parking_lot::Mutex;
use tokio::time::{Instant as Deadline, timeout_at};

use super::handshake::Handshake;
use super::socket::Socket;
use super::{HttpClient, ReceivedAnswer, broken, refused};
use crate::{RelayError, RelaySession, SignedRelay};

/// Relayers take a peer that is silent for 30 seconds for gone, and nobody answers their pings on a socket at rest.
const LONGEST_REST: Duration = Duration::from_secs(20);

pub(super) struct Sockets {
    client: HttpClient,
    uri: Uri,
    limit: usize,
    /// Latest last.
    resting: Mutex<Vec<Resting>>,
}

struct Resting {
    socket: Socket,
    session: Arc<RelaySession>,
    supplier: usize,
    since: Instant,
}

impl Sockets {
    pub fn new(client: HttpClient, uri: Uri, limit: usize) -> Self {
        Self {
            client,
            uri,
            limit,
            resting: Mutex::default(),
        }
    }

    /// Sends a request, on an open socket if there is one, and waits for its messages.
    pub async fn ask(&self, relay: &SignedRelay, deadline: Deadline) -> Result<ReceivedAnswer, RelayError> {
        let (session, supplier) = (relay.session(), relay.supplier_index());
        let mut socket = match self.take(session, supplier) {
            Some(socket) => socket,
            None => timeout_at(deadline, self.open(session, supplier)).await??,
        };
        let received = socket.ask(relay.bytes.clone(), relay.answers(), deadline).await?;
        if received.cut_off.is_none() {
            self.resting.lock().push(Resting {
                socket,
                session: session.clone(),
                supplier,
                since: Instant::now(),
            });
        }
        Ok(received)
    }

    /// Says goodbye on every socket at rest.
    pub async fn close(&self) {
        let resting = std::mem::take(&mut *self.resting.lock());
        for resting in resting {
            resting.socket.close().await;
        }
    }

    /// A socket that can be used. Those that cannot any more are dropped on the way.
    fn take(&self, session: &Arc<RelaySession>, supplier: usize) -> Option<Socket> {
        let mut resting = self.resting.lock();
        resting.retain(|resting| resting.since.elapsed() < LONGEST_REST && resting.session.end() >= session.end());
        loop {
            let fits = |resting: &Resting| Arc::ptr_eq(&resting.session, session) && resting.supplier == supplier;
            let position = resting.iter().rposition(fits)?;
            let mut socket = resting.swap_remove(position).socket;
            if socket.is_quiet() {
                return Some(socket);
            }
        }
    }

    async fn open(&self, session: &RelaySession, supplier: usize) -> Result<Socket, RelayError> {
        let mut handshake = Handshake::new(self.uri.clone(), session, supplier);
        let request = std::mem::take(&mut handshake.request);
        let answer = self.client.request(request).await.map_err(|error| broken(&error))?;
        if !handshake.is_accepted(&answer)? {
            return Err(refused(answer.status(), answer.into_body()).await);
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(|error| broken(&error))?;
        Ok(Socket::new(upgraded, self.limit))
    }
}
