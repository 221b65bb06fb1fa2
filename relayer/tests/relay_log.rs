//! Relays that lie on disk until Redis has them.

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{NOWHERE, World, WorldConfig, key, watched};
use pocket_config::RelayerConfig;
use pocket_keys::LiveKeys;
use pocket_metrics::Registry;
use pocket_proto::pocket::ha::MinedRelayMessage;
use pocket_proto::pocket::service::Relay;
use pocket_query::{BlockFeed, ChainClient, NodeConfig};
use pocket_relayer::{Deps, Relayer};
use pocket_store::{PublisherConfig, Store, StoreConfig};
use prost::Message as _;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const UNAVAILABLE: &str = r#"{"error":"service temporarily unavailable","service":"svc-http"}"#;
/// Mark, length and checksum of an entry; behind them come its kind and its number.
const HEAD: usize = 12;
/// The kind of a relay that was answered on trust.
const TRUSTED: u8 = 3;
/// Tells this program to be a relayer: its configuration, and the chain's addresses.
const CHILD: &str = "RELAY_LOG_TEST_CHILD";
const CHILD_CHAIN: &str = "RELAY_LOG_TEST_CHAIN";

fn with_log(folder: &TempDir, more: &str) -> WorldConfig {
    let log = folder.path().join("log");
    WorldConfig {
        top_level: format!("relay_log:\n  dir: {}\n  {more}", log.display()),
        publisher: PublisherConfig {
            queue: 2,
            ..WorldConfig::default().publisher
        },
        redis_persists: true,
        ..WorldConfig::default()
    }
}

#[tokio::test]
async fn more_relays_than_the_queue_holds_are_served_without_redis_and_published_once_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::with(with_log(&folder, "")).await;
    let relay = world.relay().await;
    relay.send(&world.url()).await.answer("supplier1");
    world.wait_until_published(1).await;
    world.stop_redis();
    for number in 0..20 {
        let relay = relay.clone().to("POST", &format!("/{number}"));
        relay.send(&world.url()).await.answer("supplier1");
    }
    world.start_redis_again().await;
    world.wait_until_published(21).await;
    let seen: BTreeSet<_> = world
        .published("supplier1")
        .await
        .iter()
        .map(watched::inner_url)
        .collect();
    for number in 0..20 {
        assert!(seen.contains(&format!("/{number}")), "{seen:?}");
    }
    assert!(world.counted("ha_relayer_relay_log_replayed_total", &[]) >= 18);
    // Redis has everything: the relayer leaves nothing behind, and no miner waits for it.
    assert_eq!(world.store.watermarks().await.unwrap(), []);
    let left = std::fs::read_dir(folder.path().join("log")).unwrap();
    let bytes: u64 = left
        .map(|file| file.unwrap())
        .filter(|file| file.path().extension().is_some_and(|suffix| suffix == "relays"))
        .map(|file| file.metadata().unwrap().len())
        .sum();
    assert_eq!(bytes, 0);
    world.end().await;
}

#[tokio::test]
async fn full_log_refuses_relays_rather_than_serving_them_for_free() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::with(with_log(&folder, "max_bytes: 1048576")).await;
    let relay = world.relay().await;
    world.stop_redis();
    let mut served = 0;
    let refused = loop {
        let mut relay = relay.clone().to("POST", &format!("/{served}"));
        relay.envelope.body_bz = vec![b'x'; 200_000].into();
        let reply = relay.send(&world.url()).await;
        if reply.status.as_u16() == 503 {
            break reply;
        }
        reply.answer("supplier1");
        served += 1;
        assert!(served < 20, "a log of a megabyte is full");
    };
    assert_eq!(refused.refusal(), (503, UNAVAILABLE));
    assert!(served > 2, "the log takes more than the queue");
    world.start_redis_again().await;
    world.wait_until_published(served).await;
    relay.send(&world.url()).await.answer("supplier1");
    world.end().await;
}

