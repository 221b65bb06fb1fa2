//! A way to Redis that breaks once, at a chosen command.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Where the command is when the connections break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutAt {
    /// Redis does not get it.
    Command,
    /// Redis carries it out, but its answer is lost.
    Answer,
}

/// Forwards connections to Redis and breaks all of them at once, at the nth command that passes; new ones work.
pub struct Cutter {
    port: u16,
    is_cut: Arc<watch::Sender<bool>>,
    _accepting: JoinSet<()>,
}

#[derive(Clone)]
struct Plan {
    nth: usize,
    at: CutAt,
    passed: Arc<AtomicUsize>,
    is_cut: Arc<watch::Sender<bool>>,
}

impl Cutter {
    pub async fn to(redis_port: u16, nth: usize, at: CutAt) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let is_cut = Arc::new(watch::Sender::new(false));
        let plan = Plan {
            nth,
            at,
            passed: Arc::default(),
            is_cut: is_cut.clone(),
        };
        let port = listener.local_addr().unwrap().port();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, redis_port, plan));
        Self {
            port,
            is_cut,
            _accepting: accepting,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether so many commands came.
    pub fn is_cut(&self) -> bool {
        *self.is_cut.borrow()
    }
}

async fn accept(listener: TcpListener, redis_port: u16, plan: Plan) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let server = TcpStream::connect(("127.0.0.1", redis_port)).await.unwrap();
        connections.spawn(forward(client, server, plan.clone()));
    }
}

async fn forward(client: TcpStream, server: TcpStream, plan: Plan) {
    let mut is_cut = plan.is_cut.subscribe();
    is_cut.mark_unchanged();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let swallows = AtomicBool::new(false);
    // However it ends, all halves are closed.
    tokio::select! {
        () = commands(from_client, to_server, &plan, &swallows) => {}
        () = answers(from_server, to_client, &plan, &swallows) => {}
        _ = is_cut.changed() => {}
    }
}

async fn commands(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, plan: &Plan, swallows: &AtomicBool) {
    let mut bytes = Vec::new();
    while from.read_buf(&mut bytes).await.is_ok_and(|length| length > 0) {
        while let Some(length) = command(&bytes) {
            if plan.passed.fetch_add(1, Ordering::Relaxed) + 1 == plan.nth {
                match plan.at {
                    CutAt::Command => {
                        plan.is_cut.send_replace(true);
                        return;
                    }
                    CutAt::Answer => swallows.store(true, Ordering::Relaxed),
                }
            }
            if to.write_all(&bytes[..length]).await.is_err() {
                return;
            }
            bytes.drain(..length);
        }
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, plan: &Plan, swallows: &AtomicBool) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if swallows.load(Ordering::Relaxed) {
            plan.is_cut.send_replace(true);
            return;
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

/// Length of the first command, if all of it is there: an array of texts, each with its length in front.
fn command(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize| -> Option<(usize, usize)> {
        let line = bytes.get(at + 1..)?;
        let end = line.iter().position(|byte| *byte == b'\r')?;
        line.get(end + 1)?;
        Some((std::str::from_utf8(&line[..end]).ok()?.parse().ok()?, at + 1 + end + 2))
    };
    let (texts, mut at) = number(0)?;
    for _ in 0..texts {
        let (length, start) = number(at)?;
        at = start + length + 2;
    }
    (at <= bytes.len()).then_some(at)
}
