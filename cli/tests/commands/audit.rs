//! `relay-miner audit` on a session that a real miner process claimed.

use std::process::{Child, Output, Stdio};
use std::time::Duration;

use pocket_devnet::{Actor, Devnet, DevnetConfig, Localnet, RelayMaker};
use pocket_protocol::{SessionId, SupplierAddress};
use pocket_store::{PrivateRedis, PublisherConfig, RelayPublisher, Store, StoreConfig};
use prost::Message as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{program, run};

/// Longest wait for something that is to happen.
const PATIENCE: Duration = Duration::from_mins(1);

struct World {
    devnet: Devnet,
    redis: PrivateRedis,
    store: Store,
    supplier: SupplierAddress,
    session: SessionId,
    _miner: Running,
    folder: TempDir,
}

/// A child that is ended when the test is over.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl World {
    /// A session with seven relays in a miner's tree; its claim is not due yet.
    async fn new() -> Self {
        let genesis = Localnet {
            session_blocks: 4,
            ..Localnet::default()
        };
        let devnet = Devnet::start(DevnetConfig {
            genesis: genesis.genesis(),
            ..DevnetConfig::default()
        })
        .await
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let redis = PrivateRedis::start(folder.path(), false).await.unwrap();
        let actor = Actor::named("supplier1");
        let keys = folder.path().join("keys.yaml");
        std::fs::write(&keys, format!("keys: [\"{}\"]", hex::encode(actor.private_key))).unwrap();
        let config = format!(
            "redis: {{ url: '{}' }}\n\
             pocket_node: {{ query_node_rpc_url: '{}', query_node_grpc_url: '{}', grpc_insecure: true }}\n\
             keys: {{ keys_file: {} }}\nmetrics: {{ enabled: false }}\npprof: {{ enabled: false }}\n",
            redis.url(),
            devnet.rpc_url(),
            devnet.grpc_url(),
            keys.display()
        );
        std::fs::write(folder.path().join("miner.yaml"), config).unwrap();
        let miner = program(&["miner", "--config", folder.path().join("miner.yaml").to_str().unwrap()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let application = Actor::named("app1").address;
        let header = devnet.read(|chain| {
            let view = chain.view();
            let session =
                pocket_devnet::chain::session::get_session(view.state, &view.context, &application, "svc-http", 0);
            session.unwrap().header.unwrap()
        });
        let world = Self {
            store: Store::new(StoreConfig::at(redis.url())).unwrap(),
            supplier: actor.address.parse().unwrap(),
            session: header.session_id.as_str().into(),
            devnet,
            redis,
            _miner: Running(miner),
            folder,
        };
        let maker = RelayMaker::new(header, "app1", "supplier1", 100);
        let (publisher, _task) = RelayPublisher::start(
            world.store.clone(),
            PublisherConfig::default(),
            CancellationToken::new(),
        );
        for number in 0..7 {
            let relay = maker.mined(format!("request {number}").into(), "response".into());
            let slot = publisher.try_reserve().unwrap();
            assert!(publisher.publish(slot, world.supplier.clone(), relay.encode_to_vec().into(), ()));
        }
        world.until(async |world| world.relays().await == 7).await;
        world
    }

    async fn until(&self, fact: impl AsyncFn(&Self) -> bool) {
        tokio::time::timeout(PATIENCE, async {
            while !fact(self).await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("it happens in time");
    }

    async fn relays(&self) -> u64 {
        let record = self.store.session(&self.supplier, &self.session).await.unwrap();
        record.map_or(0, |record| record.relays)
    }

    /// Lets the miner claim the session.
    async fn claim(&self) {
        self.devnet.advance_to(6);
        self.until(async |world| world.devnet.pending() > 0).await;
        self.devnet.advance(1);
        self.until(async |world| {
            let record = world.store.session(&world.supplier, &world.session).await.unwrap();
            record.unwrap().state.as_str() == "claimed"
        })
        .await;
    }

    fn with_config(&self, more: &[&str]) -> Output {
        let config = self.folder.path().join("miner.yaml");
        let own = ["audit", self.session.as_str(), "--config", config.to_str().unwrap()];
        run(&[&own, more].concat())
    }
}

/// The exit code and what was said, errors last.
fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_tells_whether_relays_and_claim_agree() {
    let world = World::new().await;
    world.claim().await;
    let (code, text) = told(&world.with_config(&[]));
    assert_eq!(code, Some(0), "{text}");
    for word in ["7 relays", world.supplier.as_str(), "in all: agrees"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    // A pipe is no terminal: nothing is drawn there.
    assert!(!text.contains('\r') && !text.contains('\x1b'), "{text:?}");

    let (redis, rpc, grpc) = (world.redis.url(), world.devnet.rpc_url(), world.devnet.grpc_url());
    let by_flags = [
        "--redis",
        &redis,
        "--node",
        &grpc,
        "--node-rpc",
        &rpc,
        "--output",
        "json",
    ];
    let output = run(&[
        &["audit", world.session.as_str(), "--supplier", world.supplier.as_str()],
        &by_flags[..],
    ]
    .concat());
    assert_eq!(output.status.code(), Some(0));
    let reports: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reports[0]["session"], world.session.as_str());
    assert_eq!(reports[0]["worth_upokt"], 70_000);
    let checks = reports[0]["checks"].as_array().unwrap();
    assert!(
        checks
            .iter()
            .any(|check| check["name"] == "claim" && check["verdict"] == "agrees")
    );

    // The miner has one record of the session; now it counts a relay too few.
    let key = world.store.keys().session(&world.supplier, &world.session);
    let mut redis = std::process::Command::new("redis-cli");
    redis.args(["-p", &world.redis.port().to_string(), "HSET", &key, "relay_count", "6"]);
    assert!(redis.output().unwrap().status.success());
    let (code, text) = told(&world.with_config(&[]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("DIFFERS      record"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_says_what_it_lacks() {
    let world = World::new().await;
    let config = world.folder.path().join("miner.yaml");
    let (code, text) = told(&run(&["audit", "5e55", "--config", config.to_str().unwrap()]));
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("no session 5e55") && text.contains(world.supplier.as_str()),
        "{text}"
    );
    let (code, text) = told(&run(&["audit", "5e55"]));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--config") || text.contains("--redis"), "{text}");
    let (code, text) = told(&world.with_config(&["--redis", "redis://127.0.0.1:1"]));
    assert_eq!(code, Some(2), "{text}");
}
