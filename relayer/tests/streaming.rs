//! Streamed answers: every batch signed, the whole stream one relay, and nothing mined unless it is complete.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::client::Relay;
use common::streaming::{SSE, StreamBackend, StreamReply, Talk};
use common::{World, WorldConfig};
use pocket_devnet::Actor;
use pocket_proto::pocket::service::Relay as MinedRelay;
use pocket_protocol::relay;
use pocket_protocol::signature::verify_response;
use pocket_store::PublisherConfig;
use prost::Message as _;

const DROPPED: &str = "ha_relayer_relays_dropped_total";

struct Streaming {
    world: World,
    backend: StreamBackend,
    relay: Relay,
}

impl Streaming {
    async fn new() -> Self {
        Self::with(WorldConfig::default()).await
    }

    async fn with(config: WorldConfig) -> Self {
        let backend = StreamBackend::start().await;
        let world = World::with(WorldConfig {
            backend: Some(backend.url()),
            ..config
        })
        .await;
        let relay = world.relay().await;
        Self { world, backend, relay }
    }

    async fn with_service(service: &str) -> Self {
        Self::with(WorldConfig {
            service: service.to_owned(),
            ..WorldConfig::default()
        })
        .await
    }

    /// Sends the relay; both ends of its stream.
    async fn open(&self, status: &str, headers: &str) -> (StreamReply, Talk) {
        let url = self.world.url();
        tokio::join!(
            StreamReply::open(&url, &self.relay, false),
            self.backend.answer(status, headers)
        )
    }

