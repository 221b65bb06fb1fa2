//! Peers below HTTP: a backend that plays what it is given, and a gateway that writes bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What a backend does with a request, in order; then it closes, unless the last act says otherwise.
#[derive(Clone, Debug)]
pub enum Act {
    Say(Bytes),
    /// Says the same again and again until nobody listens.
    SayForever(Bytes),
    /// Ends the connection with a reset.
    Reset,
    /// Does nothing until the relayer closes.
    Stall,
}

pub fn say(bytes: impl Into<Vec<u8>>) -> Act {
    Act::Say(bytes.into().into())
}

/// Plays the next script for each connection; without one it answers well and closes.
pub struct RawBackend {
    address: SocketAddr,
    scripts: mpsc::UnboundedSender<Vec<Act>>,
    left: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl RawBackend {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (scripts, mut waiting) = mpsc::unbounded_channel();
        let left = Arc::new(AtomicUsize::new(0));
        let counter = left.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut plays = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let good = || {
                    vec![say(
                        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood",
                    )]
                };
                let script = waiting.try_recv().unwrap_or_else(|_| good());
                let left = counter.clone();
                plays.spawn(async move {
                    play(socket, script).await;
                    left.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        Self {
            address,
            scripts,
            left,
            _serving: serving,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the next connection is to see.
    pub fn next(&self, script: Vec<Act>) {
        self.scripts.send(script).unwrap();
    }

    /// Waits until so many connections are over.
    pub async fn wait_until_left(&self, count: usize) {
        while self.left.load(Ordering::Relaxed) < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn play(mut socket: TcpStream, script: Vec<Act>) {
    let mut asked = Vec::new();
    while !is_whole_request(&asked) {
        if !socket.read_buf(&mut asked).await.is_ok_and(|read| read > 0) {
            return;
        }
    }
    for act in script {
        match act {
            Act::Say(bytes) => drop(socket.write_all(&bytes).await),
            Act::SayForever(bytes) => while socket.write_all(&bytes).await.is_ok() {},
            Act::Reset => return reset(socket),
            Act::Stall => {
                let mut sink = [0; 64];
                while socket.read(&mut sink).await.is_ok_and(|read| read > 0) {}
            }
        }
    }
}

/// Ends a connection with a reset instead of an orderly end.
pub fn reset(socket: TcpStream) {
    // Nothing is unread or unsent: without this the end would be orderly.
    socket.set_zero_linger().unwrap();
    drop(socket);
}

/// Whether a request is there with the body that it announces.
pub fn is_whole_request(asked: &[u8]) -> bool {
    let text = String::from_utf8_lossy(asked).to_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head_length = asked.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    asked.len() - head_length >= announced.map_or(0, |length| length.parse().unwrap())
}

/// A gateway's connection.
pub struct RawGateway(pub TcpStream);

impl RawGateway {
    pub async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Writes as much as the relayer takes; it may hang up before all is written.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// What the relayer says until it closes.
    pub async fn rest(mut self) -> String {
        let mut said = Vec::new();
        // A reset after the answer is an end as well.
        let _ = self.0.read_to_end(&mut said).await;
        String::from_utf8_lossy(&said).into_owned()
    }
}
