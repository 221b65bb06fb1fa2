//! A door before a server that a test can shut.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// Forwards TCP connections while it is open.
pub struct Gate {
    address: SocketAddr,
    open: watch::Sender<bool>,
    _task: AbortOnDropHandle<()>,
}

impl Gate {
    pub async fn to(url: &str) -> Self {
        let target: SocketAddr = url.trim_start_matches("http://").parse().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, is_open) = watch::channel(true);
        Self {
            address,
            open,
            _task: AbortOnDropHandle::new(tokio::spawn(forward(listener, target, is_open))),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts all connections, and every new one as soon as it is made.
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

async fn forward(listener: TcpListener, target: SocketAddr, is_open: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        while connections.try_join_next().is_some() {}
        let mut is_open = is_open.clone();
        connections.spawn(async move {
            if !*is_open.borrow_and_update() {
                return;
            }
            let Ok(mut server) = TcpStream::connect(target).await else {
                return;
            };
            tokio::select! {
                _ = copy_bidirectional(&mut client, &mut server) => {}
                _ = is_open.changed() => {}
            }
        });
    }
}