#[tokio::test]
async fn miners_wait_for_a_silent_relayer_that_has_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::with(with_log(&folder, "max_outage_seconds: 300")).await;
    let name = loop {
        if let Some((name, _)) = world.store.watermarks().await.unwrap().pop() {
            break name;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(
        std::fs::read_to_string(folder.path().join("log/instance")).unwrap(),
        name
    );
    let left = time_to_live(&world, &name).await;
    assert!(left > Duration::from_secs(200), "{left:?}");
    world.end().await;
}

async fn time_to_live(world: &World, instance: &str) -> Duration {
    let mut connection = world.connect().await;
    let mut ask = redis::cmd("PTTL");
    ask.arg(world.store.keys().watermark(instance));
    Duration::from_millis(ask.query_async(&mut connection).await.unwrap())
}

#[tokio::test]
async fn two_relayers_do_not_share_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::with(with_log(&folder, "")).await;
    let config = RelayerConfig::from_str("relayer.yaml", &world.yaml).unwrap();
    let deps = Deps {
        chain: world.chain.clone(),
        feed: world.feed.clone(),
        store: world.store.clone(),
        keys: LiveKeys::from_iter([key("supplier1")]),
        registry: Registry::new(),
        publisher: PublisherConfig::default(),
    };
    let second = Relayer::start(&config, deps, CancellationToken::new()).await;
    assert!(
        second
            .err()
            .unwrap()
            .to_string()
            .contains("another relayer uses this folder")
    );
    world.end().await;
}

// The chain lives in this process, and a start of the other one waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_relay_is_in_redis_after_the_relayer_was_killed_and_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::with(WorldConfig {
        redis_persists: true,
        ..WorldConfig::default()
    })
    .await;
    let log = folder.path().join("log");
    let yaml = format!("{}\nrelay_log:\n  dir: {}\n", world.yaml, log.display());
    let relay = world.relay().await;
    let mut answered = BTreeSet::new();

    let first = ChildRelayer::start(&world, &yaml);
    for number in 0..10 {
        let target = format!("/with-redis/{number}");
        first.serve(&relay, &target).await;
        answered.insert(target);
    }
    world.stop_redis();
    for number in 0..40 {
        let target = format!("/without-redis/{number}");
        first.serve(&relay, &target).await;
        answered.insert(target);
    }
    first.kill();
    // Killed once more before Redis is back: the log is still there.
    ChildRelayer::start(&world, &yaml).kill();
    world.start_redis_again().await;
    let second = ChildRelayer::start(&world, &yaml);
    loop {
        let seen: BTreeSet<_> = world
            .in_redis("supplier1")
            .await
            .iter()
            .map(watched::inner_url)
            .collect();
        if answered.is_subset(&seen) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    second.serve(&relay, "/afterwards").await;
    second.kill();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relay_that_was_answered_on_trust_is_verified_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::with(WorldConfig {
        service: "validation_mode: optimistic".to_owned(),
        redis_persists: true,
        ..WorldConfig::default()
    })
    .await;
    let log = folder.path().join("log");
    let yaml = format!("{}\nrelay_log:\n  dir: {}\n", world.yaml, log.display());
    let relay = world.relay().await;
    let first = ChildRelayer::start(&world, &yaml);
    // The first relay of a session is verified before its answer.
    first.serve(&relay, "/first").await;
    world.wait_until_published(1).await;
    world.stop_redis();
    for target in ["/good", "/forged"] {
        first.serve(&relay, target).await;
    }
    first.kill();

    // It is as if the kill had come before the verification: these entries say that they are to be verified.
    let entries = trusted_entries(&log);
    let targets: Vec<String> = entries.iter().map(|(_, message)| watched::inner_url(message)).collect();
    assert_eq!(targets, ["/good", "/forged"]);
    for (file, message) in &entries {
        if watched::inner_url(message) == "/forged" {
            forge(file, message);
        }
    }
    world.start_redis_again().await;
    let second = ChildRelayer::start(&world, &yaml);
    second.serve(&relay, "/last").await;
    let mut seen = BTreeSet::new();
    while !["/good", "/last"].iter().all(|target| seen.contains(*target)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let relays = world.in_redis("supplier1").await;
        seen = relays.iter().map(watched::inner_url).collect();
    }
    // The log goes in order: what came after the forged one is there.
    while !trusted_entries(&log).is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let relays = world.in_redis("supplier1").await;
    assert!(relays.iter().all(|relay| watched::inner_url(relay) != "/forged"));
    second.kill();
    world.end().await;
}

