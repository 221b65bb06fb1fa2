//! `relay-miner redis` on what a Go relay miner left.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Output, Stdio};

use pocket_devnet::Actor;
use pocket_integration::Recording;
use pocket_store::{PrivateRedis, Store, StoreConfig};
use serde_json::Value;
use tempfile::TempDir;

use super::{json, program, run, text};

/// The recorded Redis, at work.
struct World {
    redis: PrivateRedis,
    recording: Recording,
    folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/recordings/peer_in_session.json");
        let recording = Recording::read(&path).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let redis = PrivateRedis::start(folder.path(), false).await.unwrap();
        recording.restore(&redis.url(), |_| None).await.unwrap();
        Self {
            redis,
            recording,
            folder,
        }
    }

    fn json(&self, arguments: &[&str]) -> Value {
        json(&[&["redis", "--redis", &self.redis.url()], arguments].concat())
    }

    fn text(&self, arguments: &[&str]) -> String {
        text(&[&["redis", "--redis", &self.redis.url()], arguments].concat())
    }

    /// A run that is told something.
    fn told(&self, arguments: &[&str], answer: &str) -> Output {
        let url = self.redis.url();
        let mut command = program(&[&["redis", "--redis", &url], arguments].concat());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn store(&self) -> Store {
        Store::new(StoreConfig::at(self.redis.url())).unwrap()
    }

    fn keys(&self, pattern: &str) -> usize {
        let found = self.json(&["keys", "--limit", "0", "--pattern", pattern]);
        found["keys"].as_array().unwrap().len()
    }
}

