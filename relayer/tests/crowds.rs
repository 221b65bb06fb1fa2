//! Many at once: idle sockets and their memory, and streams.
//!
//! Sockets are held by a relayer in a process of its own, so that its memory and its files are its alone.

mod common;

use std::time::Duration;

use common::process::RelayerProcess;
use common::raw::RawGateway;
use common::sockets::{self, Socket, SocketBackend, answer, frame};
use common::streaming::{SSE, StreamBackend, StreamReply};
use common::{World, WorldConfig};
use futures::stream::{self, StreamExt as _};
use futures::{SinkExt as _, TryStreamExt as _};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::Mutex;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

/// Each of the tests here may need nearly all files of the process.
static ALONE: Mutex<()> = Mutex::const_new(());
/// Files of a process beside the sockets that are counted.
const OTHER_FILES: u64 = 300;
/// Opened at the same time.
const AT_ONCE: usize = 64;

#[test]
#[ignore = "is the other process of the tests here"]
fn relayer_process() {
    allowed_files();
    common::process::run();
}

/// Raises this process's limit on open files as far as it may go; gives it.
fn allowed_files() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    limit.maximum.unwrap_or(1 << 20)
}

/// So many sockets that each take `files` of a process, or as many as are allowed here.
fn sockets(wanted: usize, files: u64) -> usize {
    let possible = usize::try_from((allowed_files() - OTHER_FILES) / files).unwrap();
    if possible < wanted {
        println!("no more than {possible} sockets are allowed here");
    }
    wanted.min(possible)
}

/// Prints what each socket costs, and gives it in bytes.
fn report(kind: &str, count: usize, before: usize, relayer: &RelayerProcess) -> usize {
    let each = relayer.resident().saturating_sub(before) / count;
    println!(
        "{count} idle {kind}: {each} bytes each, {} MiB in all",
        relayer.resident() >> 20
    );
    each
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_connections_cost_little_and_disturb_nobody() {
    let _alone = ALONE.lock().await;
    let mut world = World::new().await;
    let relayer = RelayerProcess::start(&world).await;
    let relay = world.relay().await;
    relay.send(&relayer.url()).await.answer("supplier1");
    let before = relayer.resident();
    let count = sockets(10_000, 1);
    let mut idle = Vec::with_capacity(count);
    for _ in 0..count {
        let mut gateway = RawGateway::connect(relayer.address()).await;
        gateway.say("POST / HTTP/1.1\r\nHost: x\r\n").await;
        idle.push(gateway);
    }
    // Accepted in turn: all before this one are there.
    relay.send(&relayer.url()).await.answer("supplier1");
    let each = report("connections, each with half a head", count, before, &relayer);
    assert!(each < 48 << 10, "{each}");
    drop(idle);
    relay.send(&relayer.url()).await.answer("supplier1");
    relayer.end().await;
    assert_eq!(world.published("supplier1").await.len(), 3);
    world.end().await;
}

/// Opens so many sockets, and lets each serve one relay.
async fn open_sockets(world: &World, relayer: &RelayerProcess, count: usize) -> Vec<Socket> {
    let request = frame(&world.relay().await, "hello");
    let opening = stream::iter(0..count).map(|_| {
        let request = request.clone();
        async move {
            let handshake = sockets::handshake_at(relayer.address(), "svc-http");
            let (mut socket, _) = connect_async(handshake).await?;
            socket.send(Message::Binary(request)).await?;
            assert_eq!(answer(&mut socket).await.0, "hello");
            Ok::<_, tokio_tungstenite::tungstenite::Error>(socket)
        }
    });
    opening.buffer_unordered(AT_ONCE).try_collect().await.unwrap()
}

async fn idle_sockets(wanted: usize) {
    let _alone = ALONE.lock().await;
    let backend = SocketBackend::start().await;
    let mut world = World::with(WorldConfig {
        web_socket: Some(backend.url.clone()),
        // Nobody answers pings here while others are still being opened.
        top_level: "websocket: {idle_timeout_seconds: 3600}".to_owned(),
        ..WorldConfig::default()
    })
    .await;
    let relayer = RelayerProcess::start(&world).await;
    drop(open_sockets(&world, &relayer, 1).await);
    let before = relayer.resident();
    // A gateway's leg and a backend's, here as there.
    let count = sockets(wanted, 2);
    let open = open_sockets(&world, &relayer, count).await;
    let each = report("WebSockets, both legs", count, before, &relayer);
    assert!(each < 48 << 10, "{each}");
    let relay = world.relay().await;
    relay.send(&relayer.url()).await.answer("supplier1");
    drop(open);
    drop(open_sockets(&world, &relayer, 1).await);
    relayer.end().await;
    assert_eq!(world.published("supplier1").await.len(), count + 3);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_websockets_cost_little_and_disturb_nobody() {
    idle_sockets(1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and all files that a process may have: make load"]
async fn ten_thousand_idle_websockets_cost_little_and_disturb_nobody() {
    idle_sockets(10_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_at_once_are_each_signed_and_mined() {
    const STREAMS: usize = 1000;
    let _alone = ALONE.lock().await;
    let count = sockets(STREAMS, 4);
    let backend = StreamBackend::start().await;
    let mut world = World::with(WorldConfig {
        backend: Some(backend.url()),
        top_level:
            "http_transport: {max_conns_per_host: 2000}\ntimeout_profiles: {fast: {request_timeout_seconds: 300}}"
                .to_owned(),
        ..WorldConfig::default()
    })
    .await;
    let relay = world.relay().await;
    let url = world.url();
    let mut streams = Vec::with_capacity(count);
    for number in 0..count {
        // Every other one over HTTP/2.
        let opened = tokio::join!(
            StreamReply::open(&url, &relay, number % 2 == 0),
            backend.answer("200 OK", SSE)
        );
        streams.push(opened);
    }
    // All are open now, and each gets what is its own.
    for (number, (_, talk)) in streams.iter_mut().enumerate() {
        talk.say(format!("data: {number}\n\n").as_bytes()).await;
    }
    for (number, (reply, _)) in streams.iter_mut().enumerate() {
        let batch = tokio::time::timeout(Duration::from_mins(1), reply.batch())
            .await
            .unwrap();
        assert_eq!(batch.unwrap().unwrap().body_bz, format!("data: {number}\n\n"));
    }
    for (mut reply, talk) in streams {
        talk.end().await;
        assert!(reply.batch().await.unwrap().is_none());
    }
    assert_eq!(world.published("supplier1").await.len(), count);
    world.end().await;
}