/// The relays of a log that were answered on trust, each with its file.
fn trusted_entries(log: &Path) -> Vec<(PathBuf, MinedRelayMessage)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(log).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|suffix| suffix != "relays") {
            continue;
        }
        let mut rest = &std::fs::read(&path).unwrap_or_default()[..];
        while let [b'R', b'L', b'G', b'1', a, b, c, d, _, _, _, _, kind, ..] = rest {
            let end = HEAD + u32::from_le_bytes([*a, *b, *c, *d]) as usize;
            if *kind == TRUSTED {
                let message = MinedRelayMessage::decode(&rest[HEAD + 9..end]).unwrap();
                found.push((path.clone(), message));
            }
            rest = &rest[end..];
        }
    }
    found
}

/// Flips a bit of the ring signature in an entry, and makes its checksum right again.
fn forge(file: &Path, message: &MinedRelayMessage) {
    let relay = Relay::decode(message.relay_bytes.clone()).unwrap();
    let signature = relay.req.unwrap().meta.unwrap().signature;
    let mut bytes = std::fs::read(file).unwrap();
    let entry = message.encode_to_vec();
    let find = |part: &[u8]| bytes.windows(part.len()).position(|window| window == part).unwrap();
    let (start, at) = (find(&entry) - HEAD - 9, find(&signature));
    bytes[at + signature.len() - 1] ^= 1;
    let body = start + HEAD..start + HEAD + 9 + entry.len();
    let checksum = crc32fast::hash(&bytes[body]);
    bytes[start + 8..start + HEAD].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(file, bytes).unwrap();
}

/// A relayer in a process of its own.
struct ChildRelayer {
    child: Child,
    url: String,
}

impl ChildRelayer {
    fn start(world: &World, yaml: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "relayer_for_others", "--ignored", "--nocapture"])
            .env(CHILD, yaml)
            .env(
                CHILD_CHAIN,
                format!("{} {}", world.devnet.rpc_url(), world.devnet.grpc_url()),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once("listens at ").map(|(_, url)| url.to_owned()));
        Self {
            child,
            url: url.expect("the relayer starts"),
        }
    }

    async fn serve(&self, relay: &common::client::Relay, target: &str) {
        relay
            .clone()
            .to("POST", target)
            .send(&self.url)
            .await
            .answer("supplier1");
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
#[ignore = "started by another test, as a process that can be killed"]
async fn relayer_for_others() {
    let (Ok(yaml), Ok(chain)) = (std::env::var(CHILD), std::env::var(CHILD_CHAIN)) else {
        return;
    };
    let (rpc, grpc) = chain.split_once(' ').unwrap();
    let config = RelayerConfig::from_str("relayer.yaml", &yaml).unwrap();
    assert_ne!(rpc, NOWHERE);
    let chain = ChainClient::new(NodeConfig::new(rpc, grpc)).unwrap();
    let (feed, _following) = BlockFeed::start(chain.clone(), CancellationToken::new());
    let deps = Deps {
        chain,
        store: Store::new(StoreConfig::at(config.redis.url.expose())).unwrap(),
        feed: feed.clone(),
        keys: LiveKeys::from_iter([key("supplier1")]),
        registry: Registry::new(),
        publisher: PublisherConfig::default(),
    };
    let relayer = Relayer::start(&config, deps, CancellationToken::new()).await.unwrap();
    feed.subscribe().wait_for(|block| block.height.0 > 0).await.unwrap();
    println!("listens at http://{}", relayer.local_addr());
    relayer.join().await;
}
