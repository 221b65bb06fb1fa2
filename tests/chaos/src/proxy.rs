//! A bad connection: a port that leads to another one, with cuts, silences and delays.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How the connection is at the moment.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    /// Connections break, and new ones break as soon as they are made.
    is_shut: bool,
    /// Nothing passes, and nobody is told.
    is_frozen: bool,
    /// What each piece of data waits before it passes, either way.
    delay: Duration,
    /// Grows when all connections are to break.
    cuts: u64,
}

/// Forwards connections on the loopback interface until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    // Dropped with the proxy, and its connections with it.
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// Leads to `target`.
    pub async fn to(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let weather = watch::Sender::default();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, target, weather.subscribe()));
        Ok(Self {
            address,
            weather,
            _accepting: accepting,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks all connections; new ones work.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Breaks all connections, and new ones until it is opened again.
    pub fn shut(&self, is_shut: bool) {
        self.weather.send_modify(|weather| weather.is_shut = is_shut);
    }

    /// Holds everything that is on its way.
    pub fn freeze(&self, is_frozen: bool) {
        self.weather.send_modify(|weather| weather.is_frozen = is_frozen);
    }

    /// Delays every piece of data.
    pub fn delay(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, weather: watch::Receiver<Weather>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if !weather.borrow().is_shut {
            connections.spawn(forward(client, target, weather.clone()));
        }
    }
}

async fn forward(client: TcpStream, target: SocketAddr, mut weather: watch::Receiver<Weather>) {
    let cuts = weather.borrow().cuts;
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    // Delays are ours to make, not the system's.
    if client.set_nodelay(true).and(server.set_nodelay(true)).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pump(from_client, to_server, weather.clone());
    let down = pump(from_server, to_client, weather.clone());
    tokio::select! {
        // However it ends, both sides are closed.
        _ = futures::future::try_join(up, down) => {}
        _ = weather.wait_for(|weather| weather.is_shut || weather.cuts != cuts) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        let delay = match weather.wait_for(|weather| !weather.is_frozen).await {
            Ok(weather) => weather.delay,
            Err(_) => return Ok(()),
        };
        if !delay.is_zero() {
            sleep(delay).await;
        }
        to.write_all(&buffer[..length]).await?;
    }
}
