//! The store while Redis fails over: real sentinels, a real Cluster.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use pocket_protocol::{AppAddress, ComputeUnits, Height, SessionId, SupplierAddress};
use pocket_smst::{Changes, Digest};
use pocket_store::{
    BlockEvent, Lease, LeaseKind, Pending, PrivateCluster, PrivateSentinel, PublisherConfig, RelayPublisher,
    SessionCommit, SessionRecord, Store, StoreConfig, StoreError, StreamConsumer, StreamId, Watermark,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const TTL: Duration = Duration::from_mins(1);
const BLOCK: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(50);

/// A Redis that can lose its primary.
enum Redis {
    Sentinel(PrivateSentinel),
    Cluster(PrivateCluster),
}

struct World {
    redis: Redis,
    store: Store,
    _folder: TempDir,
}

impl World {
    async fn sentinel() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let redis = PrivateSentinel::start(folder.path()).await.unwrap();
        Self {
            store: Store::new(StoreConfig::at(redis.url())).unwrap(),
            redis: Redis::Sentinel(redis),
            _folder: folder,
        }
    }

    async fn cluster() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let redis = PrivateCluster::start(folder.path()).await.unwrap();
        Self {
            store: Store::new(StoreConfig::at(redis.url())).unwrap(),
            redis: Redis::Cluster(redis),
            _folder: folder,
        }
    }

    /// Kills the primary that has the first supplier's keys, and waits for the next.
    async fn lose_primary(&mut self) {
        let key = self.store.keys().stream(supplier(0).as_str());
        match &mut self.redis {
            Redis::Sentinel(redis) => {
                let old = redis.kill_primary().await.unwrap();
                redis.wait_for_another(old).await.unwrap();
            }
            Redis::Cluster(redis) => {
                let old = redis.kill_primary_of(&key).await.unwrap();
                redis.wait_for_another(&key, old).await.unwrap();
            }
        }
    }

    /// Swaps that primary with its replica; both live.
    async fn swap_primary(&self) {
        let key = self.store.keys().stream(supplier(0).as_str());
        match &self.redis {
            Redis::Sentinel(redis) => {
                let old = redis.primary().await.unwrap();
                redis.fail_over().await.unwrap();
                redis.wait_for_another(old).await.unwrap();
            }
            Redis::Cluster(redis) => {
                let old = redis.primary_of(&key).await.unwrap();
                redis.fail_over(&key).await.unwrap();
                redis.wait_for_another(&key, old).await.unwrap();
            }
        }
    }
}

fn supplier(number: u8) -> SupplierAddress {
    SupplierAddress::of_public_key(&[number + 2; 33])
}

/// Calls until Redis answers.
async fn patiently<T>(mut call: impl AsyncFnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    loop {
        match call().await {
            Err(error) if error.is_transient() => tokio::time::sleep(PAUSE).await,
            other => return other,
        }
    }
}

#[tokio::test]
async fn no_relay_is_lost_when_a_primary_dies_behind_sentinels() {
    relays_outlive_a_primary(World::sentinel().await, 1).await;
}

#[tokio::test]
async fn no_relay_is_lost_when_a_primary_of_a_cluster_dies() {
    relays_outlive_a_primary(World::cluster().await, 5).await;
}