fn supplier() -> String {
    Actor::named("supplier1").address
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

#[tokio::test]
async fn session_is_followed_from_stream_to_tree() {
    let world = World::new().await;
    let sessions = world.json(&["sessions"]);
    let session = &sessions.as_array().unwrap()[0];
    let id = session["session_id"].as_str().unwrap();
    let counted = number(&session["relay_count"]);
    assert_eq!(session["state"], "active");
    assert_eq!(number(&session["total_compute_units"]), counted * 100);

    let stream = world.json(&["streams", "--supplier", &supplier(), "--limit", "3"]);
    let waiting = number(&stream["length"]);
    assert_eq!(counted + waiting, world.recording.answered, "no relay is missing");
    let group = &stream["groups"][0];
    assert!(number(&group["pending"]) > 0, "the dead miner had read some");
    assert_eq!(number(&group["pending"]) + number(&group["lag"]), waiting);
    assert_eq!(stream["newest"].as_array().unwrap().len(), 3);
    assert_eq!(stream["newest"][0]["session_id"], id);
    assert_eq!(world.json(&["streams", "--all"]).as_array().unwrap().len(), 1);

    let trees = world.json(&["smst", "--session", id, "--limit", "2"]);
    let tree = &trees["trees"][0];
    assert_eq!(tree["supplier"], supplier());
    assert!(
        number(&tree["live_root"]["relays"]) < counted,
        "the peer writes its root from time to time"
    );
    assert_eq!(tree["claimed_root"], Value::Null);

    let dedup = world.json(&["dedup", "--session", id]);
    assert_eq!(number(&dedup["relays"]), counted);
    let meter = world.json(&["meter", "--session", id]);
    let consumed = number(&meter["meters"][0]["consumed_upokt"]);
    assert_eq!(
        consumed,
        world.recording.answered * 100 * 100,
        "100 units of 100 upokt each"
    );
    assert_eq!(meter["meters"][0]["record"]["service_id"], "svc-http");

    let one = world.json(&["sessions", "--supplier", &supplier(), "--session", id]);
    assert_eq!(&one, session);
    assert_eq!(
        world.json(&["sessions", "--state", "claimed"]),
        Value::Array(Vec::new())
    );
    assert_eq!(world.json(&["submissions"]), Value::Array(Vec::new()));
}

#[tokio::test]
async fn fleet_is_told() {
    let world = World::new().await;
    assert!(world.json(&["leader"])["leader"].as_str().is_some());
    let claims = world.json(&["supplier"]);
    assert_eq!(claims["suppliers"][0]["address"], supplier());
    let miner = claims["suppliers"][0]["miner"].as_str().unwrap();
    assert_eq!(claims["miners"][miner][0], supplier());
    assert_eq!((number(&claims["staked"]), number(&claims["not_staked"])), (1, 0));
    let one = world.json(&["supplier", "--supplier", &supplier()]);
    assert_eq!(one["status"], "active");
    assert!(world.text(&["supplier", "--list"]).contains(&supplier()));
    let unknown = Actor::named("supplier9").address;
    let output = run(&[
        "redis",
        "--redis",
        &world.redis.url(),
        "supplier",
        "--supplier",
        &unknown,
    ]);
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn text_is_plain_where_nobody_looks() {
    let world = World::new().await;
    for arguments in [
        &["sessions"][..],
        &["streams", "--all"],
        &["supplier"],
        &["meter"],
        &["leader"],
        &["keys", "--stats"],
    ] {
        let text = world.text(arguments);
        assert!(
            !text.contains('\x1b') && text.lines().count() > 1,
            "{arguments:?}: {text:?}"
        );
    }
}

#[tokio::test]
async fn submissions_are_what_session_records_say() {
    let world = World::new().await;
    let session = world.json(&["sessions"])[0]["session_id"].as_str().unwrap().to_owned();
    let key = format!("ha:miner:sessions:{}:{session}", supplier());
    let client = redis::Client::open(world.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut set = redis::cmd("HSET");
    set.arg(&key).arg(&["state", "claim_tx_error", "reason", "no money"]);
    set.query_async::<()>(&mut connection).await.unwrap();

    let failed = world.json(&["submissions", "--failed-only"]);
    assert_eq!(failed[0]["session_id"], session.as_str());
    assert_eq!(failed[0]["claim_success"], false);
    assert_eq!(failed[0]["claim_error_reason"], "no money");
    assert_eq!(world.json(&["submissions", "--success-only"]), Value::Array(Vec::new()));

    // A Go peer's own words about the same session, and about another that has no record any more.
    let track = |session: &str| {
        serde_json::json!({
            "supplier": supplier(), "session_id": session, "session_end": 30, "service": "svc-http",
            "claim_success": true, "claim_tx_hash": "AB", "claim_submit_height": 33, "num_relays": 5,
        })
    };
    for id in [session.as_str(), "5e55"] {
        let mut set = redis::cmd("SET");
        set.arg(format!("ha:tx:track:{}:30:{id}", supplier()))
            .arg(track(id).to_string());
        set.query_async::<()>(&mut connection).await.unwrap();
    }
    let all = world.json(&["submissions", "--supplier", &supplier()]);
    assert_eq!(all.as_array().unwrap().len(), 2);
    let one = world.json(&["submissions", "--session", &session, "--session-end", "30"]);
    assert_eq!(one[0]["claim_tx_hash"], "AB");
    assert_eq!(one[0]["claim_error_reason"], "no money");
    assert_eq!(number(&one[0]["claim_submit_height"]), 33);
}

#[tokio::test]
async fn nothing_is_flushed_without_a_word() {
    let world = World::new().await;
    let all = world.recording.keys.len();
    assert_eq!(world.keys("ha:*"), all);
    let dry = world.json(&["flush", "--all", "--dry-run"]);
    let found: u64 = dry["found"].as_object().unwrap().values().map(number).sum();
    assert_eq!((found as usize, number(&dry["deleted"])), (all, 0));
    for answer in ["", "no\n", "delete\n"] {
        let output = world.told(&["flush", "--all"], answer);
        assert_eq!(output.status.code(), Some(1));
        let asked = String::from_utf8(output.stderr).unwrap();
        assert!(asked.contains("relays that no tree holds yet are lost"), "{asked}");
        assert!(asked.contains("miners are at work"), "{asked}");
    }
    assert_eq!(world.keys("ha:*"), all, "nothing was deleted");

    let smst = world.keys("ha:smst:*");
    let output = world.told(&["flush", "--pattern", "ha:smst:*"], "DELETE\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!((world.keys("ha:smst:*"), world.keys("ha:*")), (0, all - smst));
    assert_eq!(
        number(&world.json(&["flush", "--all", "--force"])["deleted"]) as usize,
        all - smst
    );
    assert_eq!(
        run(&["redis", "--redis", &world.redis.url(), "flush"]).status.code(),
        Some(2)
    );
}

#[tokio::test]
async fn invalidated_cache_is_told_to_all_and_nothing_else_goes() {
    let world = World::new().await;
    let store = world.store();
    let mut heard = store.listen(&["ha:events:*".to_owned()]).await.unwrap();
    let cached = world.keys("ha:cache:*");
    assert!(cached > 0);
    let others = world.keys("ha:*") - cached;
    world.json(&["cache", "--type", "all", "--invalidate", "--all", "--dry-run"]);
    assert_eq!(world.keys("ha:cache:*"), cached);
    let done = world.json(&["cache", "--type", "all", "--invalidate", "--all", "--yes"]);
    assert_eq!(number(&done["removed"]) as usize, cached);
    assert_eq!((world.keys("ha:cache:*"), world.keys("ha:*")), (0, others));
    let mut channels = Vec::new();
    for _ in 0..number(&done["told"]) {
        let said = heard.next().await.unwrap();
        assert_eq!(said.text, "{}");
        channels.push(said.channel);
    }
    assert!(
        channels.contains(&"ha:events:cache:application:invalidate".to_owned()),
        "{channels:?}"
    );
    assert!(
        channels.contains(&"ha:events:cache:invalidate:supplier_params".to_owned()),
        "{channels:?}"
    );

    let kept = world.told(
        &["cache", "--type", "supplier", "--invalidate", "--key", &supplier()],
        "n\n",
    );
    assert_eq!(kept.status.code(), Some(1));
    assert_eq!(world.keys("ha:supplier:*"), 1);
    let gone = world.told(
        &["cache", "--type", "supplier", "--invalidate", "--key", &supplier()],
        "y\n",
    );
    assert_eq!(gone.status.code(), Some(0));
    assert_eq!(world.keys("ha:supplier:*"), 0);
    let said: Value = serde_json::from_str(&heard.next().await.unwrap().text).unwrap();
    assert_eq!(said["operator_address"], supplier());
}

/// A child that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_on_a_channel_is_heard() {
    let world = World::new().await;
    let url = world.redis.url();
    let arguments = [
        "redis",
        "pubsub",
        "--redis",
        &url,
        "--channel",
        "ha:events:*",
        "--output",
        "json",
    ];
    let mut command = program(&arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut running = Running(child);
    let mut errors = BufReader::new(running.0.stderr.take().unwrap()).lines();
    assert!(errors.next().unwrap().unwrap().starts_with("listening"));
    world
        .store()
        .publish("ha:events:blocks", "{\"height\":7}")
        .await
        .unwrap();
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let said: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(said["channel"], "ha:events:blocks");
    assert_eq!(said["payload"], "{\"height\":7}");
}

#[tokio::test]
async fn configuration_of_either_half_says_where_redis_is() {
    let world = World::new().await;
    let common = format!(
        "redis: {{ url: '{}' }}
pocket_node: {{ query_node_rpc_url: 'http://127.0.0.1:1', query_node_grpc_url: '127.0.0.1:1' }}
keys: {{ keys_file: keys.yaml }}
",
        world.redis.url()
    );
    let services = "services: { svc: { backends: { jsonrpc: { url: 'http://127.0.0.1:1' } } } }\n";
    for (name, text) in [
        ("miner.yaml", common.clone()),
        ("relayer.yaml", format!("{common}{services}")),
    ] {
        let path = world.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let leader = json(&["redis", "leader", "--config", path.to_str().unwrap()]);
        assert!(leader["leader"].is_string(), "{name}");
    }
    let elsewhere = common.replace("redis: {", "redis: { namespace: { base_prefix: prod },");
    let path = world.folder.path().join("prod.yaml");
    std::fs::write(&path, elsewhere).unwrap();
    let leader = json(&["redis", "leader", "--config", path.to_str().unwrap()]);
    assert_eq!(
        (&leader["leader"], &leader["key"]),
        (&Value::Null, &"prod:miner:global_leader".into())
    );

    let mut by_environment = program(&["redis", "leader", "--output", "json"]);
    let output = by_environment.env("REDIS_URL", world.redis.url()).output().unwrap();
    let leader: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(leader["leader"].is_string());
}

#[test]
fn redis_that_is_away_is_told_with_what_to_do() {
    let output = run(&["redis", "leader", "--redis", "redis://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("--redis") && text.contains("refused"), "{text}");
}
