//! WebSocket messages a second, beside a raw proxy of the same kind in the same run.
//!
//! `cargo bench -p pocket-relayer --bench relays -- websocket [MESSAGES] [SOCKETS] [PUSHES]`. First each message is answered by
//! one, then each opens a subscription that PUSHES messages answer. Counted are the answers; latency is from the
//! question to each of them. Every answer of the relayer is a relay: signed, and mined.

use std::net::SocketAddr;
use std::time::Instant;

use crate::common::{BODY, Ground, PROXY, RELAYER, histogram, listen, question};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use hdrhistogram::Histogram;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

/// Questions that are not measured: tables, connections and caches come up.
const WARM_UP: usize = 200;

pub fn run(mut numbers: impl Iterator<Item = usize>) {
    let (messages, sockets) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(8));
    let pushes = numbers.next().unwrap_or(100);
    for answers in [1, pushes] {
        let ground = Ground::new();
        let (listener, backend) = ground.backend.block_on(listen());
        ground.backend.spawn(serve_backend(listener, answers));
        let (listener, proxy) = ground.proxy.block_on(listen());
        ground.proxy.spawn(serve_proxy(listener, backend));
        let backends = format!(r#"{{jsonrpc: {{url: "http://{backend}"}}, websocket: {{url: "ws://{backend}"}}}}"#);
        let (relayer, gateway) = ground.relayer(&backends);

        let questions = messages / answers + WARM_UP;
        let signed: Vec<Bytes> = (0..questions).map(|number| gateway.sign(question(number))).collect();
        let unit = format!("messages, {answers} a question");
        for (name, target) in [(PROXY, proxy), (RELAYER, relayer)] {
            ground
                .load
                .block_on(drive(target, &signed[..WARM_UP], sockets, answers));
            ground.measure(name, &unit, drive(target, &signed[WARM_UP..], sockets, answers));
        }
        ground.end();
    }
}

/// Answers every message with `answers` others, no two alike.
async fn serve_backend(listener: TcpListener, answers: usize) {
    let mut sockets = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        sockets.spawn(async move {
            let mut socket = accepted(socket).await?;
            let mut said = 0;
            while let Some(Ok(message)) = socket.next().await {
                if message.is_binary() {
                    for _ in 0..answers {
                        said += 1;
                        socket.feed(Message::Binary(question(said))).await.ok()?;
                    }
                    socket.flush().await.ok()?;
                }
            }
            Some(())
        });
    }
}

/// Passes messages both ways, each as soon as it comes.
async fn serve_proxy(listener: TcpListener, backend: SocketAddr) {
    let mut sockets = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        sockets.spawn(async move {
            let (to_gateway, from_gateway) = accepted(socket).await?.split();
            let (to_backend, from_backend) = connect(backend).await.split();
            tokio::select! {
                passed = from_gateway.forward(to_backend) => passed.ok(),
                passed = from_backend.forward(to_gateway) => passed.ok(),
            }
        });
    }
}

async fn accepted(socket: TcpStream) -> Option<WebSocketStream<TcpStream>> {
    socket.set_nodelay(true).ok()?;
    accept_async(socket).await.ok()
}

async fn connect(target: SocketAddr) -> WebSocketStream<TcpStream> {
    let socket = TcpStream::connect(target).await.expect("it listens");
    socket.set_nodelay(true).expect("it is a TCP socket");
    let mut handshake = format!("ws://{target}/").into_client_request().expect("a URL");
    let service = "svc-http".parse().expect("a header's value");
    handshake.headers_mut().insert("target-service-id", service);
    client_async(handshake, socket).await.expect("it accepts").0
}

/// Asks all questions, each socket one after the other; gives the latencies of the answers in microseconds.
async fn drive(target: SocketAddr, questions: &[Bytes], sockets: usize, answers: usize) -> Histogram<u64> {
    let mut lanes = JoinSet::new();
    for lane in 0..sockets {
        let own: Vec<Bytes> = questions.iter().skip(lane).step_by(sockets).cloned().collect();
        lanes.spawn(async move {
            let mut latencies = histogram();
            let mut socket = connect(target).await;
            for question in own {
                let asked = Instant::now();
                socket.send(Message::Binary(question)).await.expect("it listens");
                for _ in 0..answers {
                    let answer = socket.next().await.expect("it answers").expect("it answers");
                    assert!(answer.is_binary() && answer.len() >= BODY, "{answer:?}");
                    latencies.saturating_record(asked.elapsed().as_micros() as u64);
                }
            }
            latencies
        });
    }
    crate::common::merged(lanes).await
}
