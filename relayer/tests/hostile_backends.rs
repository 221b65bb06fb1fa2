//! Backends that misbehave: the gateway is told, nothing is mined, and the next relay is served.

mod common;

use common::raw::{Act, RawBackend, say};
use common::streaming::{DELIMITER, SSE, StreamReply};
use common::{World, WorldConfig};

const BACKEND_ERROR: (u16, &str) = (502, r#"{"error":"backend error"}"#);
const DROPPED: &str = "ha_relayer_relays_dropped_total";
/// A backend has a second; an answer may have so many bytes.
const TOP_LEVEL: &str =
    "default_request_timeout_seconds: 1\ndefault_max_body_size_bytes: 100000\ntimeout_profiles: {fast: {}}";

struct Stage {
    world: World,
    backend: RawBackend,
}

impl Stage {
    async fn new() -> Self {
        let backend = RawBackend::start().await;
        let world = World::with(WorldConfig {
            backend: Some(backend.url()),
            top_level: TOP_LEVEL.to_owned(),
            ..WorldConfig::default()
        })
        .await;
        Self { world, backend }
    }

    /// Plays each script for one relay, which must be refused as a backend's error; a good relay follows each.
    async fn expect_errors(mut self, scripts: impl IntoIterator<Item = Vec<Act>>) {
        let relay = self.world.relay().await;
        let url = self.world.url();
        let mut good = 0;
        for script in scripts {
            self.backend.next(script.clone());
            assert_eq!(relay.send(&url).await.refusal(), BACKEND_ERROR, "{script:?}");
            // The relayer has let go of the backend.
            self.backend.wait_until_left(2 * good + 1).await;
            assert_eq!(relay.send(&url).await.answer("supplier1").body_bz, "good", "{script:?}");
            self.backend.wait_until_left(2 * good + 2).await;
            good += 1;
        }
        assert_eq!(self.world.published("supplier1").await.len(), good);
        self.world.end().await;
    }
}

#[tokio::test]
async fn backend_that_stalls_is_given_up() {
    let stage = Stage::new().await;
    let scripts = [
        vec![Act::Stall],
        vec![say("HTTP/1.1 200 OK\r\nContent-"), Act::Stall],
        vec![say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), Act::Stall],
        vec![
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
            Act::Stall,
        ],
    ];
    stage.expect_errors(scripts).await;
}

#[tokio::test]
async fn backend_that_closes_or_resets_at_any_moment_is_an_error() {
    let stage = Stage::new().await;
    let beginnings = [
        "",
        "HTTP/1.1 20",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha",
    ];
    let scripts = beginnings
        .into_iter()
        .flat_map(|beginning| [vec![say(beginning)], vec![say(beginning), Act::Reset]]);
    stage.expect_errors(scripts).await;
}

#[tokio::test]
async fn garbage_is_an_error() {
    let stage = Stage::new().await;
    let answers = [
        "\0\u{1}\u{2}what is this\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 9999 Huh\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n0123456789",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nno size\r\n",
    ];
    stage.expect_errors(answers.map(|answer| vec![say(answer)])).await;
}

#[tokio::test]
async fn length_that_is_not_reached_is_an_error() {
    let stage = Stage::new().await;
    let script = vec![say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012345678")];
    stage.expect_errors([script]).await;
}

#[tokio::test]
async fn bytes_beyond_the_length_are_no_part_of_any_answer() {
    let Stage { mut world, backend } = Stage::new().await;
    let relay = world.relay().await;
    // What follows looks like the answer to the next request on this connection.
    backend.next(vec![
        say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirstHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"),
        Act::Stall,
    ]);
    let url = world.url();
    assert_eq!(relay.send(&url).await.answer("supplier1").body_bz, "first");
    for _ in 0..3 {
        assert_eq!(relay.send(&url).await.answer("supplier1").body_bz, "good");
    }
    assert_eq!(world.published("supplier1").await.len(), 4);
    world.end().await;
}

#[tokio::test]
async fn answer_over_the_limit_is_an_error_however_it_comes() {
    let stage = Stage::new().await;
    let chunk = [&b"4000\r\n"[..], &[b'x'; 0x4000], b"\r\n"].concat();
    let scripts = [
        vec![
            say("HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n"),
            Act::SayForever(vec![b'x'; 1000].into()),
        ],
        vec![
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Act::SayForever(chunk.into()),
        ],
        vec![
            say("HTTP/1.1 200 OK\r\n"),
            Act::SayForever(b"X-More: and more\r\n"[..].into()),
        ],
    ];
    stage.expect_errors(scripts).await;
}

#[tokio::test]
async fn answer_of_exactly_the_limit_is_served() {
    let Stage { mut world, backend } = Stage::new().await;
    let body = "x".repeat(100_000);
    backend.next(vec![say(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{body}"
    ))]);
    let reply = world.relay().await.send(&world.url()).await;
    assert_eq!(reply.answer("supplier1").body_bz.len(), 100_000);
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn stream_that_breaks_in_a_batch_is_broken_for_the_gateway_and_not_mined() {
    let Stage { mut world, backend } = Stage::new().await;
    let relay = world.relay().await;
    let head = format!("HTTP/1.1 200 OK\r\n{SSE}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let batch = "9\r\ndata: 1\n\n\r\n";
    let ends = [
        vec![],
        vec![Act::Reset],
        vec![Act::Stall],
        vec![say("9\r\ndata:")],
        vec![say("not a chunk\r\n")],
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let script = [vec![say(head.clone()), say(batch)], end].concat();
        backend.next(script.clone());
        let mut reply = StreamReply::open(&world.url(), &relay, false).await;
        let first = reply.batch().await;
        if let Ok(batch) = &first {
            assert_eq!(batch.as_ref().unwrap().body_bz, "data: 1\n\n", "{script:?}");
            assert!(reply.rest().await.is_err(), "{script:?}");
        }
        while world.counted(DROPPED, &[]) < number as u64 + 1 {
            tokio::task::yield_now().await;
        }
    }
    let reply = relay.send(&world.url()).await;
    assert_eq!(reply.answer("supplier1").body_bz, "good");
    assert!(!reply.body.ends_with(DELIMITER));
    assert_eq!(world.published("supplier1").await.len(), 1);
    world.end().await;
}