async fn relays_outlive_a_primary(mut world: World, suppliers: u8) {
    const RELAYS: u32 = 400;
    let (publisher, writing) = RelayPublisher::start(
        world.store.clone(),
        PublisherConfig::default(),
        CancellationToken::new(),
    );
    let stats = publisher.clone();
    let guard = Arc::new(());
    let kept = guard.clone();
    let publishing = tokio::spawn(async move {
        for number in 0..RELAYS {
            for of in 0..suppliers {
                let slot = publisher.reserve().await;
                let message = Bytes::from(number.to_string());
                assert!(publisher.publish(slot, supplier(of), message, guard.clone()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    while stats.stats().published.load(Ordering::Relaxed) < 20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.lose_primary().await;
    publishing.await.unwrap();
    drop(stats);
    writing.await.unwrap();
    assert_eq!(Arc::strong_count(&kept), 1);

    for of in 0..suppliers {
        let mut consumer = StreamConsumer::new(world.store.clone(), "reader", BLOCK);
        take_over_all(&consumer, &supplier(of)).await;
        let mut seen = BTreeSet::new();
        while seen.len() < RELAYS as usize {
            let read = patiently(async || consumer.read(&[supplier(of)], 100).await)
                .await
                .unwrap();
            assert!(
                !read.is_empty(),
                "supplier {of}: only {} of {RELAYS} relays",
                seen.len()
            );
            seen.extend(
                read.into_iter()
                    .flat_map(|(_, batch)| batch)
                    .map(|entry| entry.data.unwrap()),
            );
        }
    }
}

async fn take_over_all(consumer: &StreamConsumer, supplier: &SupplierAddress) {
    let mut pending = Pending::of(supplier.clone());
    while patiently(async || consumer.take_over(&mut pending, 100).await)
        .await
        .unwrap()
        .is_some()
    {}
}

#[tokio::test]
async fn tree_grows_by_every_batch_once_while_a_primary_dies_behind_sentinels() {
    tree_outlives_a_primary(World::sentinel().await).await;
}

#[tokio::test]
async fn tree_grows_by_every_batch_once_while_a_primary_of_a_cluster_dies() {
    tree_outlives_a_primary(World::cluster().await).await;
}

/// One more leaf a commit, as a miner does it: from the stored state on, whenever that is not what was expected.
async fn tree_outlives_a_primary(mut world: World) {
    const STEPS: u64 = 150;
    let store = world.store.clone();
    let steps = tokio::sync::watch::Sender::new(0);
    let mut reached = steps.subscribe();
    let working = async {
        let mut lease = own(&store).await;
        let mut live = None;
        while live != Some(root(STEPS)) {
            let count = live.as_ref().map_or(0, Digest::count) + 1;
            let record = record(count);
            let changes = Changes {
                set: vec![(root(count), Bytes::from(count.to_string()))],
                removed: Vec::new(),
                root: root(count),
            };
            let commit = SessionCommit {
                lease: &lease,
                record: &record,
                tree: Some(&changes),
                base: live.as_ref(),
                acknowledged: &[],
            };
            match patiently(async || store.commit(&commit).await).await {
                Ok(()) => live = Some(root(count)),
                Err(StoreError::Diverged) => live = stored_root(&store).await,
                Err(StoreError::Fenced) => {
                    lease = own(&store).await;
                    live = stored_root(&store).await;
                }
                Err(error) => panic!("{error}"),
            }
            steps.send_replace(count);
        }
    };
    let losing = async {
        reached.wait_for(|count| *count > 20).await.unwrap();
        world.lose_primary().await;
    };
    tokio::join!(working, losing);

    let session = record(0).session;
    assert_eq!(stored_root(&store).await, Some(root(STEPS)));
    let stored = patiently(async || store.session(&supplier(0), &session).await)
        .await
        .unwrap();
    assert_eq!(stored.unwrap().relays, STEPS);
    let tree = store.tree(&supplier(0), &session);
    assert_eq!(patiently(async || tree.count().await).await.unwrap(), STEPS);
}

async fn own(store: &Store) -> Lease {
    let kind = LeaseKind::Supplier(supplier(0));
    let acquired = patiently(async || store.acquire(&kind, "one", TTL).await).await;
    acquired.unwrap().expect("nobody else wants it")
}

async fn stored_root(store: &Store) -> Option<Digest> {
    let session = record(0).session;
    let roots = patiently(async || store.tree_roots(&supplier(0), &session).await)
        .await
        .unwrap();
    roots.live
}

#[tokio::test]
async fn work_goes_on_when_sentinels_swap_servers() {
    everything_works_after_a_swap(World::sentinel().await).await;
}

#[tokio::test]
async fn work_goes_on_when_a_cluster_swaps_servers() {
    everything_works_after_a_swap(World::cluster().await).await;
}

/// The old primary lives on and refuses writes: every connection has to notice.
async fn everything_works_after_a_swap(world: World) {
    let store = &world.store;
    let lease = own(store).await;
    let mut consumer = StreamConsumer::new(store.clone(), "reader", BLOCK);
    take_over_all(&consumer, &supplier(0)).await;
    assert!(consumer.read(&[supplier(0)], 10).await.unwrap().is_empty());
    world.swap_primary().await;

    patiently(async || store.renew(&lease, TTL).await).await.unwrap();
    let record = record(0);
    patiently(async || store.save_session(&lease, &record, 60).await)
        .await
        .unwrap();
    assert_eq!(
        patiently(async || store.heartbeat("one", TTL).await).await.unwrap(),
        ["one"]
    );
    let mark = Watermark {
        height: Height(5),
        open_from: Height(1),
    };
    patiently(async || store.write_watermark("r", mark, TTL).await)
        .await
        .unwrap();
    let marks = patiently(async || store.watermarks().await).await.unwrap();
    assert_eq!(marks, [("r".to_owned(), mark)]);

    let health = patiently(async || store.health().await).await.unwrap();
    assert!(
        health.used_memory > 0 && health.append_only && !health.evicts,
        "{health:?}"
    );
    let block = BlockEvent::new(Height(1), &[1; 32], time::OffsetDateTime::UNIX_EPOCH);
    patiently(async || store.publish_block(&block).await).await.unwrap();

    append(store, "relay").await;
    let batch = loop {
        let read = patiently(async || consumer.read(&[supplier(0)], 10).await)
            .await
            .unwrap();
        if let Some((_, batch)) = read.into_iter().next() {
            break batch;
        }
    };
    let ids: Vec<StreamId> = batch.iter().map(|entry| entry.id).collect();
    let done = patiently(async || store.acknowledge(&lease, &supplier(0), &ids).await).await;
    assert_eq!(done.unwrap(), ids.len() as u64);
    assert_eq!(
        patiently(async || store.stream_length(&supplier(0)).await)
            .await
            .unwrap(),
        0
    );
}

async fn append(store: &Store, message: &'static str) {
    let (publisher, writing) =
        RelayPublisher::start(store.clone(), PublisherConfig::default(), CancellationToken::new());
    let slot = publisher.reserve().await;
    assert!(publisher.publish(slot, supplier(0), Bytes::from_static(message.as_bytes()), ()));
    drop(publisher);
    writing.await.unwrap();
}

#[tokio::test]
async fn slot_that_moves_to_another_node_is_followed() {
    let world = World::cluster().await;
    let Redis::Cluster(cluster) = &world.redis else {
        unreachable!()
    };
    let store = &world.store;
    let mut consumer = StreamConsumer::new(store.clone(), "reader", BLOCK);
    assert!(!consumer.has_strays(&supplier(0)).await.is_ok_and(|has| has));
    let stream = store.keys().stream(supplier(0).as_str());
    let new = cluster.move_empty_slot(&stream).await.unwrap();
    assert_eq!(cluster.primary_of(&stream).await.unwrap(), new);

    append(store, "relay").await;
    take_over_all(&consumer, &supplier(0)).await;
    let read = patiently(async || consumer.read(&[supplier(0)], 10).await)
        .await
        .unwrap();
    assert_eq!(read[0].1.len(), 1);
}

#[tokio::test]
async fn relay_counts_as_published_only_when_a_replica_has_it() {
    let mut world = World::sentinel().await;
    let Redis::Sentinel(sentinel) = &mut world.redis else {
        unreachable!()
    };
    sentinel.kill_replica().await.unwrap();
    // After a while without any replica there is none to wait for, unless it is demanded.
    let config = StoreConfig {
        alone_for: Duration::from_millis(200),
        ..StoreConfig::at(sentinel.url())
    };
    let lenient = Store::new(config).unwrap();
    let (publisher, writing) = RelayPublisher::start(lenient, PublisherConfig::default(), CancellationToken::new());
    let slot = publisher.reserve().await;
    assert!(publisher.publish(slot, supplier(0), Bytes::from_static(b"first"), ()));
    until_published(&publisher, 1).await;
    let looks = publisher.stats().retries.load(Ordering::Relaxed);
    assert!(looks > 0, "one look is not enough");
    drop(publisher);
    writing.await.unwrap();

    let config = StoreConfig {
        wait_replicas: Some(1),
        ..StoreConfig::at(sentinel.url())
    };
    let strict = Store::new(config).unwrap();
    let (publisher, writing) = RelayPublisher::start(strict, PublisherConfig::default(), CancellationToken::new());
    let guard = Arc::new(());
    let slot = publisher.reserve().await;
    assert!(publisher.publish(slot, supplier(0), Bytes::from_static(b"second"), guard.clone()));
    while publisher.stats().retries.load(Ordering::Relaxed) < 2 {
        tokio::time::sleep(PAUSE).await;
    }
    assert_eq!(Arc::strong_count(&guard), 2, "no replica has it");
    sentinel.revive().await.unwrap();
    drop(publisher);
    writing.await.unwrap();
    assert_eq!(Arc::strong_count(&guard), 1);
}

#[tokio::test]
async fn tree_counts_as_sealed_only_when_a_replica_has_it() {
    let mut world = World::sentinel().await;
    let Redis::Sentinel(sentinel) = &mut world.redis else {
        unreachable!()
    };
    let lease = own(&world.store).await;
    let (supplier, session, root) = (supplier(0), record(0).session, root(1));
    let careful = world.store.careful();
    let seal = async || careful.seal_tree(&lease, &supplier, &session, &root, None).await;
    patiently(seal).await.unwrap();
    sentinel.kill_replica().await.unwrap();
    assert!(matches!(seal().await, Err(StoreError::Unreplicated(0))));
    sentinel.revive().await.unwrap();
    seal().await.unwrap();
}

async fn until_published<G: pocket_store::PublishGuard>(publisher: &RelayPublisher<G>, count: u64) {
    while publisher.stats().published.load(Ordering::Relaxed) < count {
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test]
async fn primary_that_was_replaced_while_it_stood_still_is_not_believed() {
    let world = World::sentinel().await;
    let Redis::Sentinel(sentinel) = &world.redis else {
        unreachable!()
    };
    let (publisher, writing) = RelayPublisher::start(
        world.store.clone(),
        PublisherConfig::default(),
        CancellationToken::new(),
    );
    let publish = async |message: &'static str| {
        let slot = publisher.reserve().await;
        assert!(publisher.publish(slot, supplier(0), Bytes::from_static(message.as_bytes()), ()));
    };
    // From here on the publisher is connected to it.
    publish("before").await;
    until_published(&publisher, 1).await;
    let old = sentinel.primary().await.unwrap();
    let id = sentinel.process_id(old).unwrap().to_string();
    signal("STOP", &id);
    let new = sentinel.wait_for_another(old).await.unwrap();
    publish("while it slept").await;
    // It wakes up, takes the relay and sees no replica: its own has taken its place.
    signal("CONT", &id);
    until_published(&publisher, 2).await;
    drop(publisher);
    writing.await.unwrap();

    sentinel.wait_until_replicated().await.unwrap();
    assert_eq!(sentinel.primary().await.unwrap(), new);
    let fresh = Store::new(StoreConfig::at(sentinel.url())).unwrap();
    let mut consumer = StreamConsumer::new(fresh, "reader", BLOCK);
    take_over_all(&consumer, &supplier(0)).await;
    let read = patiently(async || consumer.read(&[supplier(0)], 100).await)
        .await
        .unwrap();
    let relays: BTreeSet<Bytes> = read
        .into_iter()
        .flat_map(|(_, batch)| batch)
        .filter_map(|entry| entry.data)
        .collect();
    assert!(relays.contains(&b"while it slept"[..]), "{relays:?}");
}

/// As `kill -NAME` does it.
fn signal(name: &str, process: &str) {
    let status = std::process::Command::new("kill")
        .args([&format!("-{name}"), process])
        .status();
    assert!(status.unwrap().success());
}

fn root(count: u64) -> Digest {
    let mut digest = [7; 48];
    digest[32..40].copy_from_slice(&count.to_be_bytes());
    digest[40..].copy_from_slice(&count.to_be_bytes());
    Digest::new(digest)
}

fn record(count: u64) -> SessionRecord {
    SessionRecord {
        relays: count,
        compute_units: ComputeUnits(count),
        ..SessionRecord::new(
            supplier(0),
            SessionId::from("5e55"),
            "svc".parse().unwrap(),
            AppAddress::of_public_key(&[9; 33]),
            Height(1),
            Height(10),
        )
    }
}