    async fn wait_until_dropped(&self, reason: &str) {
        while self.world.counted(DROPPED, &[("reason", reason)]) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends the world; how many relays were mined.
    async fn mined(mut self) -> usize {
        let count = self.world.published("supplier1").await.len();
        self.world.end().await;
        count
    }
}

#[tokio::test]
async fn stream_is_signed_batch_by_batch_and_mined_once_byte_for_byte() {
    let mut streaming = Streaming::new().await;
    let headers = format!("{SSE}; charset=utf-8\r\nX-Own: 1\r\nX-Own: 2\r\nContent-Encoding: identity");
    let (mut reply, mut talk) = streaming.open("200 OK", &headers).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(reply.headers.get_all("x-own").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(reply.headers["connection"], "close");
    assert!(!reply.headers.contains_key("content-length"));
    assert!(!reply.headers.contains_key("content-encoding"));

    talk.say(b"data: 1\r\n\r\n").await;
    let first = reply.batch().await.unwrap().unwrap();
    assert_eq!(first.status_code, 200);
    assert!(first.header.is_empty());
    assert_eq!(first.body_bz, "data: 1\r\n\r\n");
    talk.say(b"data: 2\n\ndata: no new").await;
    talk.say(b"line").await;
    talk.end().await;
    assert_eq!(reply.rest_of_bytes().await.unwrap(), "data: 2\n\ndata: no newline");

    let published = streaming.world.published("supplier1").await;
    let [message] = &published[..] else {
        panic!("{} relays", published.len())
    };
    let mined = MinedRelay::decode(message.relay_bytes.clone()).unwrap().res.unwrap();
    assert!(mined.payload.is_empty());
    assert_eq!(
        mined.payload_hash[..],
        relay::payload_hash(b"data: 1\r\n\r\ndata: 2\n\ndata: no newline")
    );
    let hash = relay::response_signable_hash(&mined);
    let signature = &mined.meta.as_ref().unwrap().supplier_operator_signature;
    verify_response(&hash, &Actor::named("supplier1").public_key, signature).unwrap();
    assert_eq!(message.relay_hash[..], relay::payload_hash(&message.relay_bytes));
    let labels = [("rpc_type", "jsonrpc"), ("status_code", "200")];
    assert_eq!(streaming.world.counted("ha_relayer_relays_served_total", &labels), 1);
    streaming.world.end().await;
}

#[tokio::test]
async fn ndjson_is_cut_after_a_hundred_lines_and_after_the_timers_time() {
    let streaming = Streaming::new().await;
    let (mut reply, mut talk) = streaming.open("200 OK", "Content-Type: Application/X-NDJSON").await;
    assert_eq!(reply.headers["content-type"], "Application/X-NDJSON");
    talk.say(&b"{\"n\":1}\n".repeat(250)).await;
    let mut lines = Vec::new();
    for _ in 0..3 {
        // The backend is silent after the 250 lines: the last batch comes by the timer alone.
        let batch = reply.batch().await.unwrap().unwrap();
        lines.push(std::str::from_utf8(&batch.body_bz).unwrap().lines().count());
    }
    assert_eq!(lines, [100, 100, 50]);
    talk.end().await;
    assert!(reply.batch().await.unwrap().is_none());
    assert_eq!(streaming.mined().await, 1);
}

#[tokio::test]
async fn client_that_leaves_ends_the_backends_work_and_nothing_is_mined() {
    for mode in ["eager", "optimistic"] {
        let streaming = Streaming::with_service(&format!("validation_mode: {mode}")).await;
        let (mut reply, mut talk) = streaming.open("200 OK", SSE).await;
        talk.say(b"data: 1\n\n").await;
        reply.batch().await.unwrap().unwrap();
        drop(reply);
        talk.wait_until_closed().await;
        streaming.wait_until_dropped("client_left").await;
        assert_eq!(streaming.mined().await, 0);
    }
}

#[tokio::test]
async fn backend_that_breaks_off_in_a_batch_breaks_the_stream_and_nothing_is_mined() {
    let streaming = Streaming::new().await;
    let (mut reply, mut talk) = streaming.open("200 OK", SSE).await;
    talk.say(b"data: 1\n\n").await;
    reply.batch().await.unwrap().unwrap();
    talk.say(b"data: 2\n\ndata: ha").await;
    drop(talk);
    assert!(reply.rest().await.is_err());
    streaming.wait_until_dropped("stream_broken").await;
    assert_eq!(streaming.mined().await, 0);
}

#[tokio::test]
async fn stream_over_the_services_timeout_breaks_and_nothing_is_mined() {
    let config = WorldConfig {
        service: "validation_mode: eager\ntimeout_profile: short".to_owned(),
        top_level: "timeout_profiles:\n  short:\n    request_timeout_seconds: 1".to_owned(),
        ..WorldConfig::default()
    };
    let streaming = Streaming::with(config).await;
    let (mut reply, mut talk) = streaming.open("200 OK", SSE).await;
    talk.say(b"data: 1\n\n").await;
    reply.batch().await.unwrap().unwrap();
    assert!(reply.batch().await.is_err());
    talk.wait_until_closed().await;
    streaming.wait_until_dropped("stream_timeout").await;
    assert_eq!(streaming.mined().await, 0);
}

#[tokio::test]
async fn line_over_the_limit_breaks_the_stream() {
    let streaming = Streaming::new().await;
    let (mut reply, mut talk) = streaming.open("200 OK", SSE).await;
    let broken = tokio::join!(reply.rest(), async {
        // The relayer may close while the line is still on its way.
        let _ = talk.try_say(&vec![b'x'; (256 << 10) + 1]).await;
    });
    assert!(broken.0.is_err());
    streaming.wait_until_dropped("stream_line_too_long").await;
    assert_eq!(streaming.mined().await, 0);
}

#[tokio::test]
async fn backend_goes_no_faster_than_the_client() {
    const LINE: usize = 64 << 10;
    const LINES: usize = 2048;
    // What the sockets' own buffers may hold on the way.
    const AHEAD: usize = 48 << 20;
    // A busy machine may need longer than a service's ordinary time.
    let streaming = Streaming::with(WorldConfig {
        top_level: "timeout_profiles: {fast: {request_timeout_seconds: 600}}".to_owned(),
        ..WorldConfig::default()
    })
    .await;
    let (mut reply, mut talk) = streaming.open("200 OK", SSE).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let saying = tokio::spawn(async move {
        let line = [vec![b'x'; LINE - 1], vec![b'\n']].concat();
        for _ in 0..LINES {
            talk.say(&line).await;
            counter.fetch_add(LINE, Ordering::Relaxed);
        }
        talk.end().await;
    });
    // Nothing is read until the backend has come to a halt.
    let mut before = usize::MAX;
    while before != sent.load(Ordering::Relaxed) {
        before = sent.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut received = 0;
    while let Some(batch) = reply.batch().await.unwrap() {
        assert!(sent.load(Ordering::Relaxed) - received < AHEAD);
        received += batch.body_bz.len();
    }
    saying.await.unwrap();
    assert_eq!(received, LINE * LINES);
    assert_eq!(streaming.mined().await, 1);
}

#[tokio::test]
async fn place_in_the_publishers_queue_is_held_until_the_stream_ends() {
    let config = WorldConfig {
        publisher: PublisherConfig {
            queue: 1,
            ..WorldConfig::default().publisher
        },
        ..WorldConfig::default()
    };
    let streaming = Streaming::with(config).await;
    let (mut reply, mut talk) = streaming.open("200 OK", SSE).await;
    talk.say(b"data: 1\n\n").await;
    reply.batch().await.unwrap().unwrap();
    let other = streaming.relay.send(&streaming.world.url()).await;
    assert_eq!(other.status, 503);
    talk.end().await;
    assert!(reply.batch().await.unwrap().is_none());
    streaming.world.wait_until_published(1).await;
    assert_eq!(streaming.mined().await, 1);
}

#[tokio::test]
async fn shutdown_lets_a_stream_come_to_its_end() {
    let mut streaming = Streaming::new().await;
    let (mut reply, mut talk) = streaming.open("200 OK", SSE).await;
    talk.say(b"data: 1\n\n").await;
    reply.batch().await.unwrap().unwrap();
    let (published, rest) = tokio::join!(streaming.world.published("supplier1"), async {
        talk.say(b"data: 2\n\n").await;
        talk.end().await;
        reply.rest_of_bytes().await.unwrap()
    });
    assert_eq!(rest, "data: 2\n\n");
    assert_eq!(published.len(), 1);
    streaming.world.end().await;
}

#[tokio::test]
async fn optimistic_stream_is_mined_only_if_it_is_verified_afterwards() {
    let mut streaming = Streaming::with_service("validation_mode: optimistic").await;
    let honest = streaming.relay.clone();
    let forged = honest.clone().forged();
    for relay in [honest, forged] {
        streaming.relay = relay;
        let (mut reply, mut talk) = streaming.open("200 OK", SSE).await;
        talk.say(b"data: 1\n\n").await;
        talk.end().await;
        assert_eq!(reply.rest_of_bytes().await.unwrap(), "data: 1\n\n");
    }
    streaming.wait_until_dropped("validation_failed").await;
    assert_eq!(streaming.mined().await, 1);
}

#[tokio::test]
async fn http2_client_gets_streams_too_and_may_leave_them() {
    let streaming = Streaming::new().await;
    let url = streaming.world.url();
    for leaves in [false, true] {
        let (mut reply, mut talk) = tokio::join!(
            StreamReply::open(&url, &streaming.relay, true),
            streaming.backend.answer("200 OK", SSE)
        );
        assert!(!reply.headers.contains_key("connection"));
        talk.say(b"data: 1\n\n").await;
        assert_eq!(reply.batch().await.unwrap().unwrap().body_bz, "data: 1\n\n");
        if leaves {
            drop(reply);
            talk.wait_until_closed().await;
            streaming.wait_until_dropped("client_left").await;
        } else {
            talk.end().await;
            assert!(reply.batch().await.unwrap().is_none());
        }
    }
    assert_eq!(streaming.mined().await, 1);
}

#[tokio::test]
async fn status_is_the_backends_and_a_server_error_is_no_stream() {
    let streaming = Streaming::new().await;
    let (mut reply, mut talk) = streaming.open("404 Not Found", SSE).await;
    assert_eq!(reply.status, 404);
    talk.say(b"data: no\n\n").await;
    talk.end().await;
    let batches = reply.rest().await.unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].status_code, 404);

    let url = streaming.world.url();
    let (refused, _talk) = tokio::join!(
        streaming.relay.send(&url),
        streaming.backend.answer("503 Service Unavailable", SSE)
    );
    assert_eq!(refused.refusal(), (503, r#"{"error":"backend service error"}"#));
    assert_eq!(streaming.mined().await, 1);
}

#[tokio::test]
async fn empty_stream_is_one_signed_batch() {
    let streaming = Streaming::new().await;
    let (mut reply, talk) = streaming.open("200 OK", SSE).await;
    talk.end().await;
    let batches = reply.rest().await.unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].status_code, 200);
    assert!(batches[0].body_bz.is_empty());
    assert_eq!(streaming.mined().await, 1);
}
