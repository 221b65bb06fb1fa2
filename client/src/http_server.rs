//! A small HTTP server on one socket, for what this crate serves: HTTP/1.1 and HTTP/2 with prior knowledge.

use std::io;
use std::net::SocketAddr;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// Serves until it is dropped: connections end with it.
#[derive(Debug)]
pub(crate) struct HttpServer {
    address: SocketAddr,
    _accepting: AbortOnDropHandle<()>,
}

impl HttpServer {
    /// Listens at the address; port 0 takes a free one. What the handler refuses to answer closes its connection.
    pub async fn start<H, A, B, E>(address: SocketAddr, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
        A: Future<Output = Result<Response<B>, E>> + Send + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            _accepting: AbortOnDropHandle::new(tokio::spawn(accept(listener, handler))),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept<H, A, B, E>(listener: TcpListener, handler: H)
where
    H: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(serve(socket, handler.clone()));
                }
                // Too many open files, most likely: some close soon.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            },
        }
    }
}

async fn serve<H, A, B, E>(socket: TcpStream, handler: H)
where
    H: Fn(Request<Incoming>) -> A + Send + 'static,
    A: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let builder = auto::Builder::new(TokioExecutor::new());
    if let Err(error) = builder
        .serve_connection_with_upgrades(TokioIo::new(socket), service_fn(handler))
        .await
    {
        tracing::debug!(error, "connection ended");
    }
}
