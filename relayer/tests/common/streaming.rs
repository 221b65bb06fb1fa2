//! Both ends of a stream: a backend that says what the test says, when it says it, and a client that reads batches.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use pocket_proto::sdk::types::PokthttpResponse;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::client::{Relay, verified};

pub const DELIMITER: &[u8] = b"||POKT_STREAM||";
pub const SSE: &str = "Content-Type: text/event-stream";

pub struct StreamBackend(TcpListener);

impl StreamBackend {
    pub async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// Takes the next request and answers with this status and these header lines; the body is still to come.
    pub async fn answer(&self, status: &str, headers: &str) -> Talk {
        let (mut socket, _) = self.0.accept().await.unwrap();
        let mut asked = Vec::new();
        while !is_whole(&asked) {
            assert_ne!(socket.read_buf(&mut asked).await.unwrap(), 0, "request broke off");
        }
        let head = format!("HTTP/1.1 {status}\r\n{headers}\r\nTransfer-Encoding: chunked\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        Talk(socket)
    }
}

/// Whether a request is there with the body that it announces.
fn is_whole(asked: &[u8]) -> bool {
    let text = String::from_utf8_lossy(asked).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= announced.map_or(0, |length| length.parse().unwrap())
}

/// A backend's answer on its way. Dropping it breaks it off.
pub struct Talk(TcpStream);

impl Talk {
    pub async fn say(&mut self, data: &[u8]) {
        self.try_say(data).await.unwrap();
    }

    pub async fn try_say(&mut self, data: &[u8]) -> std::io::Result<()> {
        let chunk = [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
        self.0.write_all(&chunk).await
    }

    pub async fn end(mut self) {
        self.0.write_all(b"0\r\n\r\n").await.unwrap();
    }

    /// Waits until the relayer has closed the connection.
    pub async fn wait_until_closed(mut self) {
        let mut sink = [0; 64];
        while self.0.read(&mut sink).await.is_ok_and(|length| length > 0) {}
    }
}

/// A streamed answer as the client reads it.
pub struct StreamReply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    buffer: BytesMut,
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
}

impl StreamReply {
    /// Sends a relay and waits for the head of its answer.
    pub async fn open(url: &str, relay: &Relay, http2: bool) -> Self {
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
        let mut request = Request::post(url);
        for (name, value) in &relay.outer {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(relay.bytes())).unwrap();
        let (head, body) = client.request(request).await.unwrap().into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            body,
            buffer: BytesMut::new(),
            client,
        }
    }

    /// The next batch of `supplier1`, verified; `None` after the end of a complete stream.
    pub async fn batch(&mut self) -> Result<Option<PokthttpResponse>, hyper::Error> {
        loop {
            let end = self
                .buffer
                .windows(DELIMITER.len())
                .position(|window| window == DELIMITER);
            if let Some(end) = end {
                let wire = self.buffer.split_to(end + DELIMITER.len());
                return Ok(Some(verified(&wire[..end], "supplier1")));
            }
            let Some(frame) = self.body.frame().await else {
                assert!(self.buffer.is_empty(), "bytes after the last delimiter");
                return Ok(None);
            };
            if let Ok(data) = frame?.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }

    /// All batches until the end.
    pub async fn rest(&mut self) -> Result<Vec<PokthttpResponse>, hyper::Error> {
        let mut batches = Vec::new();
        while let Some(batch) = self.batch().await? {
            batches.push(batch);
        }
        Ok(batches)
    }

    /// The bytes of all batches until the end.
    pub async fn rest_of_bytes(&mut self) -> Result<Bytes, hyper::Error> {
        let batches = self.rest().await?;
        let bodies: Vec<Bytes> = batches.into_iter().map(|batch| batch.body_bz).collect();
        Ok(bodies.concat().into())
    }
}
