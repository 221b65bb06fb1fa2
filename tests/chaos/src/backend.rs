//! A backend that gives every call the same answer, to the byte: so what a supplier signed is known even if its answer
//! was lost on the way.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Longest time that an answer takes: relays are on their way when something breaks.
const LONGEST: Duration = Duration::from_millis(120);
const ANSWER: &[u8] = br#"{"id":1,"jsonrpc":"2.0","result":"0x2a"}"#;

/// Serves until it is dropped.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Backend {
    /// Listens on a free loopback port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener));
        Ok(Self {
            address,
            _accepting: accepting,
        })
    }

    /// `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn accept(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            // A date would make answers differ.
            let server = http1::Builder::new().auto_date_header(false).to_owned();
            let connection = server.serve_connection(TokioIo::new(socket), service_fn(answer));
            // It ends in an error when its relayer is killed.
            let _ = connection.await;
        });
    }
}

async fn answer(call: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    sleep(LONGEST.mul_f64(rand::random())).await;
    // The body is read so that the connection can be used again.
    let _ = call.into_body().collect().await;
    let mut answer = Response::new(Full::new(Bytes::from_static(ANSWER)));
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer)
}
