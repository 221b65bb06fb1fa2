//! Connections that are opened before they are asked for, so that a burst of relays need not wait for handshakes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use hyper::rt::{Read as _, ReadBuf};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// What a backend is spoken to over.
pub(crate) type Connection = MaybeHttpsStream<TokioIo<TcpStream>>;

/// How long a connection waits at most: servers hang up on those who say nothing.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// Between two looks at those that wait, and after a failure to open one.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Open connections that nothing was said over yet.
#[derive(Debug)]
pub(crate) struct Warm {
    most: usize,
    /// Locked to take or put one, which only a new connection of the client does, never a relay that finds one idle.
    ready: Mutex<VecDeque<(Instant, Connection)>>,
    taken: Notify,
}

impl Warm {
    pub fn new(most: usize) -> Self {
        Self {
            most,
            ready: Mutex::new(VecDeque::with_capacity(most)),
            taken: Notify::new(),
        }
    }

    /// A connection that its peer has not closed.
    pub fn take(&self) -> Option<Connection> {
        let mut ready = self.ready.lock();
        self.taken.notify_one();
        loop {
            let mut waiting = ready.pop_front()?;
            if is_usable(&mut waiting) {
                return Some(waiting.1);
            }
        }
    }

    /// How many more are wanted; those that are no longer good are dropped.
    pub fn missing(&self) -> usize {
        let mut ready = self.ready.lock();
        ready.retain_mut(is_usable);
        self.most.saturating_sub(ready.len())
    }

    /// Keeps a new connection for later.
    pub fn put(&self, connection: Connection) {
        self.ready.lock().push_back((Instant::now(), connection));
    }

    /// Waits until it is time to look whether some are missing.
    pub async fn until_due(&self) {
        // Either way it is.
        let _ = tokio::time::timeout(LOOK_EVERY, self.taken.notified()).await;
    }
}

/// Reading finds what a peer that should be silent has done: hung up, or spoken, which only TLS itself may.
fn is_usable((since, connection): &mut (Instant, Connection)) -> bool {
    let mut byte = [0];
    let mut byte = ReadBuf::new(&mut byte);
    let mut context = Context::from_waker(Waker::noop());
    let read = Pin::new(connection).poll_read(&mut context, byte.unfilled());
    read.is_pending() && since.elapsed() < LONGEST_WAIT
}
