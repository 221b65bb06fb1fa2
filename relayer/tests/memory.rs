//! How much memory large answers take: measured at a relayer in a process of its own.

mod common;

use bytes::Bytes;
use common::process::RelayerProcess;
use common::streaming::{StreamBackend, Talk};
use common::{World, WorldConfig};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

const MIB: usize = 1 << 20;
const LARGE: usize = 100 * MIB;

#[test]
#[ignore = "is the other process of the tests here"]
fn relayer_process() {
    common::process::run();
}

struct Stage {
    world: World,
    backend: StreamBackend,
    relayer: RelayerProcess,
    relay: Bytes,
}

impl Stage {
    async fn new(top_level: &str) -> Self {
        let backend = StreamBackend::start().await;
        let world = World::with(WorldConfig {
            backend: Some(backend.url()),
            top_level: top_level.to_owned(),
            ..WorldConfig::default()
        })
        .await;
        let relayer = RelayerProcess::start(&world).await;
        let relay = world.relay().await.bytes();
        let stage = Self {
            world,
            backend,
            relayer,
            relay,
        };
        // Connections and tables come up.
        assert_eq!(
            stage
                .exchange("application/json", &Bytes::from_static(b"{}"), 1)
                .await
                .0,
            200
        );
        stage.relayer.forget_peak();
        stage
    }

    /// One relay, answered with `piece` so many times; the status and the length of what the gateway got.
    async fn exchange(&self, media_type: &str, piece: &Bytes, count: usize) -> (u16, usize) {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let request = Request::post(self.relayer.url())
            .body(Full::new(self.relay.clone()))
            .unwrap();
        let headers = format!("Content-Type: {media_type}");
        let asking = async {
            let (head, body) = client.request(request).await.unwrap().into_parts();
            (head.status.as_u16(), length(body).await)
        };
        let (answer, ()) = tokio::join!(asking, async {
            let talk = self.backend.answer("200 OK", &headers).await;
            // The relayer hangs up on an answer that is too long.
            let _ = say(talk, piece, count).await;
        });
        answer
    }

    /// Ends everything; how many relays were mined.
    async fn mined(mut self) -> usize {
        self.relayer.end().await;
        let count = self.world.published("supplier1").await.len();
        self.world.end().await;
        count
    }
}

async fn say(mut talk: Talk, piece: &[u8], count: usize) -> std::io::Result<()> {
    for _ in 0..count {
        talk.try_say(piece).await?;
    }
    talk.end().await;
    Ok(())
}

/// Reads a body to its end and keeps nothing of it.
async fn length(mut body: Incoming) -> usize {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame.unwrap().data_ref().map_or(0, Bytes::len);
    }
    length
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_of_a_hundred_megabytes_takes_a_few_of_memory() {
    let stage = Stage::new("").await;
    let before = stage.relayer.resident();
    let line = Bytes::from([&vec![b'x'; (64 << 10) - 1][..], b"\n"].concat());
    let (status, length) = stage.exchange("application/x-ndjson", &line, LARGE / line.len()).await;
    assert_eq!(status, 200);
    assert!(length > LARGE);
    let grown = stage.relayer.peak().saturating_sub(before);
    println!("a stream of 100 MiB: {} KiB above {} KiB", grown >> 10, before >> 10);
    assert!(grown < 16 * MIB, "{grown} bytes");
    assert_eq!(stage.mined().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_answer_takes_a_small_multiple_of_its_size_and_gives_it_back() {
    let stage = Stage::new(&format!("default_max_body_size_bytes: {LARGE}")).await;
    let before = stage.relayer.resident();
    let piece = Bytes::from(vec![b'x'; MIB]);
    let mut peaks = Vec::new();
    for _ in 0..4 {
        stage.relayer.forget_peak();
        let (status, length) = stage.exchange("application/json", &piece, LARGE / MIB).await;
        assert_eq!(status, 200);
        assert!(length > LARGE);
        peaks.push(stage.relayer.peak().saturating_sub(before));
    }
    println!(
        "answers of 100 MiB: {:?} MiB",
        peaks.iter().map(|peak| peak / MIB).collect::<Vec<_>>()
    );
    assert!(peaks.iter().all(|peak| *peak < 5 * LARGE / 2), "{peaks:?}");
    assert!(peaks[3] < peaks[0] + LARGE / 4, "{peaks:?}");
    assert_eq!(stage.mined().await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_over_the_limit_takes_no_more_than_the_limit() {
    let stage = Stage::new(&format!("default_max_body_size_bytes: {MIB}")).await;
    let before = stage.relayer.resident();
    let piece = Bytes::from(vec![b'x'; MIB]);
    let (status, _) = stage.exchange("application/json", &piece, LARGE / MIB).await;
    assert_eq!(status, 502);
    let grown = stage.relayer.peak().saturating_sub(before);
    assert!(grown < 8 * MIB, "{grown} bytes");
    assert_eq!(stage.mined().await, 1);
}
