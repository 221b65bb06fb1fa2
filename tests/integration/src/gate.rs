use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A port on the loopback interface that leads to another one, until it is shut: then it breaks every connection and
/// takes no new one, as a host that went away does. It ends when dropped.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    is_open: Arc<watch::Sender<bool>>,
    // Dropped with the gate, and its connections with it.
    _task: JoinSet<()>,
}

impl Gate {
    /// Opens a gate to `target`, `http://host:port`.
    pub async fn to(target: &str) -> io::Result<Self> {
        let target: SocketAddr = target.trim_start_matches("http://").parse().map_err(io::Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let is_open = Arc::new(watch::Sender::new(true));
        let mut task = JoinSet::new();
        task.spawn(accept(listener, target, is_open.subscribe()));
        Ok(Self {
            address,
            is_open,
            _task: task,
        })
    }

    /// `http://` and the gate's address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What is behind the gate is gone.
    pub fn shut(&self) {
        self.is_open.send_replace(false);
    }

    /// It is back.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, is_open: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((inner, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if *is_open.borrow() {
            connections.spawn(forward(inner, target, is_open.clone()));
        }
    }
}

async fn forward(mut inner: TcpStream, target: SocketAddr, mut is_open: watch::Receiver<bool>) {
    let Ok(mut outer) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        // However it ends, both sides are closed.
        _ = tokio::io::copy_bidirectional(&mut inner, &mut outer) => {}
        _ = is_open.wait_for(|is_open| !is_open) => {}
    }
}
